"""The windows of a symbol's bars that differ between two states of its logs, for followers of commits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calendars.schedule import Hours
from stats.market_data.intervals.finality import FinalBars, date_start_ns
from stats.market_data.ohlcv.bar_rows import BarRowReader
from store.arrays import Integers
from store.log_views.bar_grid import BarGrid
from store.log_views.session_spans import open_windows
from store.log_views.trade_bars import last_price_ns
from store.protocol import Window

# Rows that are fewer intervals apart are in one window, with the bars between them.
_GAP_INTERVALS = 64
_EDGES = ("start_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class Touched:
    """The times `[start_ns, end_ns)` of rows that commits stored, cancelled or corrected, ascending by start.

    A stored bar that counts for whole dates is wider than its own interval.
    """

    start_ns: Integers
    end_ns: Integers

    @classmethod
    def joined(cls, parts: Sequence["Touched"]) -> "Touched":
        """Return all times of some parts in one."""
        if len(parts) == 1:
            return parts[0]
        start_ns, end_ns = (
            np.concatenate([getattr(each, name) for each in parts] or [np.empty(0, np.int64)])
            for name in ("start_ns", "end_ns")
        )
        order = np.argsort(start_ns, kind="stable")
        return cls(start_ns[order], end_ns[order])

    def windows(self, gap_ns: int) -> list[Window]:
        """Return windows that cover all times, at least `gap_ns` apart, ascending."""
        if not len(self.start_ns):
            return []
        ends_ns = np.maximum.accumulate(self.end_ns)
        first = np.flatnonzero(np.append(True, self.start_ns[1:] - ends_ns[:-1] >= gap_ns))
        last = np.append(first[1:], len(ends_ns)) - 1
        return list(map(Window, self.start_ns[first].tolist(), ends_ns[last].tolist()))


@dataclass(frozen=True, slots=True)
class BarsSnapshot:
    """The bars of a symbol at fixed commits and a fixed "now": those that `GET ohlcv` answers then.

    reader: of all bars. settle_ns: the instrument's `settle`.
    """

    reader: BarRowReader
    now_ns: int
    settle_ns: int

    @property
    def final(self) -> FinalBars:
        """Which bars are final."""
        assert self.reader.final_bars is not None  # noqa: S101 every query of a live feed has the column
        return self.reader.final_bars

    @property
    def due_ns(self) -> int | None:
        """The next instant at which a bar may become final although nothing is written; None for never."""
        if self._is_all_final():
            return None
        constant = self.reader.grid.constant_window(self.now_ns)
        complete_ns = self.reader.inputs.trades.complete_until(self.settle_ns)
        is_by_clock = self.final.until_ns >= constant.start_ns or complete_ns > self.now_ns
        has_stored = not self.reader.inputs.stored_bars.is_empty
        instants = [constant.end_ns] if is_by_clock or has_stored else []
        if self.final.expires_ns is not None:
            instants.append(self.final.expires_ns)
        return min(instants, default=None)

    def _is_all_final(self) -> bool:
        """Return whether the bars of the newest rows are final, and so all before them."""
        inputs = self.reader.inputs
        logs = (log for log in (inputs.trades, inputs.stored_bars) if not log.is_empty)
        newest = [self.reader.grid.interval(log.last_event_ns()) for log in logs]
        starts, ends = (np.array([getattr(each, name) for each in newest], np.int64) for name in _EDGES)
        return bool(self.final.mask(starts, ends).all())


def changed_windows(before: BarsSnapshot, after: BarsSnapshot, touched: Touched) -> list[Window]:
    """Return aligned, disjoint windows outside of which no bar differs, ascending. Inside, not all bars must differ.

    touched: the times of all rows in which the logs of the two states differ.
    """
    grid, whole = after.reader.grid, after.reader.window
    windows = [
        _of_rows(after.reader, window)
        for window in touched.windows(_GAP_INTERVALS * grid.resolution.length_ns)
    ]
    windows += _of_finality(before, after)
    return _joined([each for window in windows if (each := _common(window, whole)) is not None])


def _of_rows(reader: BarRowReader, window: Window) -> Window:
    """Return the intervals whose bars are made of the rows in a window. With auctions, rows count for their UTC date."""
    grid = reader.grid
    if grid.is_of_regular_sessions and reader.inputs.policy.daily is not None:
        window = window.whole_dates()
    aligned = grid.aligned(window.start_ns, window.end_ns)
    if reader.inputs.policy.counts_every_print or reader.inputs.trades.is_empty:
        return aligned
    return Window(min(aligned.start_ns, _credited_start(reader, window.start_ns)), aligned.end_ns)


def _credited_start(reader: BarRowReader, instant_ns: int) -> int:
    """Return the start of the interval with the last price before an instant, which later prints credit with volume."""
    grid, inputs = reader.grid, reader.inputs
    before = Window(date_start_ns(grid.calendar, instant_ns), instant_ns)
    for span in _open_backwards(grid, before):
        price_ns = last_price_ns(inputs.trades, inputs.policy, span)
        if price_ns is not None:
            return grid.interval(price_ns).start_ns
    # Auctions may have prices outside of the hours.
    return instant_ns if grid.hours is Hours.ALL else grid.interval(before.start_ns).start_ns


def _open_backwards(grid: BarGrid, window: Window) -> Iterator[Window]:
    """Yield the parts of a window in which prints count, the last first."""
    if grid.hours is Hours.ALL or grid.calendar is None:
        yield window
        return
    starts, ends = open_windows(window, calendar=grid.calendar, hours=grid.hours)
    yield from map(Window, reversed(starts.tolist()), reversed(ends.tolist()))


def _of_finality(before: BarsSnapshot, after: BarsSnapshot) -> Iterator[Window]:
    """Yield windows of all bars that are final in one of the states only, if their values are the same."""
    old, new, grid, whole = before.final, after.final, after.reader.grid, after.reader.window
    ranges = []
    length = grid.resolution.length_ns
    # Mostly no interval ends between the two, as can be seen without a calendar.
    if not grid.is_of_multiples or old.until_ns // length != new.until_ns // length:
        ranges.append((old.until_ns, new.until_ns))
    if not (before.reader.inputs.stored_bars.is_empty and after.reader.inputs.stored_bars.is_empty):
        ranges.append((old.stored_from_ns, new.stored_from_ns))
        ranges.append((old.over_until_ns, new.over_until_ns))
    for first_ns, last_ns in map(sorted, ranges):
        window = _common(Window(first_ns, last_ns), whole)
        if window is not None:
            yield grid.aligned(window.start_ns, window.end_ns)


def _common(window: Window, other: Window) -> Window | None:
    start_ns, end_ns = max(window.start_ns, other.start_ns), min(window.end_ns, other.end_ns)
    return Window(start_ns, end_ns) if start_ns < end_ns else None


def _joined(windows: list[Window]) -> list[Window]:
    """Return disjoint windows that cover the same times, ascending."""
    found: list[Window] = []
    for window in sorted(windows, key=lambda each: each.start_ns):
        if found and window.start_ns <= found[-1].end_ns:
            found[-1] = Window(found[-1].start_ns, max(found[-1].end_ns, window.end_ns))
        else:
            found.append(window)
    return found
