"""Bodies of JSON: as bytes for the view that decodes them itself, as a document for all others."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from trades.exceptions import BodyTooLarge
from trades.json_document import read_json


class JSONBytesParser(BaseParser):
    """`application/json`, not decoded yet."""

    media_type = "application/json"
    renderer_class = JSONRenderer  # fills the browsable form

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body. Raises `BodyTooLarge` for one over the setting `MAX_BODY_BYTES`."""
        body = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge(settings.MAX_BODY_BYTES)
        return body


class JSONDocumentParser(JSONBytesParser):
    """`application/json`, read strictly, for bodies that are small."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The document. Raises `BodyTooLarge` and `MalformedDocument`."""
        return read_json(super().parse(stream, media_type, parser_context))
