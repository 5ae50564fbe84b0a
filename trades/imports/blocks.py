"""Cuts a file into blocks of rows, where the event time changes."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from trades.exceptions import BadRow, NotInOrder
from trades.imports.layout import LineNumbers
from trades.imports.parse import BlockParser, ParsedBlock

BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position between two rows.

    offset: what the container counts before it: uncompressed bytes of text, else rows. line: number of the next line,
    or row. last_ns, symbol: time and symbol of the
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


class Pieces(Protocol):
    """A file that is read piece by piece."""

    bytes_read: int

    def next(self) -> tuple[ParsedBlock, bool]:
        """Return the rows of the next piece, those held back first, and whether the file has ended."""
        ...

    def take(self, line: int | None) -> FilePosition:
        """Hold back the rows of the last piece from this line on, or none; return the position after the others."""
        ...


class SourceFile(Protocol):
    """A file with rows. names: its columns."""

    path: Path
    size: int
    names: tuple[str, ...]
    start: FilePosition

    def pieces(self, parser: BlockParser, start: FilePosition) -> AbstractContextManager[Pieces]:
        """Open the file at a position."""
        ...

    def texts(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield columns as bytes, piece by piece. Columns that are no texts may be null. Raises `ImportRefused`."""
        ...


def blocks_in_order(file: SourceFile, parser: BlockParser, start: FilePosition) -> Iterator[RowBlock]:
    """Yield the rows after `start` of a file in order of time with one symbol. Equal times share a block.

    Raises `NotInOrder` for any other file.
    """
    with file.pieces(parser, start) as pieces:
        position, is_last = start, False
        while not is_last:
            parsed, is_last = pieces.next()
            is_kept = is_last or not len(parsed.lines)
            kept = len(parsed.lines) if is_kept else _rows_before_last_time(parsed)
            newest, symbol = _checked_order(parsed, kept, position)
            end = pieces.take(None if is_kept else int(parsed.lines[kept]))
            position = replace(end, last_ns=newest, symbol=symbol)
            block = _block(parsed, kept, position, pieces.bytes_read)
            del parsed  # frees its memory while the next block is read
            yield block


def blocks_unordered(file: SourceFile, parser: BlockParser, start: FilePosition) -> Iterator[RowBlock]:
    """Yield the rows after `start` in the file's order, whatever their symbols."""
    with file.pieces(parser, start) as pieces:
        is_last = False
        while not is_last:
            parsed, is_last = pieces.next()
            block = _block(parsed, len(parsed.lines), pieces.take(None), pieces.bytes_read)
            del parsed
            yield block


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


def _block(parsed: ParsedBlock, kept: int, end: FilePosition, read: int) -> RowBlock:
    return RowBlock(
        parsed.rows.slice(0, kept),
        parsed.symbols.slice(0, kept),
        parsed.lines[:kept],
        tuple(row for row in parsed.bad if row.line < end.line),
        end,
        read,
    )
