"""The pieces of a file, the checked rows of a piece, and rows cut into blocks where the event time changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers
from store.timestamps import format_timestamp
from trades.exceptions import BadRow, ImportRefused, NotInOrder
from trades.formats.arrow_values import one_array

BLOCK_BYTES = 4 * 2**20
EQUAL_TIMES_LIMIT = 2_000_000
NAMES_LIMIT = 1_000
# Each bad row costs up to a millisecond. A file with more of them is told otherwise than it is.
BAD_ROWS_LIMIT = 10_000
SYMBOL, LINE = "symbol", "line"


@dataclass(frozen=True, slots=True)
class FilePiece:
    """Columns of some of a file's rows, under the file's names: of a text file as texts, of others typed.

    lines: the rows' numbers in the file. bad: lines that are no rows. bytes_read: of the (compressed) file so far.
    is_escaped: whether an apostrophe may protect a text that a spreadsheet would run as a formula. notes: lines of words
    after the last row: no rows, if no row follows.
    """

    cells: pa.Table
    lines: Integers
    bad: tuple[BadRow, ...]
    bytes_read: int
    is_escaped: bool = False
    notes: tuple[BadRow, ...] = ()


class SourceFile(Protocol):
    """A file with rows.

    names: its columns. notes: the lines of words at its end, as far as it was read. check: called before each piece; it
    raises what ends the reading, such as `JobStopped`.
    """

    path: Path
    size: int
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """Yield the named columns, piece by piece. nulls: texts that stand for null. Raises `ImportRefused`."""
        ...


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Valid rows: the dataset's columns, `SYMBOL` and `LINE`. bad, bytes_read: see `FilePiece`."""

    rows: pa.Table
    bad: tuple[BadRow, ...]
    bytes_read: int


def no_check() -> None:
    """Let a file be read to its end."""


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raise `ImportRefused` for a file with too many columns."""
    if len(names) > NAMES_LIMIT:
        raise ImportRefused(f"{path}: has {len(names):,} columns; a file has at most {NAMES_LIMIT:,}")


def blocks_in_order(blocks: Iterable[RowBlock]) -> Iterator[RowBlock]:
    """Yield the rows of blocks that are in order of symbol, then of time. Equal times of a symbol share a block.

    Raises `NotInOrder` for other blocks; `ImportRefused` for too many rows of one time, which do not fit in memory.
    """
    pending: RowBlock | None = None
    for each in blocks:
        block = each
        if pending is not None:
            kept = _last_time(pending.rows)
            yield replace(pending, rows=pending.rows.slice(0, kept))
            held = pending.rows.slice(kept)
            if held.num_rows > EQUAL_TIMES_LIMIT:
                raise ImportRefused(
                    f"{held[SYMBOL][0]}: more than {EQUAL_TIMES_LIMIT:,} rows have the time"
                    f" {format_timestamp(held[0][0].as_py())}"
                )
            block = replace(block, rows=pa.concat_tables([held, block.rows]))
        pending = block
    if pending is not None:
        _last_time(pending.rows)
        yield pending


def symbol_starts(rows: pa.Table) -> list[int]:
    """Return where the rows of each symbol begin, and their number at the end. Raises `NotInOrder`."""
    if not rows.num_rows:
        return [0]
    symbols = rows[SYMBOL]
    if pa.types.is_dictionary(symbols.type):
        symbols = symbols.cast(pa.string())
    runs = pc.run_end_encode(one_array(symbols))
    names = runs.values.to_pylist()
    if names != sorted({*names}):
        raise NotInOrder("rows of several symbols")
    return [0, *runs.run_ends.to_pylist()]


def _last_time(rows: pa.Table) -> int:
    """Return where the rows of the last symbol's last time begin. Raises `NotInOrder`."""
    if not rows.num_rows:
        return 0
    times, starts = rows[0].to_numpy(), symbol_starts(rows)
    goes_back = times[1:] < times[:-1]
    goes_back[np.array(starts[1:-1], dtype=np.int64) - 1] = False
    if goes_back.any():
        raise NotInOrder("rows go back in time")
    return starts[-2] + int(np.searchsorted(times[starts[-2] :], times[-1]))
