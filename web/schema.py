"""The OpenAPI schema of views, from what they declare (`web.views`) and from `web.documents`."""

import re
import typing
from collections.abc import Mapping
from typing import Any

from django.urls import resolve
from django.utils.html import escape, linebreaks
from django.utils.safestring import mark_safe
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.utils import Direction, OpenApiExample, OpenApiResponse

from web.documents import AnswerDocument, document_schema, example_of
from web.views import DeclaredView

_CODE = re.compile(r"`([^`]+)`")
# What follows the resource's name in the ids of operations that write it.
_VERBS = {"create": "create", "update": "set", "partial_update": "change", "destroy": "delete"}
# Longer ids are cut in headings.
_LONGEST = 32
_SENTENCE_END = re.compile(r"\.(?:\s+|$)")


class DocumentExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes a document that stands where drf-spectacular takes a serializer, as in `answers = {"list": OrderDocument}`."""

    target_class = AnswerDocument
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Direction) -> str:
        """Return the component's name."""
        return str(self.target.__name__).removesuffix("Document")

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Return the document's schema. Each document within it is a component, too."""
        return document_schema(
            self.target, lambda inner: dict(auto_schema.resolve_serializer(inner, direction).ref)
        )


class ApiSchema(AutoSchema):
    """Describes an operation; `extend_schema` at its action does so otherwise.

    Its id is the URL's name; of an action that writes, the resource and a verb: `key_create`. A view's `verbs` replace
    the usual ones. The first sentence of the action's docstring is the summary, the rest the description. Serializers
    have `examples`, by name; documents have their fields'.
    """

    @staticmethod
    def of(view: Any) -> "ApiSchema":
        """Return the description of the call that a view answers; of a page without GET that of its first method."""
        methods = [each for each in view.allowed_methods if each != "OPTIONS"]
        method = view.request.method if view.request.method in methods else methods[0]
        described = getattr(getattr(view, method.lower()), "kwargs", {}).get("schema", ApiSchema)
        schema: ApiSchema = getattr(view, "route_schema", described)()
        schema.view, schema.method, schema.path = view, method, view.request.path
        return schema

    def get_operation_id(self) -> str:
        """Return the operation's id."""
        name = str(resolve(self.path).url_name).replace("-", "_")
        verbs = _VERBS | getattr(self.view, "verbs", {})
        verb = verbs.get(getattr(self.view, "action", None))
        return name if verb is None else f"{name.removesuffix('s')}_{verb}".removesuffix("_")

    def get_tags(self) -> list[str]:
        """Return the view's tag; of a view without one what drf-spectacular takes from the path."""
        tag = getattr(self.view, "tag", None)
        return [tag] if tag else list(super().get_tags())

    def get_summary(self) -> str:
        """Return the docstring's first sentence."""
        return _SENTENCE_END.split(self._docstring, maxsplit=1)[0]

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular's
        """Return the docstring's other sentences; of one sentence itself."""
        return _SENTENCE_END.split(self._docstring, maxsplit=1)[-1] or self._docstring

    def get_override_parameters(self) -> Any:
        """Return the parameters that the view declares."""
        if not isinstance(self.view, DeclaredView):
            return super().get_override_parameters()
        return self.view.declared_parameters(re.findall(r"{(\w+)}", self.path))

    def get_request_serializer(self) -> Any:
        """Return the serializer of the action's body."""
        view: Any = self.view
        is_declared = isinstance(view, DeclaredView)
        return view.bodies.get(view.action) if is_declared else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        """Return the documents of the action's answers."""
        view: Any = self.view
        if not isinstance(view, DeclaredView) or view.action_name not in view.answers:
            return super().get_response_serializers()
        answer = view.answers[view.action_name]
        usual = 201 if view.action_name == "create" else 200
        by_status = answer if isinstance(answer, Mapping) else {204 if answer is None else usual: answer}
        return {
            status: self._array(*typing.get_args(each)) if typing.get_origin(each) is list else each
            for status, each in by_status.items()
        }

    def _array(self, document: Any) -> OpenApiResponse:
        """Return the answer that is an array of documents."""
        rows = {"type": "array", "items": dict(self.resolve_serializer(document, "response").ref)}
        example = OpenApiExample("An example", [example_of(document)], response_only=True)
        return OpenApiResponse(rows, examples=[example])

    @staticmethod
    def examples_of(serializer: Any) -> Mapping[str, Any]:
        """Return examples by name. A list of rows has those of a row."""
        if isinstance(serializer, type) and issubclass(serializer, AnswerDocument):
            return {"An example": example_of(serializer)}
        examples: Mapping[str, Any] = getattr(getattr(serializer, "child", serializer), "examples", {})
        return examples

    @property
    def _docstring(self) -> str:
        # OPTIONS has an action that is no method.
        action = getattr(self.view, getattr(self.view, "action", None) or "", None)
        action = action or getattr(self.view, self.method.lower())
        return str(get_doc(action))

    def _is_list_view(self, serializer: Any = None) -> bool:
        """Return whether the answer is rows. A list without a paginator is one document."""
        return self._get_paginator() is not None and bool(super()._is_list_view(serializer))

    def _get_paginator(self) -> Any:
        """Return the paginator, which has the view's name for the rows."""
        return getattr(self.view, "paginator", None)

    def _get_examples(
        self, serializer: Any, direction: Any, media_type: Any, status_code: Any = None, extras: Any = None
    ) -> Any:
        """Return the examples of a body or an answer: those of its serializer, unless the action declares others."""
        other = "response_only" if direction == "request" else "request_only"
        is_declared = any(not (each.parameter_only or getattr(each, other)) for each in self.get_examples())
        if not is_declared and not extras:
            extras = [OpenApiExample(*named) for named in self.examples_of(serializer).items()]
        return super()._get_examples(  # type: ignore[no-untyped-call]
            serializer, direction, media_type, status_code, extras
        )


def page_name(view: Any) -> str:
    """Return the heading of a view's page: the call's summary, with what the path names."""
    summary = ApiSchema.of(view).get_summary()
    named = {name: str(text) for name, text in view.kwargs.items() if text and name != "format"}
    if "symbol" in named and "a symbol" in summary:
        summary = summary.replace("a symbol", named.pop("symbol"))
    ids = [text if len(text) <= _LONGEST else f"{text[:8]}…" for text in named.values()]
    return ": ".join([summary, *ids])


def page_description(view: Any, html: bool = False) -> str:
    """Return the first paragraph of the call's description. html: with code between backticks as elements."""
    text = ApiSchema.of(view).get_description().partition("\n\n")[0]
    return mark_safe(linebreaks(_CODE.sub(r"<code>\1</code>", escape(text)))) if html else text  # noqa: S308 escaped
