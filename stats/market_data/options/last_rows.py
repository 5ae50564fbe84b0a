"""Finds the last row of a log at or before each of several instants."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from store.arrays import Integers, Mask
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window

# The time of a row that does not exist.
NEVER_NS = int(np.iinfo(np.int64).min)

Keep = Callable[[pa.Table], Mask]

# The most rows between the first and last instant that are read at once. If there are more, the instants are
# split into halves.
_WHOLE_ROWS = 16_384
# Rows of the first search backwards for a row, and the factor by which each further search grows.
_FIRST_LOOK = 8
_GROWTH = 16


@dataclass(frozen=True, slots=True)
class LastRows:
    """Rows. place: for each instant the index of its row; -1 if there is none."""

    rows: pa.Table
    place: Integers

    @property
    def time_ns(self) -> Integers:
        """The time of each instant's row; `NEVER_NS` if there is none."""
        times: Integers = self.values("timestamp").fill_null(NEVER_NS).to_numpy(zero_copy_only=False)
        return times

    def values(self, column: str) -> pa.Array:
        """A column's value at each instant; null if there is no row."""
        found = self.rows.column(column).combine_chunks()
        return found.take(pa.array(self.place, mask=self.place < 0))


def last_rows_at(log: LogView, instants: Integers, *, reach_ns: int, keep: Keep | None = None) -> LastRows:
    """The last row at or before each of the ascending instants.

    reach_ns: the maximum age of a row. keep: ignores rows for which it is false; None keeps all.
    """
    if log.is_empty or not len(instants):
        return LastRows(log.dataset.schema.empty_table(), np.full(len(instants), -1))
    first_ns, last_ns = int(instants[0]), int(instants[-1])
    window = _cut(first_ns, last_ns + 1)
    if len(instants) > 1 and log.row_bound(window) > _WHOLE_ROWS:
        middle = len(instants) // 2
        halves = [
            last_rows_at(log, part, reach_ns=reach_ns, keep=keep)
            for part in (instants[:middle], instants[middle:])
        ]
        return _joined(*halves)
    if len(instants) == 1:
        return _among(_newest(log, _cut(first_ns - reach_ns, last_ns + 1), keep), instants, reach_ns)
    rows = _kept(log.rows(window), keep)
    if not rows.num_rows or rows.column("timestamp")[0].as_py() > first_ns:
        rows = pa.concat_tables([_newest(log, _cut(first_ns - reach_ns, first_ns), keep), rows])
    return _among(rows, instants, reach_ns)


def _cut(start_ns: int, end_ns: int) -> Window:
    """The window, limited to the times that rows may have."""
    start_ns = min(max(start_ns, ALL_TIME.start_ns), ALL_TIME.end_ns)
    return Window(start_ns, max(start_ns, min(end_ns, ALL_TIME.end_ns)))


def _newest(log: LogView, window: Window, keep: Keep | None) -> pa.Table:
    """The kept rows of the end of a window: at least one, unless the whole window has none."""
    wanted = _FIRST_LOOK
    if window.start_ns >= window.end_ns:
        return log.dataset.schema.empty_table()
    while True:
        part = log.take_window(window, wanted, from_end=True)
        rows = _kept(log.rows(part), keep)
        if rows.num_rows or part.start_ns <= window.start_ns:
            return rows
        wanted *= _GROWTH


def _kept(rows: pa.Table, keep: Keep | None) -> pa.Table:
    return rows if keep is None else rows.filter(pa.array(keep(rows)))


def _among(rows: pa.Table, instants: Integers, reach_ns: int) -> LastRows:
    times = rows.column("timestamp").to_numpy()
    place = np.searchsorted(times, instants, side="right") - 1
    if len(times):
        place[instants - times[place] > reach_ns] = -1
    return LastRows(rows, place)


def _joined(first: LastRows, second: LastRows) -> LastRows:
    moved = np.where(second.place < 0, -1, second.place + first.rows.num_rows)
    return LastRows(pa.concat_tables([first.rows, second.rows]), np.concatenate([first.place, moved]))
