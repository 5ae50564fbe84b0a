"""Bodies: as bytes for the view that decodes them itself, as a document for all others."""

from collections.abc import Mapping
from typing import IO, Any

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from http_requests.exceptions import MalformedDocument
from http_requests.json_document import read_json

_PLAIN = {"", "identity"}
_UTF_8 = {"utf-8", "utf8"}


class BytesParser(BaseParser):
    """A body that is not decoded yet."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body's bytes. Raises `UnsupportedMediaType` for one that is compressed or not UTF-8."""
        _check_encoding(media_type or "", parser_context or {})
        return stream.read()


class JSONBytesParser(BytesParser):
    """`application/json`, not decoded yet."""

    media_type = "application/json"
    renderer_class = JSONRenderer  # fills the browsable form


class JSONDocumentParser(JSONBytesParser):
    """`application/json`, read strictly, for bodies that are small."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The document. Raises `MalformedDocument`."""
        return read_json(super().parse(stream, media_type, parser_context))


def sent_document(request: Request) -> Any:
    """What `JSONDocumentParser` reads of a request.

    Raises `MalformedDocument` where there is no body: that is not `{}`.
    """
    if request.stream is None:
        raise MalformedDocument("malformed_json", "there is no body; send one JSON document")
    return request.data


def take_body(request: Request) -> bytes:
    """Return the bytes that a `BytesParser` read, b"" where DRF asked none, and have the request forget them.

    DRF's requests and views refer to each other: what they hold stays until the next garbage collection.
    """
    body = request.data
    vars(request).update(_data=b"", _full_data=b"")
    return body if isinstance(body, bytes) else b""


def bytes_parser(media_type: str) -> type[BytesParser]:
    """The parser of a media type, which decodes nothing."""
    return type("MediaTypeParser", (BytesParser,), {"media_type": media_type})


def media_type_of(content_type: str) -> str:
    """The media type of a header, without its parameters."""
    return parse_header_parameters(content_type)[0].lower()


def _check_encoding(media_type: str, context: Mapping[str, Any]) -> None:
    request = context.get("request")
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").lower() if request is not None else ""
    if encoding not in _PLAIN:
        raise UnsupportedMediaType(
            media_type,
            f"bodies are read as they are: Content-Encoding is identity or left out, not {encoding[:32]}",
        )
    _, parameters = parse_header_parameters(media_type)
    if parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise UnsupportedMediaType(media_type, "texts are read as UTF-8")
