"""One symbol's bars of one interval: on an exchange's grid, or of one length in UTC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from store.bars.bars import Bars, joined_bars
from store.log_views.bar_grid import BarGrid
from store.log_views.grids import Grid
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window
from store.reading.bar_logs import DATES_APART_NS, BarLogs, dates_with_rows
from store.reading.exchange_grids import grid_window
from store.timestamps import DAY_NS


class BarSeries(Protocol):
    """The bars of one interval of one symbol, for any window that begins and ends at multiples of `unit_ns`."""

    @property
    def logs(self) -> BarLogs:
        """What the bars are made from."""

    @property
    def unit_ns(self) -> int: ...

    def bars(self, window: Window) -> Bars:
        """Return the bars of all intervals that overlap a window."""

    def window_before(self, window: Window) -> Window:
        """Return a window before the first interval that overlaps a window, with all rows that there are."""


@dataclass(frozen=True, slots=True)
class GridBars:
    """Bars of an exchange's grid. Windows of days, weeks and months are of dates.

    The time of a day, week or month is midnight UTC of its first date. until_ns: intervals that begin at or after this
    instant are left out.
    """

    logs: BarLogs
    grid: BarGrid
    maker: BarMaker
    until_ns: int

    @property
    def unit_ns(self) -> int:
        return DAY_NS if self.grid.resolution.is_period else 1

    def bars(self, window: Window) -> Bars:
        whole = self._whole(window)
        if whole is None:
            return joined_bars([])
        bars = self.maker.bars(whole)
        if not self.grid.resolution.is_period:
            return bars
        _, days = self.grid.ends_and_dates(bars.time_ns, whole)
        return replace(bars, time_ns=days * DAY_NS)

    def start_of(self, window: Window) -> int | None:
        """Return the start of the first interval that overlaps any window and may have a bar; None if none may."""
        whole = self._whole(_aligned(window, self.unit_ns))
        return None if whole is None else whole.start_ns

    def window_before(self, window: Window) -> Window:
        # Windows of weeks and months begin at their first date.
        start_ns = window.start_ns
        if not self.grid.resolution.is_period:
            start_ns = self.grid.aligned(start_ns, start_ns + 1).start_ns
        return _before(self.logs, start_ns, self.unit_ns)

    def _whole(self, window: Window) -> Window | None:
        """Return the window of whole intervals that may have bars."""
        rows_window = _rows_within(self.logs, window)
        return grid_window(self.grid, rows_window, self.until_ns)


@dataclass(frozen=True, slots=True)
class LengthBars:
    """Bars of one length in UTC. until_ns: see `GridBars`. is_then: whether bars are as they were known then."""

    logs: BarLogs
    unit_ns: int
    maker: BarMaker
    until_ns: int
    is_then: bool

    def bars(self, window: Window) -> Bars:
        if self.is_then:
            window = _aligned(_rows_within(self.logs, window), self.unit_ns)
        window = Window(window.start_ns, min(window.end_ns, self.until_ns))
        return self.maker.bars(window) if window.start_ns < window.end_ns else joined_bars([])

    def window_before(self, window: Window) -> Window:
        return _before(self.logs, window.start_ns, self.unit_ns)


@dataclass(frozen=True, slots=True)
class EndsWithin:
    """Makes those bars of a grid that end in a window."""

    maker: BarMaker
    grid: Grid
    ends: Window

    def bars(self, window: Window) -> Bars:
        if self.ends.end_ns <= window.start_ns or self.ends.start_ns > window.end_ns:
            return joined_bars([])
        bars = self.maker.bars(window)
        ends_ns, _ = self.grid.ends_and_dates(bars.time_ns, window)
        return bars[(ends_ns >= self.ends.start_ns) & (ends_ns < self.ends.end_ns)]


@dataclass(frozen=True, slots=True)
class TermsSeries:
    """The bars of several terms of one instrument, oldest first. Of two bars of one time the older terms' stays."""

    parts: tuple[BarSeries, ...]

    @property
    def logs(self) -> BarLogs:
        return self.parts[-1].logs

    @property
    def unit_ns(self) -> int:
        return self.parts[-1].unit_ns

    def bars(self, window: Window) -> Bars:
        bars = joined_bars([part.bars(window) for part in self.parts])
        _, index = np.unique(bars.time_ns, return_index=True)
        return bars[index]

    def window_before(self, window: Window) -> Window:
        return self.parts[-1].window_before(window)


def _before(logs: BarLogs, end_ns: int, unit_ns: int) -> Window:
    """Return the window before an instant, a multiple of `unit_ns`, that may have bars."""
    before = Window(min(ALL_TIME.start_ns, end_ns), end_ns)
    rows = _aligned(_rows_within(logs, before), unit_ns)
    return Window(rows.start_ns, min(rows.end_ns, end_ns))


def _rows_within(logs: BarLogs, window: Window) -> Window:
    return dates_with_rows([(log, DATES_APART_NS) for log in logs], window)


def _aligned(window: Window, unit_ns: int) -> Window:
    return Window(window.start_ns - window.start_ns % unit_ns, window.end_ns + -window.end_ns % unit_ns)
