"""Finds the last row of a log at or before each of several instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window

# The time of a row that does not exist.
NEVER_NS = int(np.iinfo(np.int64).min)

RowFilter: TypeAlias = "Callable[[pa.Table], Mask]"


# The maximum number of rows, from the first instant to the last, that are read at once, or per instant if that is
# more. If there are more rows, the instants are split into halves.
_MOST_ROWS = 16_384
_MOST_ROWS_EACH = 16
# How many rows the first search backwards reads, and the factor by which each further search reads more.
_FIRST_ROWS = 8
_GROWTH = 16


@dataclass(frozen=True, slots=True)
class LastRows:
    """The last row at or before each of several instants.

    indices: the index in `rows` of each instant's row; -1 if there is none.
    """

    rows: pa.Table
    indices: Integers

    @property
    def time_ns(self) -> Integers:
        """The time of each instant's row; `NEVER_NS` if there is none."""
        times: Integers = self.values("timestamp").fill_null(NEVER_NS).to_numpy(zero_copy_only=False)
        return times

    def within(self, instants: Integers, reach_ns: int) -> LastRows:
        """Return the rows that are at most `reach_ns` older than their instants."""
        times = self.rows.column("timestamp").to_numpy()
        if not len(times):
            return self
        is_near = instants - times[self.indices] <= reach_ns
        return LastRows(self.rows, np.where(is_near, self.indices, -1))

    def values(self, column: str) -> pa.Array:
        """Return a column's value at each instant; null if there is no row."""
        values = self.rows.column(column).combine_chunks()
        return values.take(pa.array(self.indices, mask=self.indices < 0))


def last_rows_at(
    log: LogView, instants: Integers, *, reach_ns: int, row_filter: RowFilter | None = None
) -> LastRows:
    """Return the last row at or before each of the ascending instants.

    reach_ns: the maximum age of a row. row_filter: rows for which it is false are ignored; None for all rows.
    """
    if log.is_empty or not len(instants):
        return LastRows(log.dataset.schema.empty_table(), np.full(len(instants), -1))
    first_ns, last_ns = int(instants[0]), int(instants[-1])
    window = Window(first_ns, last_ns + 1).within(ALL_TIME)
    if len(instants) > 1 and log.row_bound(window) > _most_rows(len(instants)):
        middle = len(instants) // 2
        halves = [
            last_rows_at(log, part, reach_ns=reach_ns, row_filter=row_filter)
            for part in (instants[:middle], instants[middle:])
        ]
        return _joined(*halves)
    if len(instants) == 1:
        newest_rows = _newest(log, Window(first_ns - reach_ns, last_ns + 1), row_filter)
        return _last_of(newest_rows, instants, reach_ns)
    rows = _filtered(log.rows(window), row_filter)
    if not rows.num_rows or rows.column("timestamp")[0].as_py() > first_ns:
        rows = pa.concat_tables([_newest(log, Window(first_ns - reach_ns, first_ns), row_filter), rows])
    return _last_of(rows, instants, reach_ns)


def _most_rows(instants: int) -> int:
    """Return how many rows, from the first to the last of so many instants, are read at once."""
    return max(_MOST_ROWS, _MOST_ROWS_EACH * instants)


def _newest(log: LogView, window: Window, row_filter: RowFilter | None) -> pa.Table:
    """Return the last rows of a window that pass the filter: at least one, unless none does."""
    count, window = _FIRST_ROWS, window.within(ALL_TIME)
    if window.start_ns >= window.end_ns:
        return log.dataset.schema.empty_table()
    while True:
        part = log.take_window(window, count, from_end=True)
        rows = _filtered(log.rows(part), row_filter)
        if rows.num_rows or part.start_ns <= window.start_ns:
            return rows
        count *= _GROWTH


def _filtered(rows: pa.Table, row_filter: RowFilter | None) -> pa.Table:
    return rows if row_filter is None else rows.filter(pa.array(row_filter(rows)))


def _last_of(rows: pa.Table, instants: Integers, reach_ns: int) -> LastRows:
    times = rows.column("timestamp").to_numpy()
    return LastRows(rows, np.searchsorted(times, instants, side="right") - 1).within(instants, reach_ns)


def _joined(first: LastRows, second: LastRows) -> LastRows:
    shifted = np.where(second.indices < 0, -1, second.indices + first.rows.num_rows)
    return LastRows(pa.concat_tables([first.rows, second.rows]), np.concatenate([first.indices, shifted]))
