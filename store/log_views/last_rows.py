"""Finds the last row of a log at or before each of several instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.declarations import Dataset
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.rows.stored_rows import stored_schema

# The time of a row that does not exist.
NEVER_NS = int(np.iinfo(np.int64).min)

RowFilter: TypeAlias = "Callable[[pa.Table], Mask]"


class RowView(Protocol):
    """Ordered rows that are read by window: a log, or rows made from one. See `LogView` for the methods."""

    @property
    def dataset(self) -> Dataset: ...

    @property
    def is_empty(self) -> bool: ...

    def rows(self, window: Window) -> pa.Table: ...

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window: ...

    def row_bound(self, window: Window) -> int: ...


# The maximum number of rows, from the first instant to the last, that are read at once, or per instant if that is
# more. If there are more rows, the instants are split into halves.
_MOST_ROWS = 16_384
_MOST_ROWS_EACH = 16
# How many rows the first search backwards reads, and the factor by which each further search reads more. A search for
# rows that were known reads at most `_MOST_ROWS_BACK` more at once.
_FIRST_ROWS = 8
_GROWTH = 16
_MOST_ROWS_BACK = 32_768


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
    log: RowView, instants: Integers, *, reach_ns: int, row_filter: RowFilter | None = None
) -> LastRows:
    """Return the last row at or before each of the ascending instants.

    reach_ns: the maximum age of a row. row_filter: rows for which it is false are ignored; None for all rows. If the
    log has a `settle`, rows are as they were known at each instant plus this.
    """
    if log.is_empty or not len(instants):
        return LastRows(log.dataset.schema.empty_table(), np.full(len(instants), -1))
    if isinstance(log, LogView) and log.settle is not None:
        return _known_rows_at(log, instants, log.settle.after(instants), reach_ns, row_filter)
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


def _known_rows_at(
    log: LogView, instants: Integers, known_ns: Integers, reach_ns: int, row_filter: RowFilter | None
) -> LastRows:
    """Return the last row at or before each instant, as it was known at `known_ns`.

    Versions are read backwards, each at most once. Those that no instant still waits for are skipped.
    """
    indices, parts = np.full(len(instants), -1), [stored_schema(log.dataset).empty_table()]
    pending, end_ns, count, kept = np.arange(len(instants)), ALL_TIME.end_ns, _FIRST_ROWS, 0
    while len(pending):
        newest_ns = int(instants[pending[-1]])
        if newest_ns < end_ns - 1:
            end_ns, count = newest_ns + 1, _FIRST_ROWS
        window = _window_back(log, instants[pending], end_ns, reach_ns, count).within(ALL_TIME)
        versions = log.versions(window)
        found = _last_known(log, versions, instants[pending], known_ns[pending], row_filter)
        is_found = found >= 0
        rows, position = np.unique(found[is_found], return_inverse=True)
        parts.append(versions.take(pa.array(rows)))
        indices[pending[is_found]] = kept + position
        is_in_reach = instants[pending] - window.start_ns < reach_ns
        pending = pending[~is_found & is_in_reach & (window.start_ns > ALL_TIME.start_ns)]
        end_ns, count, kept = window.start_ns, min(count * _GROWTH, _MOST_ROWS_BACK), kept + len(rows)
    return LastRows(pa.concat_tables(parts), indices).within(instants, reach_ns)


def _window_back(log: LogView, instants: Integers, end_ns: int, reach_ns: int, count: int) -> Window:
    """Return the window before `end_ns` that is searched next for the last rows of ascending instants.

    It has as many of the instants as have few rows between them, and `count` rows before them.
    """
    inside = instants[: instants.searchsorted(end_ns)]
    while len(inside) and log.row_bound(Window(int(inside[0]), end_ns).within(ALL_TIME)) > _most_rows(
        len(inside)
    ):
        inside = inside[(len(inside) + 1) // 2 :]
    first_ns = int(inside[0]) if len(inside) else end_ns
    before = Window(int(instants[0]) - reach_ns, first_ns).within(ALL_TIME)
    if before.start_ns >= before.end_ns:
        return Window(first_ns, end_ns)
    return Window(log.take_window(before, count, from_end=True).start_ns, end_ns)


def _last_known(
    log: LogView, versions: pa.Table, instants: Integers, known_ns: Integers, row_filter: RowFilter | None
) -> Integers:
    """Return the index of the last version at or before each instant that was known at `known_ns`; -1 without one."""
    times, time_ns = log.known_times(versions), versions.column("timestamp").to_numpy()
    rows = np.arange(len(time_ns)) if row_filter is None else np.flatnonzero(row_filter(versions))
    ends = time_ns[rows].searchsorted(instants, side="right")
    found: Integers = np.append(rows, -1)[times.taken(rows).last_at(ends, known_ns)]
    return found


def _most_rows(instants: int) -> int:
    """Return how many rows, from the first to the last of so many instants, are read at once."""
    return max(_MOST_ROWS, _MOST_ROWS_EACH * instants)


def _newest(log: RowView, window: Window, row_filter: RowFilter | None) -> pa.Table:
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
