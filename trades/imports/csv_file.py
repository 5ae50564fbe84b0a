"""Reads files of text, such as CSV, also compressed by gzip or Zstandard, at most 4 MiB of text at a time."""

import csv
import io
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.csv import InvalidRow

from store.arrays import Integers
from trades.exceptions import BadRow, ImportRefused
from trades.formats.csv_cells import header_cells, row_lines, split_cells
from trades.imports import blocks
from trades.imports.blocks import FilePiece, check_names, no_check
from trades.imports.compressed import damage_refused, uncompressed

LINE_BYTES = 64 * 2**10
_TAIL_BYTES = 4 * LINE_BYTES
# Lines of titles may come before the first line of at least three cells.
_LINES_BEFORE, _FEWEST_CELLS, _FEWEST_DATA = 100, 3, 2
_IS_DATA = re.compile(r"[-+$€£]?[0-9][0-9.,:;/ TZ+-]*")
_SEPARATOR_LINE = re.compile(rb"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
_LINE_END = ord("\n")
# Cells of a piece, with so many at least counted for each line: one that is wrong costs more.
_CELLS_AT_ONCE, _LEAST_CELLS = 2**20, 16
# Blank lines: so many for each row, and so many more.
_BLANK_PER_ROW, _BLANK_LINES = 4, 1_000_000
# A line of words, such as a program's note at the end, is told from a row that was cut off by two words with a space between.
_IS_NOTE = re.compile(r"[A-Za-z]{2,}[^A-Za-z]* [^A-Za-z]*[A-Za-z]{2,}")


class Guess(NamedTuple):
    """An option that was not given: as it is written after the command, and why the file seems to need it."""

    option: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written. Of what is empty or None, the file's first lines tell it.

    encoding: a codec of Python. skip_lines: the number of lines before the line of names, or before the first row.
    decimal: the decimal mark, a comma or a point; the other one then separates thousands. Empty: a point, and no separator.
    """

    encoding: str = ""
    delimiter: str = ""
    quote: str = ""
    skip_lines: int | None = None
    decimal: str = ""


UNKNOWN_DIALECT = Dialect()


class CsvFile:
    """A text file with cells, also compressed by gzip or Zstandard. Raises `ImportRefused`.

    dialect: how it is written, with what was found in place of what is empty. A first line such as `sep=;` names the
    delimiter. has_names: whether a line names the columns; else their names are their positions, "1" the first.
    first_row: the cells of the first row. guessed: options that were found where the text alone is not certain.
    """

    names: tuple[str, ...]
    first_row: tuple[str, ...]
    has_names: bool
    check: Callable[[], object] = staticmethod(no_check)

    def __init__(self, path: Path, dialect: Dialect = UNKNOWN_DIALECT) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.guessed: list[Guess] = []
        self.notes: tuple[str, ...] = ()
        self._words: tuple[str, ...] = ()  # of the piece that was read last
        self._first_end = 0  # where the first part of the rows ends, once it was read
        self._encoding = ""
        try:
            with damage_refused():
                with self._opened() as (text, _):
                    head = text.read(LINE_BYTES)
                self._encoding = dialect.encoding or self._encoding_to_decode(head)
                with self._opened() as (text, _):
                    lines = io.BytesIO(text.read(LINE_BYTES)).readlines()
                self._read_head(lines, dialect)
        except ImportRefused as error:
            raise ImportRefused(f"{path}: {error}") from error
        check_names(path, self.names)

    def _read_head(self, lines: list[bytes], dialect: Dialect) -> None:
        mark_bytes = len(BOM_UTF8) if lines and lines[0].startswith(BOM_UTF8) else 0
        lines[:1] = [line[mark_bytes:] for line in lines[:1]]
        separator = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
        skipped = 1 if separator else 0
        skipped += self._lines_before(lines[skipped:]) if dialect.skip_lines is None else dialect.skip_lines
        while skipped < len(lines) and not lines[skipped].strip():
            skipped += 1
        if skipped >= len(lines):
            raise ImportRefused("has no line after those that are skipped" if lines else "is empty")
        first, *rest = lines[skipped:]
        delimiter = dialect.delimiter or (
            separator[1].decode() if separator else self._found_delimiter(first)
        )
        quote = dialect.quote or self._found_quote(first, delimiter)
        self.dialect = Dialect(self._encoding, delimiter, quote, skipped, dialect.decimal)
        cells = self._split(first)
        self.has_names = not is_row(cells)
        following = next((line for line in rest if line.strip()), b"") if self.has_names else first
        self.first_row = self._split(following, "replace")
        self.names = cells if self.has_names else tuple(map(str, range(1, len(cells) + 1)))
        if (
            len(self.first_row) == len(self.names) + 1 and not self.first_row[-1]
        ):  # each row ends with a delimiter
            self.names = (*self.names, "")
        # Where the first row begins, and its line.
        before = skipped + self.has_names
        self._start = (mark_bytes + sum(map(len, lines[:before])), before + 1)

    def _lines_before(self, lines: list[bytes]) -> int:
        """Return the number of lines before the first with three cells, if there is one: titles and notes."""
        widths = [len(_cells(line, found_delimiter(line))) for line in lines[:_LINES_BEFORE]]
        count = next((place for place, width in enumerate(widths) if width >= _FEWEST_CELLS), 0)
        if any(line.strip() for line in lines[:count]):
            self.guessed.append(Guess(f"--skip-lines {count}", "they have no cells"))
        return count

    def _found_delimiter(self, line: bytes) -> str:
        delimiter = found_delimiter(line)
        if delimiter != ",":
            self.guessed.append(Guess(f"--delimiter '{delimiter}'", "the first line has most cells by it"))
        return delimiter

    def _found_quote(self, line: bytes, delimiter: str) -> str:
        if line.startswith(b"'") and line.count(b"'") == 2 * len(_cells(line, delimiter)):
            self.guessed.append(Guess('--quote "\'"', "all cells of the first line have it"))
            return "'"
        return '"'

    def _split(self, line: bytes, errors: str = "strict") -> tuple[str, ...]:
        """Return the cells of a line. Raises `ImportRefused`."""
        text, dialect = line.decode("utf-8", errors), self.dialect
        try:
            cells = header_cells(text, dialect.delimiter, quote=dialect.quote)
        except csv.Error as error:
            raise ImportRefused("the first line is not CSV, or lines do not end with a line feed") from error
        return tuple(cell.strip() for cell in cells)

    def _encoding_to_decode(self, head: bytes) -> str:
        """Return the encoding of a text that must be decoded, or has no line feeds; else an empty text."""
        if head.startswith(b"PK"):
            raise ImportRefused("a ZIP archive or a spreadsheet: unpack it, or save it as CSV")
        if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            return "utf-16"
        for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
            if head[first::2].count(0) > len(head) // 4:
                self.guessed.append(Guess(f"--encoding {encoding}", "every second byte is 0"))
                return encoding
        try:
            getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            self.guessed.append(Guess("--encoding windows-1252", "the text is not UTF-8"))
            return "windows-1252"
        return "utf-8" if b"\r" in head and b"\n" not in head else ""

    def first_rows(self, names: Sequence[str]) -> pa.Table:
        """Return the named columns of the rows at the beginning of the file."""
        offset, _ = self._start
        with damage_refused(f"{self.path}: "), self._opened() as (text, _):
            text.read(offset)
            content = text.read(LINE_BYTES) + text.readline(LINE_BYTES)
            return self._cells(content, names, ())[0]

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        line = self._start[1]
        notes: tuple[BadRow, ...] = ()
        words: tuple[str, ...] = ()
        rows = blank = 0
        with damage_refused(f"{self.path}: "):
            for content, count, bytes_read in self._texts():
                lines = range(line, line + count)
                piece = self._piece(content, lines, (names, nulls), bytes_read)
                if notes and len(piece.lines):
                    piece, notes = replace(piece, bad=(*notes, *piece.bad)), ()
                notes += piece.notes
                words = (*(() if len(piece.lines) else words), *self._words)
                self.notes = words
                yield piece
                self.check()
                line, rows = lines.stop, rows + len(piece.lines)
                blank += len(lines) - len(piece.lines) - len(piece.bad)
                if blank > _BLANK_LINES + _BLANK_PER_ROW * rows:
                    raise ImportRefused(
                        f"{self.path}: has {blank:,} blank lines up to line {line - 1:,}; delete them"
                    )

    def _texts(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield the text after the names in parts of whole lines, with their number and the bytes of the file read so far."""
        most = max(_CELLS_AT_ONCE // max(len(self.names), _LEAST_CELLS), 1)
        offset, _ = self._start
        with self._opened() as (text, raw):
            text.read(offset)
            while content := text.read(blocks.BLOCK_BYTES):
                rest = text.readline(LINE_BYTES)
                if len(rest) == LINE_BYTES:
                    raise ImportRefused(f"{self.path}: a line is longer than {LINE_BYTES:,} bytes")
                for part, count in _parts(content + rest, most):
                    self._first_end = self._first_end or offset + len(part)
                    yield part, count, raw.tell()

    def last_piece(self, names: Sequence[str], nulls: Sequence[str] = ()) -> FilePiece | None:
        """Return the named columns of the last lines after the first of `pieces`, which was read; None if there are none.

        The lines between are not read. None also for text that is compressed or decoded. The numbers of the lines are too
        large; their order is right.
        """
        with self.path.open("rb") as raw:
            if self._encoding or uncompressed(raw) is not raw:
                return None
            raw.seek(max(self._first_end, self.size - _TAIL_BYTES))
            raw.readline()
            first_line, content = raw.tell(), raw.read()
        if not content:
            return None
        try:
            lines = range(first_line, first_line + _line_count(content))
            return self._piece(content, lines, (names, nulls), self.size)
        except ImportRefused:  # a quoted line feed is where the text was cut
            return None

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
        words: dict[int, str] = {}
        for number, row in zip(numbers[1].tolist(), torn, strict=True):
            if row.text.strip():
                wrong[number] = f"has {row.actual_columns} cells instead of {len(self.names)}"
            if row.actual_columns == 1 and _IS_NOTE.search(row.text) and number > numbers[0].max(initial=-1):
                words[number] = row.text.strip().strip(self.dialect.quote)
        self._words = tuple(words.values())
        bad = {number: BadRow(self.path, lines.start + number, None, text) for number, text in wrong.items()}
        notes = tuple(bad.pop(number) for number in words)
        return FilePiece(
            table, lines.start + numbers[0], tuple(bad.values()), bytes_read, is_escaped=True, notes=notes
        )

    def _cells(
        self, text: bytes, names: Sequence[str], nulls: Sequence[str]
    ) -> tuple[pa.Table, list[InvalidRow]]:
        """Return some columns, and the torn rows; invalid UTF-8 is replaced by a character that no rule accepts."""
        torn: list[InvalidRow] = []
        if not text.isascii():
            text = text.decode("utf-8", "replace").encode()
        dialect = self.dialect
        table = split_cells(
            text,
            self.names,
            delimiter=dialect.delimiter,
            quote=dialect.quote,
            read=names,
            nulls=nulls,
            torn=torn,
        )
        return table, torn

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the uncompressed text in UTF-8, and the raw file, whose `tell()` counts the bytes read."""
        with self.path.open("rb") as raw:
            text = uncompressed(raw)
            if self._encoding:
                yield io.BufferedReader(_Decoded(io.TextIOWrapper(text, self._encoding, "replace"))), raw
            else:
                yield text, raw


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


def found_delimiter(line: bytes) -> str:
    """Return the delimiter by which a line has most cells; the comma for one cell. A comma may be a decimal mark."""
    counts = {each: len(_cells(line, each)) for each in ";\t|,"}
    return max(counts, key=counts.__getitem__) if max(counts.values()) > 1 else ","


def _cells(line: bytes, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.decode("latin-1").strip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []


def is_row(cells: Sequence[str]) -> bool:
    """Return whether cells are those of a row, not names: two are numbers or times."""
    return sum(_IS_DATA.fullmatch(cell) is not None for cell in cells) >= _FEWEST_DATA


def _line_count(text: bytes) -> int:
    """Return the number of lines. For short lines this is five times as fast as `bytes.count`."""
    ends = int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _LINE_END))
    return ends + (bool(text) and not text.endswith(b"\n"))


def _parts(text: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines in parts of at most `most`, with their number: short lines take many times their bytes."""
    if (count := _line_count(text)) <= most:
        yield text, count
        return
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _LINE_END)[most - 1 :: most] + 1
    starts = [0, *ends.tolist()]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if part := text[start:end]:
            yield part, _line_count(part)


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
