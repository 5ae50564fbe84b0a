"""A file as blocks of rows: read in pieces of 4 MiB, each cut where its event time changes."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from trades.imports.exceptions import BadRow, ImportRefused, NotInOrder
from trades.imports.lines import Lines
from trades.imports.parse import Parsed, Parser
from trades.imports.reading import Layout, Reading, layout_of

BLOCK_BYTES = 4 * 2**20
LINE_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two lines: bytes before it, number of the line after it, newest time before it."""

    offset: int
    line: int
    last_ns: int | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of the file, and the position behind them.

    `read` counts the bytes of the file (compressed) so far.
    """

    rows: pa.RecordBatch
    symbols: pa.DictionaryArray
    lines: Lines
    bad: tuple[BadRow, ...]
    end: Position
    read: int

    @property
    def symbol(self) -> str:
        """The symbol of a block of one symbol that has rows."""
        return str(self.symbols[0].as_py())


class Source:
    """The text of a `.csv` or `.csv.gz` file, from any offset on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    @contextmanager
    def opened(self, offset: int = 0) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The text behind `offset`, and the file below it, which tells how much of it was read."""
        with self.path.open("rb") as raw:
            is_compressed = self.path.name.endswith(".gz")
            text = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if is_compressed else raw)
            text.seek(offset)
            yield text, raw

    def layout(self, reading: Reading) -> tuple[Layout, Position]:
        """What the first line says, and where the rows begin. Raises `ImportRefused`."""
        try:
            with self.opened() as (text, _):
                header = text.readline(LINE_BYTES)
        except (EOFError, gzip.BadGzipFile) as error:
            raise ImportRefused(f"{self.path}: {error}") from error
        try:
            return layout_of(header, reading), Position(len(header), 2)
        except ImportRefused as error:
            raise ImportRefused(f"{self.path}: {error}") from error


def blocks_in_order(source: Source, parser: Parser, start: Position) -> Iterator[Block]:
    """The rows behind `start` of a file of one symbol in order of time; equal times are never in two blocks.

    Raises `NotInOrder` where the file is another one.
    """
    with source.opened(start.offset) as (stream, raw):
        position, held_back, is_last = start, b"", False
        while not is_last:
            text, is_last = _next_lines(source.path, stream, held_back)
            parsed = parser.parse(text, position.line)
            is_whole = is_last or not len(parsed.lines)
            kept = len(parsed.lines) if is_whole else _before_last_time(parsed)
            newest, symbol = _checked_order(parsed, kept, position)
            line = position.line + parsed.line_count if is_whole else int(parsed.lines[kept])
            cut = len(text) if is_whole else _line_start(text, position.line + parsed.line_count - line)
            position = Position(position.offset + cut, line, newest, symbol)
            held_back = text[cut:]
            block = _block(parsed, kept, position, raw.tell())
            del text, parsed  # while the next block is read this one's text is not to be held
            yield block


def blocks_as_they_are(source: Source, parser: Parser, start: Position) -> Iterator[Block]:
    """The rows behind `start` in whatever order, of any symbols."""
    with source.opened(start.offset) as (stream, raw):
        position, is_last = start, False
        while not is_last:
            text, is_last = _next_lines(source.path, stream, b"")
            parsed = parser.parse(text, position.line)
            position = Position(position.offset + len(text), position.line + parsed.line_count)
            block = _block(parsed, len(parsed.lines), position, raw.tell())
            del text, parsed
            yield block


def _next_lines(path: Path, stream: IO[bytes], held_back: bytes) -> tuple[bytes, bool]:
    """Whole lines, those held back first, and whether the file has ended."""
    try:
        piece = stream.read(BLOCK_BYTES)
        rest = stream.readline(LINE_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImportRefused(f"{path}: the compressed file is damaged or cut off: {error}") from error
    if len(rest) == LINE_BYTES:
        raise ImportRefused(f"{path}: a line is longer than {LINE_BYTES:,} bytes")
    return b"".join((held_back, piece, rest)), len(piece) < BLOCK_BYTES


def _before_last_time(parsed: Parsed) -> int:
    """How many rows stand before those of the block's last time. Raises `NotInOrder` if none does."""
    times = parsed.rows.column(0).to_numpy()
    if not len(times):
        return 0
    return int(np.searchsorted(times, times[-1]))


def _checked_order(parsed: Parsed, kept: int, before: Position) -> tuple[int | None, str | None]:
    """The newest time and the symbol behind the first `kept` rows, which follow `before`.

    Raises `NotInOrder`.
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
    """Where the last `lines` lines begin, the text ending in a line end."""
    at = len(text)
    for _ in range(lines + 1):
        at = text.rfind(b"\n", 0, at)
    return at + 1


def _block(parsed: Parsed, kept: int, end: Position, read: int) -> Block:
    return Block(
        parsed.rows.slice(0, kept),
        parsed.symbols.slice(0, kept),
        parsed.lines[:kept],
        tuple(row for row in parsed.bad if row.line < end.line),
        end,
        read,
    )
