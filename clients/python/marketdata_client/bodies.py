"""Reads answers without trusting them: no more bytes than allowed, in no more time, in a known encoding."""

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from marketdata_client.errors import BadAnswer

# A body is decompressed in pieces of so many bytes; deflate makes up to a thousand of one.
_PIECE_BYTES = 2**20
_GZIP = 31


class BodyDecoder:
    """Decompresses a body and counts its bytes.

    limit: bytes of the whole body after decompression. seconds: for the whole body.
    """

    def __init__(self, headers: Mapping[str, str], *, limit: float, seconds: float) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity", "gzip"}:
            raise BadAnswer(f"the answer has the encoding {encoding[:40]!r}, which was not asked for")
        self._gzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._left = limit
        self._deadline = time.monotonic() + seconds

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        """Yield what bytes become, as bounded pieces. Raises `BadAnswer`."""
        if time.monotonic() > self._deadline:
            raise BadAnswer("the answer took too long")
        for piece in [raw] if self._gzip is None else self._inflated(raw):
            self._left -= len(piece)
            if self._left < 0:
                raise BadAnswer("the answer is too large")
            if piece:
                yield piece

    def end(self) -> None:
        """Raise `BadAnswer` if the body was cut."""
        if self._gzip is not None and not self._gzip.eof:
            raise BadAnswer("the compressed answer is not whole")

    def _inflated(self, raw: bytes) -> Iterator[bytes]:
        assert self._gzip is not None  # noqa: S101 the caller has checked it
        is_full = True
        while is_full:
            try:
                piece = self._gzip.decompress(raw, _PIECE_BYTES)
            except zlib.error as error:
                raise BadAnswer("the answer is not valid gzip") from error
            if self._gzip.unused_data:
                raise BadAnswer("bytes follow the compressed answer")
            yield piece
            raw, is_full = self._gzip.unconsumed_tail, len(piece) == _PIECE_BYTES


def json_in(body: bytes) -> Any:
    """Return the document of a body. Raises `BadAnswer`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("the answer is not a JSON document") from error


def object_in(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises `BadAnswer`."""
    found = json_in(body)
    if not isinstance(found, dict):
        raise BadAnswer("the answer is not a JSON object")
    return found
