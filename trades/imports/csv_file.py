"""Reads files of text, such as CSV, also compressed by gzip or Zstandard, 4 MiB of text at a time."""

import csv
import gzip
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from trades.exceptions import ImportRefused
from trades.imports import blocks
from trades.imports.blocks import FilePosition, Pieces
from trades.imports.layout import Dialect, found_delimiter, header_names, read_lines
from trades.imports.parse import BlockParser, ParsedBlock

LINE_BYTES = 64 * 2**10
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SEPARATOR_LINE = re.compile(rb"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
_DAMAGED = "the compressed file is damaged or cut off"
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException)


class CsvFile:
    """A text file with cells, also compressed by gzip or Zstandard. Raises `ImportRefused`.

    dialect: how it is written; the delimiter is found by the line of names, or by a first line such as `sep=;`.
    """

    def __init__(self, path: Path, dialect: Dialect = Dialect()) -> None:  # noqa: B008 it is immutable
        self.path = path
        self.size = path.stat().st_size
        self._has_cr_only = False
        try:
            with self._opened(0) as (text, _):
                head = text.read(LINE_BYTES)
            _check_is_text(head)
            self._has_cr_only = b"\r" in head and b"\n" not in head
            with self._opened(0) as (text, _):
                self._read_head(text, dialect)
        except _DAMAGE as error:
            raise ImportRefused(f"{path}: {_DAMAGED}: {error}") from error
        except ImportRefused as error:
            raise ImportRefused(f"{path}: {error}") from error

    def _read_head(self, text: IO[bytes], dialect: Dialect) -> None:
        offset, number, line = 0, 1, text.readline(LINE_BYTES)
        has_mark = line.startswith(BOM_UTF8)
        separator = _SEPARATOR_LINE.fullmatch(line.removeprefix(BOM_UTF8))
        skipped = dialect.skip_lines + bool(separator)
        while line and (skipped > 0 or not line.strip()):
            offset, number, line = offset + len(line), number + 1, text.readline(LINE_BYTES)
            skipped -= 1
        delimiter = separator[1].decode() if separator else found_delimiter(line)
        self.dialect = replace(dialect, delimiter=delimiter)
        if dialect.header:
            self.names, self.first_line = dialect.header, line.removeprefix(BOM_UTF8)
            self.start = FilePosition(offset or has_mark * len(BOM_UTF8), number)
            return
        self.names, self.first_line = header_names(line, delimiter), text.readline(LINE_BYTES)
        self.start = FilePosition(offset + len(line), number + 1)
        cells = header_names(self.first_line, delimiter) if self.first_line.isascii() else ()
        if len(cells) == len(self.names) + 1 and not cells[-1]:  # each row ends with a delimiter
            self.names = (*self.names, "")

    def first_cell(self, name: str) -> str:
        """Return a cell of the first row; an empty text for a column that the file lacks."""
        text = self.first_line.decode("utf-8", "replace").strip("\r\n")
        cells = next(csv.reader([text], delimiter=self.dialect.delimiter), [])
        return dict(zip(self.names, cells, strict=False)).get(name, "")

    @contextmanager
    def pieces(self, parser: BlockParser, start: FilePosition) -> Iterator[Pieces]:
        """Open the file at a position."""
        with self._opened(start.offset) as (text, raw):
            yield _CsvPieces(self.path, text, raw, parser, start)

    def texts(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """See `SourceFile`."""
        types = dict.fromkeys(names, pa.binary())
        try:
            with self._opened(self.start.offset) as (text, _):
                while piece := text.read(blocks.BLOCK_BYTES) + text.readline(LINE_BYTES):
                    yield read_lines(piece, self.names, types, delimiter=self.dialect.delimiter).cells
        except _DAMAGE as error:
            raise ImportRefused(f"{self.path}: {_DAMAGED}: {error}") from error

    @contextmanager
    def _opened(self, offset: int) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the uncompressed text from `offset` on, and the raw file, whose `tell()` counts the bytes read."""
        with self.path.open("rb") as raw:
            text = uncompressed(raw)
            skip(text, offset)
            yield io.BufferedReader(_LineFeeds(text)) if self._has_cr_only else text, raw


def _check_is_text(head: bytes) -> None:
    if head.startswith(b"PK"):
        raise ImportRefused("a ZIP archive or a spreadsheet: unpack it, or save it as CSV")
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ImportRefused("text in UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")


class _LineFeeds(io.RawIOBase):
    """Text whose lines end with carriage returns, as lines that end with line feeds."""

    def __init__(self, text: IO[bytes]) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._text.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(piece)] = piece
        return len(piece)


def uncompressed(raw: BufferedReader) -> IO[bytes]:
    """Return the content of a file at its beginning, whose first bytes tell whether it is compressed."""
    head = raw.peek(4)[:4]
    if head.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if head == _ZSTANDARD:
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
            raise ImportRefused(f"{self._path}: {_DAMAGED}: {error}") from error
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
