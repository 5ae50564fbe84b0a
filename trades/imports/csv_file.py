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
import pyarrow.csv as pacsv

from store.arrays import Integers
from trades.exceptions import BadRow, ImportRefused
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
        bad, first = [], lines.start
        table = self._cells(text, *columns)
        numbers = _line_numbers(text, table, len(lines))
        if numbers is None:
            text, unclosed = _without_unclosed_quotes(text)
            message = "a quotation mark is not closed"
            bad = [BadRow(self.path, first + number, None, message) for number in unclosed]
            table = self._cells(text, *columns)
            numbers = _line_numbers(text, table, len(lines))
        if numbers is None:
            raise ImportRefused(
                f"{self.path}: from line {first} on, the quotation marks do not match: correct them"
            )
        for line, (_, count) in zip(numbers[1].tolist(), table.torn, strict=True):
            if count:
                message = f"has {count} cells instead of {len(self.names)}"
                bad.append(BadRow(self.path, first + line, None, message))
        return FilePiece(table.cells, first + numbers[0], tuple(bad), bytes_read)

    def _cells(self, text: bytes, names: Sequence[str], nulls: Sequence[str]) -> "_LineTable":
        """Return some columns as texts; invalid UTF-8 is replaced by a character that no rule accepts."""
        torn: list[tuple[int, int]] = []

        def skip(row: pacsv.InvalidRow) -> str:
            torn.append((row.number - 1, row.actual_columns if row.text.strip() else 0))
            return "skip"

        if not text or text.isspace():
            return _LineTable(pa.table({name: pa.array([], pa.string()) for name in names}), torn)
        try:
            cells = pacsv.read_csv(
                pa.py_buffer(text),
                pacsv.ReadOptions(column_names=self.names, use_threads=False, block_size=len(text) + 1),
                pacsv.ParseOptions(delimiter=self.dialect.delimiter, invalid_row_handler=skip),
                pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=list(names),
                    null_values=["", *nulls],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:
            replaced = text.decode("utf-8", "replace").encode()
            if replaced == text:
                raise
            return self._cells(replaced, names, nulls)
        return _LineTable(cells, torn)

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
        text = header.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise ImportRefused(
            "the first line is not UTF-8 text: unpack the file, or save it as UTF-8"
        ) from error
    try:
        return tuple(name.strip() for name in next(csv.reader([text], delimiter=delimiter), []))
    except csv.Error as error:
        raise ImportRefused("the first line is not CSV, or lines do not end with a line feed") from error


@dataclass(frozen=True, slots=True)
class _LineTable:
    """Columns by their names in the file.

    torn: lines with too many or too few cells, as (index among the non-empty lines, number of cells). A line of spaces
    has none.
    """

    cells: pa.Table
    torn: list[tuple[int, int]]


def _line_count(text: bytes) -> int:
    """Return the number of lines. For short lines this is five times as fast as `bytes.count`."""
    ends = int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _LINE_END))
    return ends + (bool(text) and not text.endswith(b"\n"))


def _line_numbers(text: bytes, table: _LineTable, count: int) -> tuple[Integers, Integers] | None:
    """Return the line numbers of the rows and of the torn lines, from 0; None if a row spans several lines."""
    rows, torn = table.cells.num_rows, [index for index, _ in table.torn]
    filled = np.arange(rows)
    if rows != count:
        numbered = enumerate(text.split(b"\n"))
        filled = np.array([number for number, line in numbered if line.strip(b"\r")], dtype=np.int64)
    if len(filled) != rows + len(torn):
        return None
    return (np.delete(filled, torn), filled[torn]) if torn else (filled, filled[:0])


def _without_unclosed_quotes(text: bytes) -> tuple[bytes, list[int]]:
    """Empty the lines with an odd number of quotation marks; return the text and the numbers of these lines, from 0."""
    lines = text.split(b"\n")
    unclosed = [number for number, line in enumerate(lines) if line.count(b'"') % 2]
    for number in unclosed:
        lines[number] = b""
    return b"\n".join(lines), unclosed
