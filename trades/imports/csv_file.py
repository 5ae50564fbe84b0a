"""Reads CSV files, also compressed by gzip or Zstandard, 4 MiB of text at a time."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from trades.exceptions import ImportRefused
from trades.imports import blocks
from trades.imports.blocks import FilePosition, Pieces
from trades.imports.layout import header_names
from trades.imports.parse import BlockParser, ParsedBlock

LINE_BYTES = 64 * 2**10
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException)


class CsvFile:
    """A `.csv` file, or one that is compressed: `.csv.gz`, `.csv.zst`. Raises `ImportRefused`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        try:
            with self._opened(0) as (text, _):
                header, self.first_line = text.readline(LINE_BYTES), text.readline(LINE_BYTES)
            self.names = header_names(header)
        except (*_DAMAGE, ImportRefused) as error:
            raise ImportRefused(f"{path}: {error}") from error
        self.start = FilePosition(len(header), 2)

    @contextmanager
    def pieces(self, parser: BlockParser, start: FilePosition) -> Iterator[Pieces]:
        """Open the file at a position."""
        with self._opened(start.offset) as (text, raw):
            yield _CsvPieces(self.path, text, raw, parser, start)

    @contextmanager
    def _opened(self, offset: int) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the uncompressed text from `offset` on, and the raw file, whose `tell()` counts the bytes read."""
        with self.path.open("rb") as raw:
            text = uncompressed(self.path, raw)
            skip(text, offset)
            yield text, raw


def uncompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """Return the content of a file, which its suffix says to be compressed or not."""
    if path.name.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if path.name.endswith(".zst"):
        return cast("IO[bytes]", io.BufferedReader(pa.CompressedInputStream(raw, "zstd")))
    return raw


def skip(content: IO[bytes], count: int) -> None:
    """Go on by `count` bytes. A stream without seek is read."""
    if content.seekable():
        content.seek(count)
        return
    while count > 0 and (piece := content.read(min(count, blocks.BLOCK_BYTES))):
        count -= len(piece)


class _CsvPieces:
    """The text of a file, in complete lines."""

    def __init__(
        self, path: Path, text: IO[bytes], raw: IO[bytes], parser: BlockParser, position: FilePosition
    ) -> None:
        self.bytes_read = 0
        self._path = path
        self._stream = text
        self._raw = raw
        self._parser = parser
        self._position = position
        self._text = b""
        self._lines = 0

    def next(self) -> tuple[ParsedBlock, bool]:
        """See `Pieces`."""
        try:
            piece = self._stream.read(blocks.BLOCK_BYTES)
            rest = self._stream.readline(LINE_BYTES)
        except _DAMAGE as error:
            raise ImportRefused(
                f"{self._path}: the compressed file is damaged or cut off: {error}"
            ) from error
        if len(rest) == LINE_BYTES:
            raise ImportRefused(f"{self._path}: a line is longer than {LINE_BYTES:,} bytes")
        self._text = b"".join((self._text, piece, rest))
        self.bytes_read = self._raw.tell()
        parsed = self._parser.parse(self._text, self._position.line)
        self._lines = parsed.line_count
        return parsed, len(piece) < blocks.BLOCK_BYTES

    def take(self, line: int | None) -> FilePosition:
        """See `Pieces`."""
        end = self._position.line + self._lines
        cut = len(self._text) if line is None else _line_start(self._text, end - line)
        self._position = FilePosition(self._position.offset + cut, end if line is None else line)
        self._text = self._text[cut:]
        return self._position


def _line_start(text: bytes, lines: int) -> int:
    """Return the offset of the last `lines` lines of a text that ends with a line end."""
    offset = len(text)
    for _ in range(lines + 1):
        offset = text.rfind(b"\n", 0, offset)
    return offset + 1
