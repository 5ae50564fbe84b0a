"""Reads a CSV file as blocks of rows: 4 MiB at a time, cut where the event time changes."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from trades.exceptions import BadRow, ImportRefused, NotInOrder
from trades.imports.layout import FileLayout, LineNumbers, ReadOptions, file_layout
from trades.imports.parse import BlockParser, ParsedBlock

BLOCK_BYTES = 4 * 2**20
LINE_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position between two lines.

    offset: uncompressed bytes before it. line: number of the next line. last_ns, symbol: time and symbol of the
    row before it.
    """

    offset: int
    line: int
    last_ns: int | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows of the file, the position after them, and the bytes of the (compressed) file read so far."""

    rows: pa.RecordBatch
    symbols: pa.DictionaryArray
    lines: LineNumbers
    bad: tuple[BadRow, ...]
    end: FilePosition
    read: int

    @property
    def symbol(self) -> str:
        """Return the symbol of a block that has rows of one symbol."""
        return str(self.symbols[0].as_py())


class CsvFile:
    """A `.csv` or `.csv.gz` file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    @contextmanager
    def opened(self, offset: int = 0) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Yield the uncompressed text from `offset` on, and the raw file, whose `tell()` counts the bytes read."""
        with self.path.open("rb") as raw:
            is_compressed = self.path.name.endswith(".gz")
            text = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if is_compressed else raw)
            text.seek(offset)
            yield text, raw

    def layout(self, options: ReadOptions) -> tuple[FileLayout, FilePosition]:
        """Return the layout that the first line gives, and the position of the first row. Raises `ImportRefused`."""
        try:
            with self.opened() as (text, _):
                header = text.readline(LINE_BYTES)
        except (EOFError, gzip.BadGzipFile) as error:
            raise ImportRefused(f"{self.path}: {error}") from error
        try:
            return file_layout(header, options), FilePosition(len(header), 2)
        except ImportRefused as error:
            raise ImportRefused(f"{self.path}: {error}") from error


def blocks_in_order(file: CsvFile, parser: BlockParser, start: FilePosition) -> Iterator[RowBlock]:
    """Yield the rows after `start` of a file in order of time with one symbol. Equal times share a block.

    Raises `NotInOrder` for any other file.
    """
    with file.opened(start.offset) as (stream, raw):
        position, held_back, is_last = start, b"", False
        while not is_last:
            text, is_last = _next_lines(file.path, stream, held_back)
            parsed = parser.parse(text, position.line)
            is_kept = is_last or not len(parsed.lines)
            kept = len(parsed.lines) if is_kept else _rows_before_last_time(parsed)
            newest, symbol = _checked_order(parsed, kept, position)
            line = position.line + parsed.line_count if is_kept else int(parsed.lines[kept])
            cut = len(text) if is_kept else _line_start(text, position.line + parsed.line_count - line)
            position = FilePosition(position.offset + cut, line, newest, symbol)
            held_back = text[cut:]
            block = _block(parsed, kept, position, raw.tell())
            del text, parsed  # frees their memory while the next block is read
            yield block


def blocks_unordered(file: CsvFile, parser: BlockParser, start: FilePosition) -> Iterator[RowBlock]:
    """Yield the rows after `start` in the file's order, whatever their symbols."""
    with file.opened(start.offset) as (stream, raw):
        position, is_last = start, False
        while not is_last:
            text, is_last = _next_lines(file.path, stream, b"")
            parsed = parser.parse(text, position.line)
            position = FilePosition(position.offset + len(text), position.line + parsed.line_count)
            block = _block(parsed, len(parsed.lines), position, raw.tell())
            del text, parsed
            yield block


def _next_lines(path: Path, stream: IO[bytes], held_back: bytes) -> tuple[bytes, bool]:
    """Return the next complete lines, which begin with the text in `held_back`, and whether the file has ended."""
    try:
        piece = stream.read(BLOCK_BYTES)
        rest = stream.readline(LINE_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImportRefused(f"{path}: the compressed file is damaged or cut off: {error}") from error
    if len(rest) == LINE_BYTES:
        raise ImportRefused(f"{path}: a line is longer than {LINE_BYTES:,} bytes")
    return b"".join((held_back, piece, rest)), len(piece) < BLOCK_BYTES


def _rows_before_last_time(parsed: ParsedBlock) -> int:
    """Return the number of rows before the rows with the block's last time."""
    times = parsed.rows.column(0).to_numpy()
    if not len(times):
        return 0
    return int(np.searchsorted(times, times[-1]))


def _checked_order(parsed: ParsedBlock, kept: int, before: FilePosition) -> tuple[int | None, str | None]:
    """Return the last time and the symbol of the first `kept` rows.

    Raises `NotInOrder` unless the rows follow `before`, in order of time and with its symbol.
    """
    times = parsed.rows.column(0).to_numpy()
    if not len(times):
        return before.last_ns, before.symbol
    codes = parsed.symbols.indices.to_numpy()
    symbol = parsed.symbols.dictionary[int(codes[0])].as_py()
    if before.symbol not in (None, symbol) or (codes != codes[0]).any():
        raise NotInOrder("rows of several symbols")
    goes_back = before.last_ns is not None and times[0] <= before.last_ns
    if goes_back or (times[1:] < times[:-1]).any() or not kept:
        raise NotInOrder("rows go back in time")
    return int(times[kept - 1]), symbol


def _line_start(text: bytes, lines: int) -> int:
    """Return the offset of the last `lines` lines of a text that ends with a line end."""
    offset = len(text)
    for _ in range(lines + 1):
        offset = text.rfind(b"\n", 0, offset)
    return offset + 1


def _block(parsed: ParsedBlock, kept: int, end: FilePosition, read: int) -> RowBlock:
    return RowBlock(
        parsed.rows.slice(0, kept),
        parsed.symbols.slice(0, kept),
        parsed.lines[:kept],
        tuple(row for row in parsed.bad if row.line < end.line),
        end,
        read,
    )
