"""Content encodings: negotiation by `Accept-Encoding`, and compression of bodies."""

import gzip
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import pyarrow as pa

Encoding: TypeAlias = Literal["gzip", "zstd"]
# A body that is made piece by piece.
Pieces: TypeAlias = Generator[bytes | memoryview]

# Smaller bodies are not compressed, because they fit into one packet together with the headers.
_LEAST_BYTES = 1024
# For 1,000 bars, gzip level 5 would save a tenth of the bytes and take a third longer. zstd level 4 would save nothing
# and take three times as long.
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 3
# Of a stream of NDJSON, gzip level 4 would save an eighth of the bytes and take almost twice as long. zstd has Arrow's
# default level, 1: level 3 takes half as long again and saves nothing.
_STREAM_GZIP_LEVEL = 1
_GZIP_WRAPPER = 16 + zlib.MAX_WBITS

# The first is preferred if a client accepts both equally: zstd is five times as fast, and its output is smaller.
ENCODINGS: tuple[Encoding, ...] = ("zstd", "gzip")
_ALIASES = {"x-gzip": "gzip"}
_WEIGHTED = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready to send. encoding: None if it is not compressed."""

    body: bytes
    encoding: Encoding | None


@lru_cache(maxsize=64)
def accepted_encoding(header: str | None) -> Encoding | None:
    """Return the encoding that `Accept-Encoding` prefers (RFC 9110, 12.5.3); None for an uncompressed body.

    Also returns None if the client refuses every encoding. Malformed parts of the header are ignored.
    """
    weights = dict(_weights(header or ""))
    default = weights.get("*", 0.0)
    best = max(ENCODINGS, key=lambda encoding: weights.get(encoding, default))
    weight = weights.get(best, default)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def compressed(body: bytes, encoding: Encoding | None) -> Encoded:
    """Compress a body. A body below 1 KiB, or one that would not shrink, stays as it is.

    Equal bodies give equal bytes.
    """
    if encoding is not None and len(body) >= _LEAST_BYTES:
        packed = _COMPRESS[encoding](body)
        if len(packed) < len(body):
            return Encoded(packed, encoding)
    return Encoded(body, None)


def compressed_pieces(pieces: Pieces, encoding: Encoding | None) -> Pieces:
    """Yield a body's pieces compressed: one gzip member or one zstd frame. None leaves them as they are.

    A client can decode each piece as soon as it arrives. If `pieces` raises an error, the compressed body has no
    end.
    """
    return pieces if encoding is None else _STREAM[encoding](pieces)


def _weights(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(","):
        match = _WEIGHTED.fullmatch(part)
        if match:
            name = match[1].lower()
            yield _ALIASES.get(name, name), float(match[2] or 1)


def _gzip_pieces(pieces: Pieces) -> Pieces:
    compressor = zlib.compressobj(_STREAM_GZIP_LEVEL, wbits=_GZIP_WRAPPER)
    for piece in pieces:
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()


def _zstd_pieces(pieces: Pieces) -> Pieces:
    sink = _Sink()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "w"), "zstd") as compressor:
        for piece in pieces:
            compressor.write(piece)
            compressor.flush()
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file for Arrow that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing, so that the end can be taken."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _zstd(body: bytes) -> bytes:
    return pa.Codec("zstd", _ZSTD_LEVEL).compress(body, asbytes=True)  # type: ignore[no-any-return]


_COMPRESS: dict[Encoding, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, _GZIP_LEVEL, mtime=0),
    "zstd": _zstd,
}
_STREAM: dict[Encoding, Callable[[Pieces], Pieces]] = {
    "gzip": _gzip_pieces,
    "zstd": _zstd_pieces,
}
