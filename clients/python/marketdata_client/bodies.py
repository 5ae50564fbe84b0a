"""Reads answers without trusting them: no more bytes than allowed, in no more time, in a known encoding."""

import json
import time
import zlib
from collections.abc import Mapping
from typing import Any

from marketdata_client.errors import BadAnswer

# A stream is decompressed in pieces of so many bytes; deflate makes up to a thousand of one.
_PIECE_BYTES = 2**20
_GZIP = 31


class BodyDecoder:
    """Decompresses the pieces of a body and counts them.

    limit: bytes of the whole body after decompression; None: only each piece is bounded. seconds: for the whole body.
    has_more: whether `take` without further bytes gives more of a compressed piece.
    """

    has_more = False

    def __init__(
        self, headers: Mapping[str, str], *, limit: int | None, seconds: float | None = None
    ) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity", "gzip"}:
            raise BadAnswer(f"the answer has the encoding {encoding[:40]!r}, which was not asked for")
        self._gzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._left = limit
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def take(self, raw: bytes) -> bytes:
        """Return what a piece becomes. Raises `BadAnswer`."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise BadAnswer("the answer took too long")
        if self._left is None:
            return raw if self._gzip is None else self._inflated(raw, _PIECE_BYTES)
        decoded = raw if self._gzip is None else self._inflated(raw, self._left + 1)
        self._left -= len(decoded)
        if self._left < 0:
            raise BadAnswer("the answer is too large")
        return decoded

    def end(self) -> None:
        """Raise `BadAnswer` if the body was cut."""
        if self._gzip is not None and not self._gzip.eof:
            raise BadAnswer("the compressed answer is not whole")

    def _inflated(self, raw: bytes, most: int) -> bytes:
        assert self._gzip is not None  # noqa: S101 the caller has checked it
        try:
            decoded = self._gzip.decompress(self._gzip.unconsumed_tail + raw, most)
        except zlib.error as error:
            raise BadAnswer("the answer is not valid gzip") from error
        if self._gzip.unused_data:
            raise BadAnswer("bytes follow the compressed answer")
        self.has_more = bool(self._gzip.unconsumed_tail) or (len(decoded) == most and not self._gzip.eof)
        return decoded


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
