"""Sorts rows that do not fit in memory: runs of sorted rows in temporary files, merged piece by piece.

Rows of one symbol and time keep the order in which they came to be: that of the lines, or the opposite one if the file
is newest first.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Integers
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.blocks import LINE, SYMBOL, RowBlock, blocks_in_order


class LineOrder:
    """Counts the steps of a file's times, from line to line: of each symbol, and of all rows.

    A symbol's lines are newest first if more of its steps fall than rise. If as many rise, or it has one time, the steps
    of all rows decide. Memory: two numbers for each symbol.
    """

    def __init__(self) -> None:
        self._rises: Counter[str] = Counter()  # more than falls, of each symbol
        self._last: dict[str, int] = {}
        self._rises_of_all = 0
        self._last_of_all: int | None = None

    def add(self, rows: pa.Table) -> None:
        """Count the steps of rows in the file's order, which follow those that were added."""
        if not rows.num_rows:
            return
        times = rows.column(0).to_numpy()
        before = times[:1] if self._last_of_all is None else np.array([self._last_of_all])
        self._rises_of_all += _rises(np.concatenate([before, times]))
        self._last_of_all = int(times[-1])
        encoded = one_array(rows[SYMBOL]).cast(pa.string()).dictionary_encode()
        codes = encoded.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        of_symbols = np.split(times[order], np.flatnonzero(np.diff(codes[order])) + 1)
        for symbol, own in zip(encoded.dictionary.to_pylist(), of_symbols, strict=True):
            self._rises[symbol] += _rises(np.concatenate([[self._last.get(symbol, own[0])], own]))
            self._last[symbol] = int(own[-1])

    def oldest_first(self, rows: pa.Table) -> pa.Table:
        """Return rows in order of symbol, time and line with the lines of one time oldest first.

        rows: all of a symbol's that have the same time, or none.
        """
        encoded = one_array(rows[SYMBOL]).cast(pa.string()).dictionary_encode()
        is_newest_first = np.array([self._is_newest_first(each) for each in encoded.dictionary.to_pylist()])
        if not is_newest_first.any():
            return rows
        codes, times = encoded.indices.to_numpy(), rows.column(0).to_numpy()
        lines = rows[LINE].to_numpy()
        order = np.lexsort((np.where(is_newest_first[codes], -lines, lines), times, codes))
        return rows.take(pa.array(order))

    def _is_newest_first(self, symbol: str) -> bool:
        return (self._rises[symbol] or self._rises_of_all) < 0


def _rises(times: Integers) -> int:
    """Return how many more steps rise than fall."""
    return int(np.sign(np.diff(times)).sum())


RUN_ROWS = 200_000
PIECE_ROWS = 16_384
ROWS_AT_ONCE = 65_536
# The part of the disk that stays free.
_FREE_SHARE, _MOST_FREE_BYTES = 0.1, 5 * 2**30


class SortedRuns:
    """A folder of runs. Each is an Arrow file of rows in order of symbol, time (the first column) and line.

    rows, bytes: of all runs.
    """

    def __init__(self, folder: Path) -> None:
        """Make an empty folder. Deletes what it holds."""
        self.folder = folder
        self._runs = 0
        self._pending: list[pa.Table] = []
        self._end: tuple[str, int, int] | None = None
        self._are_in_order = True
        self._line_order = LineOrder()
        self.rows = self.bytes = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def add(self, rows: pa.Table) -> None:
        """Add rows, those of later lines after those of earlier ones. Raises `ImportRefused` before the disk is full."""
        self._pending.append(rows)
        self._line_order.add(rows)
        self.rows += rows.num_rows
        self.bytes += rows.nbytes
        if sum(each.num_rows for each in self._pending) >= RUN_ROWS:
            self._write_run()

    def in_order(self) -> Iterator[RowBlock]:
        """Yield all rows in order, those of a symbol's time in one block, oldest first. No more may be added then.

        Memory: a piece of each run, and what is yielded.
        """
        if self._pending:
            self._write_run()
        for block in blocks_in_order(RowBlock(rows, (), 0) for rows in self._pieces_in_order()):
            yield replace(block, rows=self._line_order.oldest_first(block.rows))

    def _pieces_in_order(self) -> Iterator[pa.Table]:
        """Yield all rows in order of symbol, time and line."""
        found: list[pa.Table] = []
        for rows in self._merged():
            found.append(rows)
            if sum(each.num_rows for each in found) >= ROWS_AT_ONCE:
                yield pa.concat_tables(found)
                found.clear()
        if found:
            yield pa.concat_tables(found)

    def _merged(self) -> Iterator[pa.Table]:
        """Yield the rows up to the first of the ends of the runs' pieces; then the next piece of that run is read."""
        runs = [_pieces(self.folder / str(number)) for number in range(self._runs)]
        if self._are_in_order:
            yield from chain.from_iterable(runs)
            return
        heads = [(run, piece) for run in runs if (piece := next(run, None))]
        while heads:
            end = _sorted(pa.concat_tables([piece.slice(piece.num_rows - 1) for _, piece in heads])).slice(
                0, 1
            )
            counts = [_count_until(piece, end) for _, piece in heads]
            pieces = zip(heads, counts, strict=True)
            yield _sorted(pa.concat_tables([piece.slice(0, count) for (_, piece), count in pieces]))
            rests = ((run, piece.slice(count)) for (run, piece), count in zip(heads, counts, strict=True))
            heads = [
                (run, rest) for run, each in rests if (rest := each if each.num_rows else next(run, None))
            ]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_run(self) -> None:
        require_space(self.folder)
        rows = _sorted(pa.concat_tables(self._pending))
        with pa.ipc.new_file(str(self.folder / str(self._runs)), rows.schema) as file:
            file.write_table(rows, max_chunksize=PIECE_ROWS)
        self._pending.clear()
        self._runs += 1
        if rows.num_rows:
            first, last = (_key(rows, row) for row in (0, rows.num_rows - 1))
            self._are_in_order &= self._end is None or self._end <= first
            self._end = last


def require_space(folder: Path) -> None:
    """Raise `ImportRefused` before the folder's disk is full."""
    disk = shutil.disk_usage(folder)
    if disk.free < min(_FREE_SHARE * disk.total, _MOST_FREE_BYTES):
        raise ImportRefused("the disk has no space for the file's rows; import the file again later")


def _pieces(path: Path) -> Iterator[pa.Table]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


def _sorted(rows: pa.Table) -> pa.Table:
    if _is_in_order(rows):
        return rows
    return rows.sort_by([(name, "ascending") for name in (SYMBOL, rows.column_names[0], LINE)])


def _key(rows: pa.Table, row: int) -> tuple[str, int, int]:
    return rows[SYMBOL][row].as_py(), rows.column(0)[row].as_py(), rows[LINE][row].as_py()


def _is_in_order(rows: pa.Table) -> bool:
    """Return whether rows of one symbol are in order of time. Equal times are in order of line."""
    times = rows.column(0).to_numpy()
    if not (times[:-1] <= times[1:]).all() or len(rows[SYMBOL].unique()) > 1:
        return False
    lines = rows[LINE].to_numpy()
    return bool((lines[:-1] <= lines[1:]).all())


def _count_until(piece: pa.Table, end: pa.Table) -> int:
    """Return the number of rows of a sorted piece up to the row `end`."""
    is_until = pa.scalar(True)
    for name in (LINE, piece.column_names[0], SYMBOL):
        column, last = piece[name], end[name][0]
        is_until = pc.or_(pc.less(column, last), pc.and_(pc.equal(column, last), is_until))
    return int(pc.sum(is_until).as_py())
