"""What is left of a log with expired dates: its newer rows, and the bars of its older ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregates import Aggregates, merge
from store.datasets import KEPT_BARS, TRADES
from store.expiries import NOTHING_EXPIRED, ExpiredDates
from store.kept_bars import kept_aggregates, kept_length
from store.log import Snapshot
from store.protocol import ALL_TIME, CommitId, Completeness, Fill, Window
from store.timestamps import DAY_NS, MINUTE_NS
from store.window_list import WindowList, level_for


def left_of(snapshot: Snapshot, expired: ExpiredDates) -> Snapshot:
    """Return a snapshot whose rows of expired dates cannot be read, but whose bars can."""
    return snapshot if expired == NOTHING_EXPIRED else LeftSnapshot(snapshot, expired)


class LeftSnapshot(Snapshot):
    """A snapshot of a log with expired dates. Reads of rows of expired dates raise `Expired`.

    A window that begins with `ALL_TIME` names no start: it begins with the first row that is left. In expired dates
    `take_window` and `row_bound` count minutes with trades instead of rows.
    """

    def __init__(self, inner: Snapshot, expired: ExpiredDates) -> None:
        super().__init__(inner.log, inner.commit)
        self._inner = inner
        self.expired = expired

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        return self._inner.rows(self._left(window), coded_texts=coded_texts)

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        return self._inner.versions(self._left(window), columns)

    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        return self._inner.row_origin(timestamp_ns=timestamp_ns, arrival=arrival)

    def version(self, window: Window) -> CommitId:
        return self._inner.version(window)

    def completeness(self) -> Completeness:
        return self._inner.completeness()

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        return self._inner.fills(window)

    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        return self._inner.touched_dates(window)

    def first_commit_from(self, instant_ns: int) -> int | None:
        return self._inner.first_commit_from(instant_ns)

    def change_bound(self, window: Window, interval_ns: int, *, after: int) -> int:
        return self._inner.change_bound(self._left(window), interval_ns, after=after)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        dead, left = self._divided(window)
        has_left = left.start_ns < left.end_ns
        if from_end:
            part = self._inner.take_window(left, rows, from_end=True) if has_left else left
            if part != left:
                return part
            lacking, minutes = rows - self.row_bound(left), self.times_of_minutes(dead)
            if dead.start_ns < dead.end_ns and lacking <= len(minutes):
                return Window(int(minutes[-lacking]) if lacking > 0 else left.start_ns, left.end_ns)
            return Window(window.start_ns, left.end_ns)
        minutes = self.times_of_minutes(dead)
        lacking = rows - len(minutes)
        if lacking <= 0:
            return Window(dead.start_ns, min(int(minutes[rows - 1]) + MINUTE_NS, dead.end_ns))
        end_ns = self._inner.take_window(left, lacking).end_ns if has_left else dead.end_ns
        return Window(dead.start_ns, end_ns)

    def row_bound(self, window: Window) -> int:
        dead, left = self._divided(window)
        bound = self._inner.row_bound(left) if left.start_ns < left.end_ns else 0
        if self.log.dataset is TRADES and self._has_dates(dead):
            dates = len(self._inner.touched_dates(dead)[0])
            bound += min(dates * (DAY_NS // MINUTE_NS), (dead.end_ns - dead.start_ns) // MINUTE_NS + 2)
        return bound

    def aggregates(self, windows: WindowList, interval_ns: int, policy: BarPolicy) -> Aggregates:
        before_ns = self.expired.before_ns
        if not len(windows) or windows.bounds.start_ns >= before_ns:
            return self._inner.aggregates(windows, interval_ns, policy)
        dead = _cut(windows, ALL_TIME.start_ns, before_ns)
        left = _cut(windows, before_ns, ALL_TIME.end_ns)
        length_ns = kept_length(policy)
        level_ns = max(level_for(interval_ns) or interval_ns, 1)
        parts = [self._inner.aggregates(left, level_ns, policy)] if len(left) else []
        if self._has_dates(dead.bounds):
            if self.log.dataset is not TRADES or level_ns % length_ns:
                self._refuse("bars that whole minutes do not make, and the trades,")
            kept = self._kept(dead.bounds, policy)
            kept = kept[dead.indices(kept.time)]
            if int(kept.newest.max(initial=0)) > self.commit.number:
                self._refuse("earlier versions of the trades")
            parts.append(kept)
        return merge(parts, interval_ns)

    def times_of_minutes(self, window: Window) -> Integers:
        dead = self._divided(window)[0]
        if self.log.dataset is not TRADES or not self._has_dates(dead):
            return np.empty(0, np.int64)
        return self._kept(dead, EVERY_PRINT).time

    def _kept(self, window: Window, policy: BarPolicy) -> Aggregates:
        kept = self.log.log_of(KEPT_BARS, self.log.symbol)
        return kept_aggregates(kept, window, policy, self.expired)

    def _left(self, window: Window) -> Window:
        """Return a window for a read of rows. Raises `Expired` if it has rows of expired dates."""
        is_open = window.start_ns <= ALL_TIME.start_ns
        self.check_readable(Window(window.start_ns - is_open, window.end_ns))
        return self._divided(window)[1] if is_open else window

    def _divided(self, window: Window) -> tuple[Window, Window]:
        """Return the expired part of a window, and the part that is left; either may be empty."""
        at_ns = min(max(window.start_ns, self.expired.before_ns), max(window.end_ns, window.start_ns))
        start_ns = at_ns if window.start_ns <= ALL_TIME.start_ns else window.start_ns
        return Window(start_ns, at_ns), Window(at_ns, window.end_ns)

    def _refuse(self, what: str) -> NoReturn:
        raise self.expired.error(self.log.dataset, self.log.symbol, what)


def _cut(windows: WindowList, start_ns: int, end_ns: int) -> WindowList:
    """Return the parts of windows between two instants."""
    starts, ends = np.maximum(windows.start_ns, start_ns), np.minimum(windows.end_ns, end_ns)
    is_filled = starts < ends
    return WindowList(starts[is_filled], ends[is_filled])
