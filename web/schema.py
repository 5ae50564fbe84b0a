"""The OpenAPI schema of views whose answers are `web.documents`."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, OpenApiExample

from web.documents import AnswerDocument, document_schema, example_of


class DocumentExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes a document that stands where drf-spectacular takes a serializer, as in `responses={200: OrderDocument}`."""

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
    """Describes a view.

    A view's `bodies` are the serializers of its actions' bodies. `by_account`: its paths below `/accounts/{account}` are
    operations of their own, without the parameter `account`.
    """

    def get_operation(self, path: str, *arguments: Any) -> Any:
        """Return the operation of a path."""
        operation = super().get_operation(path, *arguments)
        by_account = getattr(self.view, "by_account", None)
        if operation is None or by_account is None or "{account}" not in path:
            return operation
        others = [each for each in operation["parameters"] if each["name"] != "account"]
        of_path = {"in": "path", "name": "account", "required": True, **by_account}
        parameters = sorted([of_path, *others], key=lambda each: str(each["name"]))
        return {**operation, "operationId": f"account_{operation['operationId']}", "parameters": parameters}

    def get_request_serializer(self) -> Any:
        """Return the serializer of the view's body."""
        view: Any = self.view
        return view.bodies.get(view.action) if hasattr(view, "bodies") else super().get_request_serializer()

    def _get_paginator(self) -> Any:
        """Return the paginator, which has the view's name for the rows."""
        return getattr(self.view, "paginator", None)

    def _get_examples(
        self, serializer: Any, direction: Any, media_type: Any, status_code: Any = None, extras: Any = None
    ) -> Any:
        """Return the examples of a body or an answer. A document has its own, unless the view declares others."""
        declared = [each for each in self.get_examples() if not each.request_only and not each.parameter_only]
        if isinstance(serializer, type) and issubclass(serializer, AnswerDocument) and not declared:
            extras = [
                *(extras or ()),
                OpenApiExample("An example", value=example_of(serializer), response_only=True),
            ]
        return super()._get_examples(  # type: ignore[no-untyped-call]
            serializer, direction, media_type, status_code, extras
        )
