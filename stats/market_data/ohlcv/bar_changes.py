"""Which bars of a symbol differ between two states of its logs, for followers of commits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calendars.schedule import Hours
from stats.market_data.intervals.finality import FinalBars, date_start_ns
from stats.market_data.ohlcv.bar_rows import BarRowReader
from stats.market_data.rows import Rows
from stats.rendering.table import Table
from store.arrays import Integers, Mask
from store.log_views.bar_grid import BarGrid
from store.log_views.session_spans import open_windows
from store.log_views.trade_bars import last_price_ns
from store.protocol import Window
from store.terms import Settle

# Intervals that are compared at a time.
_ROWS_AT_ONCE = 8_192
# Rows that are fewer intervals apart are read in one window, with the bars between them.
_GAP_INTERVALS = 64


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

    reader: of all bars. settle: the instrument's.
    """

    reader: BarRowReader
    now_ns: int
    settle: Settle
    _last: dict[Window, Rows] = field(default_factory=dict, repr=False, compare=False)

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
        complete_ns = self.reader.inputs.trades.complete_until(self.settle)
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

    def rows(self, window: Window) -> Rows:
        """Return the bars of an aligned window. The last ones are kept, because the next commit asks for them again."""
        rows = self._last.get(window)
        if rows is None:
            rows = self.reader.rows(window)
            if len(rows) <= _GAP_INTERVALS:
                self._last.clear()
                self._last[window] = rows
        return rows

    def kept_start_before(self, instant_ns: int) -> int | None:
        """Return the start of the last bar of trades before an instant if the kept bars tell it, otherwise None."""
        if self.reader.grid.resolution.is_period or not self.reader.inputs.stored_bars.is_empty:
            return None
        for window, rows in self._last.items():
            count = int(rows.time_ns.searchsorted(instant_ns))
            if count and window.start_ns < instant_ns <= window.end_ns:
                return int(rows.time_ns[count - 1])
        return None


_EDGES = ("start_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class BarChanges:
    """The bars that differ between two states.

    rows: new and changed bars, as they are after, ascending, with the columns of `GET ohlcv`. removed: the times of
    bars that no longer exist, ascending. has_final: whether one of them is final, or was.
    """

    rows: Table
    removed: Integers
    has_final: bool


def changed_bars(before: BarsSnapshot, after: BarsSnapshot, touched: Touched) -> BarChanges:
    """Return the bars that differ. touched: the times of all rows in which the logs of the two states differ."""
    tables, removed, has_final = [], [np.empty(0, np.int64)], False
    for window in _parts(after.reader, _compared_windows(before, after, touched)):
        change = _difference(before.rows(window), after.rows(window))
        tables.append(change.rows.data)
        removed.append(change.removed)
        has_final |= change.has_final
    columns = after.reader.columns
    rows = Table(columns, pa.concat_tables(tables)) if tables else Table.empty(columns)
    return BarChanges(rows, np.concatenate(removed), has_final)


def _compared_windows(before: BarsSnapshot, after: BarsSnapshot, touched: Touched) -> list[Window]:
    """Return the aligned, disjoint windows outside of which no bar differs, ascending."""
    grid, whole = after.reader.grid, after.reader.window
    windows = []
    for window in touched.windows(_GAP_INTERVALS * grid.resolution.length_ns):
        aligned = _of_rows(before.reader, window)
        windows.append(Window(_owner_start(before, aligned), aligned.end_ns))
    windows += _of_finality(before, after)
    return _joined([each for window in windows if (each := _common(window, whole)) is not None])


def _of_rows(reader: BarRowReader, window: Window) -> Window:
    """Return the intervals whose bars are made of the rows in a window. With auctions, rows count for their UTC date."""
    if reader.grid.is_of_regular_sessions and reader.inputs.policy.daily is not None:
        window = window.whole_dates()
    return reader.grid.aligned(window.start_ns, window.end_ns)


def _owner_start(state: BarsSnapshot, window: Window) -> int:
    """Return the start of the last bar before a window that gets volume from it; the window's start without one."""
    reader = state.reader
    grid, policy, log = reader.grid, reader.inputs.policy, reader.inputs.trades
    if policy.counts_every_print or log.is_empty:
        return window.start_ns
    known_ns = state.kept_start_before(window.start_ns)
    if known_ns is not None:
        return known_ns
    before = Window(date_start_ns(grid.calendar, window.start_ns), window.start_ns)
    for span in _open_backwards(grid, before):
        price_ns = last_price_ns(log, policy, span.end_ns, start_ns=span.start_ns)
        if price_ns is not None:
            return grid.interval(price_ns).start_ns
    # Auctions may have prices outside of the hours.
    return window.start_ns if grid.hours is Hours.ALL else grid.interval(before.start_ns).start_ns


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


def _parts(reader: BarRowReader, windows: list[Window]) -> Iterator[Window]:
    """Yield the windows in parts of not much more than `_ROWS_AT_ONCE` bars."""
    for window in windows:
        start_ns = window.start_ns
        while start_ns < window.end_ns:
            part = reader.part(Window(start_ns, window.end_ns), _ROWS_AT_ONCE, from_end=False)
            yield part
            start_ns = part.end_ns


def _difference(before: Rows, after: Rows) -> BarChanges:
    """Return the difference of the bars of one window."""
    _, old, new = np.intersect1d(before.time_ns, after.time_ns, assume_unique=True, return_indices=True)
    differs = np.ones(len(after), np.bool_)
    differs[new] = _differing(before.table, old, after.table, new)
    is_removed = np.ones(len(before), np.bool_)
    is_removed[old] = False
    was_final = is_removed.copy()
    was_final[old] = differs[new]
    rows = Table(after.table.columns, after.table.data.filter(pa.array(differs)))
    has_final = _finals(rows).any() or (_finals(before.table) & was_final).any() or is_removed.any()
    return BarChanges(rows, before.time_ns[is_removed], bool(has_final))


def _differing(before: Table, old: Integers, after: Table, new: Integers) -> Mask:
    """Return which of the rows `new` of a table differ from the rows `old` of another."""
    differs = np.zeros(len(new), np.bool_)
    for column in after.columns:
        left, right = (_values(table, column.name)[index] for table, index in ((before, old), (after, new)))
        same = left == right
        differs |= ~(same | ((left != left) & (right != right)))  # noqa: PLR0124 NaN, which is null, equals NaN here
    return differs


def _values(table: Table, name: str) -> Integers:
    column = table.data.column(name)
    values: Integers = pc.fill_null(column, -1).to_numpy() if column.null_count else column.to_numpy()
    return values


def _finals(table: Table) -> Mask:
    finals: Mask = table.data.column("final").to_numpy()
    return finals
