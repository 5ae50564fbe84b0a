"""DRF parsers: raw bytes for views that decode the body themselves, strict JSON for all others."""

from collections.abc import Mapping
from typing import IO, Any

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from web.requests.exceptions import MalformedDocument
from web.requests.json_document import read_json

_PLAIN = {"", "identity"}
_UTF_8 = {"utf-8", "utf8"}


# Media types of bodies whose values become Python objects, and the most bytes of such a body.
DOCUMENT_TYPES = frozenset({"application/json", "application/x-ndjson", "application/msgpack"})
DOCUMENT_BYTES = 16 * 2**20


class BytesParser(BaseParser):
    """A parser that returns the body as bytes."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body. Raises UnsupportedMediaType if it is compressed or its charset is not UTF-8."""
        _check_encoding(media_type or "", parser_context or {})
        return stream.read()


class JSONBytesParser(BytesParser):
    """`application/json` as bytes."""

    media_type = "application/json"
    renderer_class = JSONRenderer  # the browsable API fills its form with it


class LinesBytesParser(BytesParser):
    """`application/x-ndjson` as bytes."""

    media_type = "application/x-ndjson"


class CSVBytesParser(BytesParser):
    """`text/csv` as bytes."""

    media_type = "text/csv"


class MessagePackBytesParser(BytesParser):
    """`application/msgpack` as bytes."""

    media_type = "application/msgpack"


class ArrowBytesParser(BytesParser):
    """An Arrow stream as bytes."""

    media_type = "application/vnd.apache.arrow.stream"


class JSONDocumentParser(JSONBytesParser):
    """`application/json`, parsed strictly, for small bodies."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the parsed document. Raises MalformedDocument and UnsupportedMediaType."""
        return read_json(super().parse(stream, media_type, parser_context))


def request_document(request: Request) -> Any:
    """Return a request's JSON document. Raises MalformedDocument, also for a missing body (DRF would return `{}`)."""
    if request.stream is None:
        raise MalformedDocument("malformed_json", "there is no body; send one JSON document")
    return request.data


def take_body(request: Request) -> bytes:
    """Return the bytes that a BytesParser read (b"" without a body), and remove them from the request.

    DRF's requests and views refer to each other, so the body would stay in memory until the next garbage collection.
    """
    body = request.data
    vars(request).update(_data=b"", _full_data=b"")
    return body if isinstance(body, bytes) else b""


def media_type_of(content_type: str) -> str:
    """Return the media type of a Content-Type header, in lower case, without parameters."""
    return parse_header_parameters(content_type)[0].lower()


def refuse_encoding(media_type: str, encoding: str) -> None:
    """Raise UnsupportedMediaType for a compressed body."""
    if encoding.lower() not in _PLAIN:
        raise UnsupportedMediaType(
            media_type,
            f"send the body uncompressed: Content-Encoding is identity or left out, not {encoding[:32]}",
        )


def _check_encoding(media_type: str, context: Mapping[str, Any]) -> None:
    request = context.get("request")
    refuse_encoding(media_type, request.META.get("HTTP_CONTENT_ENCODING", "") if request is not None else "")
    _, parameters = parse_header_parameters(media_type)
    if parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise UnsupportedMediaType(media_type, "send the body in UTF-8")
