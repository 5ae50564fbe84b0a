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
    """Describes a view."""

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
