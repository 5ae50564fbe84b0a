"""The halts of an instrument, by its stored changes of `trading_status`."""

from dataclasses import dataclass

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from store.arrays import Integers, Mask
from store.cached_property import cached_property
from store.log_views.log_view import LogView
from store.log_views.session_spans import open_windows
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS


@dataclass(frozen=True)
class Halts:
    """When an instrument was halted.

    A halt lasts until the next change. If that is not `resumed`, or there is none, it lasts at most to the end of its
    trading date: a lost resumption must not hide missing data for ever. calendar: of the trading dates; None for UTC
    dates. from_ns: earlier changes are not read.
    """

    changes: LogView
    calendar: TradingCalendar | None
    from_ns: int = ALL_TIME.start_ns

    def covers(self, starts: Integers, ends: Integers, *, window: Window, hours: Hours) -> Mask:
        """Return which intervals have trading hours, all of them within halts.

        starts, ends: of intervals within the window, ascending, nanoseconds UTC.
        """
        halt_starts, halt_ends = self.spans
        is_covered = np.zeros(len(starts), dtype=bool)
        if not len(halt_starts) or window.end_ns <= window.start_ns:
            return is_covered
        open_starts, open_ends = _edges(window.start_ns), _edges(window.end_ns)
        if self.calendar is not None:
            open_starts, open_ends = open_windows(window, calendar=self.calendar, hours=hours)
        edges = np.unique(np.concatenate([open_starts, open_ends, halt_starts, halt_ends]))
        is_open = _is_within(edges, open_starts, open_ends)
        is_halted = is_open & _is_within(edges, halt_starts, halt_ends)
        return _overlaps(starts, ends, edges, is_halted) & ~_overlaps(
            starts, ends, edges, is_open & ~is_halted
        )

    @cached_property
    def spans(self) -> tuple[Integers, Integers]:
        """The starts and ends of the halts, ascending and disjoint. The changes are read once."""
        rows = self.changes.rows(Window(self.from_ns, ALL_TIME.end_ns))
        time_ns = rows.column("timestamp").to_numpy()
        is_halt = np.array(rows.column("status").to_pylist(), dtype=object) == "halted"
        starts = time_ns[is_halt]
        next_ns = np.append(time_ns[1:], ALL_TIME.end_ns)[: len(time_ns)][is_halt]
        is_resumed = np.append(~is_halt[1:], False)[: len(time_ns)][is_halt]
        return starts, np.where(is_resumed, next_ns, np.minimum(next_ns, self._date_ends(starts)))

    def _date_ends(self, instants: Integers) -> Integers:
        """Return the end of each instant's trading date."""
        if self.calendar is None or not len(instants):
            return (instants // DAY_NS + 1) * DAY_NS
        ends = self.calendar.around(int(instants[0]), int(instants[-1])).end_ns
        return ends[np.minimum(ends.searchsorted(instants, side="right"), len(ends) - 1)]


def _edges(*instants: int) -> Integers:
    return np.array(instants, dtype=np.int64)


def _is_within(instants: Integers, starts: Integers, ends: Integers) -> Mask:
    """Return which instants lie in one of the disjoint periods."""
    return starts.searchsorted(instants, side="right") > ends.searchsorted(instants, side="right")


def _overlaps(starts: Integers, ends: Integers, edges: Integers, is_chosen: Mask) -> Mask:
    """Return which intervals overlap a chosen piece; piece i lasts from edge i to edge i + 1."""
    counts = np.append(0, np.cumsum(is_chosen))
    first = np.maximum(edges.searchsorted(starts, side="right") - 1, 0)
    return counts[edges.searchsorted(ends, side="left")] > counts[first]
