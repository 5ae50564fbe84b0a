"""Reads files of text, such as CSV, also compressed by gzip or Zstandard, 4 MiB of text at a time."""

import csv
import gzip
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
from pyarrow.csv import InvalidRow

from store.arrays import Integers
from trades.exceptions import BadRow, ImportRefused
from trades.formats.csv_cells import header_cells, row_lines, split_cells
from trades.imports import blocks
from trades.imports.blocks import FilePiece

LINE_BYTES = 64 * 2**10
_GZIP, _ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SEPARATOR_LINE = re.compile(rb"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
_DAMAGED = "the file is damaged or cut off"
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException)
_LINE_END = ord("\n")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written. header: the names of its columns, if no line has them.

    skip_lines: the number of lines before the line of names, or before the first row. decimal: the decimal mark, a comma
    or a point; the other one then separates thousands. Empty: a point, and no separator.
    """

    delimiter: str = ","
    decimal: str = ""
    header: tuple[str, ...] = ()
    skip_lines: int = 0


PLAIN = Dialect()


class CsvFile:
    """A text file with cells, also compressed by gzip or Zstandard. Raises `ImportRefused`.

    dialect: how it is written; the delimiter is found by the line of names, or by a first line such as `sep=;`.
    """

    def __init__(self, path: Path, dialect: Dialect = PLAIN) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._encoding = ""
        try:
            with self._opened() as (text, _):
                head = text.read(LINE_BYTES)
            self._encoding = _encoding_to_decode(head)
            with self._opened() as (text, _):
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
        # Where the first row begins, and its line.
        self._start = (offset or has_mark * len(BOM_UTF8), number)
        if dialect.header:
            self.names, self._first_line = dialect.header, line.removeprefix(BOM_UTF8)
            return
        self.names, self._first_line = header_names(line, delimiter), text.readline(LINE_BYTES)
        self._start = (offset + len(line), number + 1)
        cells = header_names(self._first_line, delimiter) if self._first_line.isascii() else ()
        if len(cells) == len(self.names) + 1 and not cells[-1]:  # each row ends with a delimiter
            self.names = (*self.names, "")

    def first_cell(self, name: str) -> str:
        """Return a cell of the first row; an empty text for a column that the file lacks."""
        text = self._first_line.decode("utf-8", "replace").strip("\r\n")
        cells = next(csv.reader([text], delimiter=self.dialect.delimiter), [])
        return dict(zip(self.names, cells, strict=False)).get(name, "")

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        offset, line = self._start
        try:
            with self._opened() as (text, raw):
                text.read(offset)
                while content := text.read(blocks.BLOCK_BYTES):
                    rest = text.readline(LINE_BYTES)
                    if len(rest) == LINE_BYTES:
                        raise ImportRefused(f"{self.path}: a line is longer than {LINE_BYTES:,} bytes")
                    content += rest
                    lines = range(line, line + _line_count(content))
                    yield self._piece(content, lines, (names, nulls), raw.tell())
                    line = lines.stop
        except _DAMAGE as error:
            raise ImportRefused(f"{self.path}: {_DAMAGED}: {error}") from error

    def _piece(
        self, text: bytes, lines: range, columns: tuple[Sequence[str], Sequence[str]], bytes_read: int
    ) -> FilePiece:
        """Return the cells of complete lines with these numbers."""
        unclosed: list[int] = []
        table, torn = self._cells(text, *columns)
        numbers = _row_numbers(text, table, torn, len(lines))
        if numbers is None:
            text, unclosed = _without_unclosed_quotes(text)
            table, torn = self._cells(text, *columns)
            numbers = _row_numbers(text, table, torn, len(lines))
        if numbers is None:
            raise ImportRefused(
                f"{self.path}: from line {lines.start} on, the quotation marks do not match: correct them"
            )
        wrong = dict.fromkeys(unclosed, "a quotation mark is not closed")
        for number, row in zip(numbers[1].tolist(), torn, strict=True):
            if row.text.strip():
                wrong[number] = f"has {row.actual_columns} cells instead of {len(self.names)}"
        bad = [BadRow(self.path, lines.start + number, None, message) for number, message in wrong.items()]
        return FilePiece(table, lines.start + numbers[0], tuple(bad), bytes_read)

    def _cells(
        self, text: bytes, names: Sequence[str], nulls: Sequence[str]
    ) -> tuple[pa.Table, list[InvalidRow]]:
        """Return some columns, and the torn rows; invalid UTF-8 is replaced by a character that no rule accepts."""
        torn: list[InvalidRow] = []
        if not text.isascii():
            text = text.decode("utf-8", "replace").encode()
        delimiter = self.dialect.delimiter
        return split_cells(text, self.names, delimiter=delimiter, read=names, nulls=nulls, torn=torn), torn

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the uncompressed text in UTF-8, and the raw file, whose `tell()` counts the bytes read."""
        with self.path.open("rb") as raw:
            text = uncompressed(raw)
            if self._encoding:
                yield io.BufferedReader(_Decoded(io.TextIOWrapper(text, self._encoding, "replace"))), raw
            else:
                yield text, raw


def _encoding_to_decode(head: bytes) -> str:
    """Return the encoding of a text that must be decoded: one in UTF-16, or without line feeds; else an empty text."""
    if head.startswith(b"PK"):
        raise ImportRefused("a ZIP archive or a spreadsheet: unpack it, or save it as CSV")
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8" if b"\r" in head and b"\n" not in head else ""


class _Decoded(io.RawIOBase):
    """A text in UTF-8, whose lines end with line feeds."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._text.read(max(len(buffer) // 4, 1)).encode()
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


def found_delimiter(line: bytes) -> str:
    """Return the delimiter by which a line has most cells; the comma for one cell. A comma may be a decimal mark."""
    text = line.decode("latin-1").strip("\r\n")
    counts = {each: len(next(csv.reader([text], delimiter=each), [])) for each in ";\t|,"}
    return max(counts, key=counts.__getitem__) if max(counts.values()) > 1 else ","


def header_names(header: bytes, delimiter: str = ",") -> tuple[str, ...]:
    """Return the names in the first line of a CSV file. Raises `ImportRefused`."""
    try:
        return tuple(name.strip() for name in header_cells(header, delimiter))
    except UnicodeDecodeError as error:
        raise ImportRefused(
            "the first line is not UTF-8 text: unpack the file, or save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise ImportRefused("the first line is not CSV, or lines do not end with a line feed") from error


def _line_count(text: bytes) -> int:
    """Return the number of lines. For short lines this is five times as fast as `bytes.count`."""
    ends = int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _LINE_END))
    return ends + (bool(text) and not text.endswith(b"\n"))


def _row_numbers(
    text: bytes, table: pa.Table, torn: Sequence[InvalidRow], count: int
) -> tuple[Integers, Integers] | None:
    """Return the line numbers of the rows and of the torn rows, from 0; None if a row spans several lines."""
    total = table.num_rows + len(torn)
    filled = np.arange(total) if total == count else np.array(row_lines(text, total + 1, is_quoted=False)) - 1
    if len(filled) != total:
        return None
    of_torn = [row.number - 1 for row in torn]
    return np.delete(filled, of_torn), filled[of_torn]


def _without_unclosed_quotes(text: bytes) -> tuple[bytes, list[int]]:
    """Empty the lines with an odd number of quotation marks; return the text and the numbers of these lines, from 0."""
    lines = text.split(b"\n")
    unclosed = [number for number, line in enumerate(lines) if line.count(b'"') % 2]
    for number in unclosed:
        lines[number] = b""
    return b"\n".join(lines), unclosed
