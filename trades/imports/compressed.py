"""Reads files that may be compressed by gzip or Zstandard, as long as their text is not much larger than the file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import IO, Any

import pyarrow as pa

from trades.exceptions import ImportRefused

_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Uncompressed text: so many times the bytes of the file that were read, and so much more. Rows of ticks are below 50 times.
_TEXT_FACTOR, _TEXT_BYTES = 250, 16 * 2**20
_READ_AT_ONCE = 2**17


class _Uncompressed(io.RawIOBase):
    """The text of a compressed file, as long as it is not much larger than the file."""

    def __init__(self, text: Any, raw: BufferedReader) -> None:
        self._text, self._raw, self._count = text, raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._text.readinto(buffer))
        self._count += count
        most = _TEXT_FACTOR * self._raw.tell() + _TEXT_BYTES
        if self._count > most:
            raise ImportRefused(
                f"{self._raw.name}: the text is more than {_TEXT_FACTOR} times as large as the compressed file: send it"
                " uncompressed"
            )
        return count


@contextmanager
def damage_refused(place: str = "") -> Iterator[None]:
    """Raise `ImportRefused` for what readers raise of files that are damaged or written otherwise. place: before it."""
    try:
        yield
    except (EOFError, pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
            raise
        raise ImportRefused(f"{place}the file is damaged or cut off: {error!s:.200}") from error


def uncompressed(raw: BufferedReader) -> IO[bytes]:
    """Return the content of a file at its beginning, whose first bytes tell whether it is compressed.

    Reading raises `ImportRefused` for a text that is much larger than the file.
    """
    head = raw.peek(4)[:4]
    if head.startswith(_GZIP):
        compression = "gzip"  # Python's reader takes a hundred times as long for each empty member
    elif head == _ZSTANDARD:
        compression = "zstd"
    else:
        return raw
    text = pa.CompressedInputStream(raw, compression)
    return io.BufferedReader(_Uncompressed(text, raw), _READ_AT_ONCE)
