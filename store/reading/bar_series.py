"""The bars of one interval of one symbol, for any window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from store.bars.bars import Bars
from store.bars.quote_bars import QuoteBars
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

# The time of a stored daily bar may be this far from its trading date.
_DATES_APART_NS = 14 * DAY_NS
_Made = TypeVar("_Made", Bars, QuoteBars)
_MadeBy_co = TypeVar("_MadeBy_co", bound=Bars | QuoteBars, covariant=True)


class Maker(Protocol[_MadeBy_co]):
    """Makes a grid's bars for any aligned window that is not empty."""

    def bars(self, window: Window) -> _MadeBy_co: ...


@dataclass(frozen=True, slots=True)
class GridBars(Generic[_Made]):
    """Bars of a grid. Windows of days, weeks and months are of dates; their bars have midnight UTC of the first date.

    logs: what the bars are made from. until_ns: intervals that begin at or after this instant are left out. ends: only
    bars that end in this window. is_cut: whether windows are first cut to the dates that have rows.
    """

    kind: type[_Made]
    logs: tuple[LogView, ...]
    grid: BarGrid
    maker: Maker[_Made]
    until_ns: int
    ends: Window = ALL_TIME
    is_cut: bool = True

    @property
    def unit_ns(self) -> int:
        """The windows begin and end at multiples of this."""
        if self.grid.is_plain:
            return self.grid.resolution.length_ns
        return DAY_NS if self.grid.resolution.is_period else 1

    def bars(self, window: Window) -> _Made:
        """Return the bars of all intervals that overlap a window."""
        whole = self._whole(window)
        if whole is None or self.ends.end_ns <= whole.start_ns or self.ends.start_ns > whole.end_ns:
            return self.kind.joined([])
        bars = self.maker.bars(whole)
        is_dated = self.grid.resolution.is_period and not self.grid.is_plain
        if self.ends == ALL_TIME and not is_dated:
            return bars
        ends_ns, days = self.grid.ends_and_dates(bars.time_ns, whole)
        if is_dated:
            bars = replace(bars, time_ns=days * DAY_NS)
        if self.ends == ALL_TIME:
            return bars
        return bars[(ends_ns >= self.ends.start_ns) & (ends_ns < self.ends.end_ns)]

    def start_of(self, window: Window) -> int | None:
        """Return the start of the first interval that overlaps any window and may have a bar; None if none may."""
        whole = self._whole(_aligned(window, self.unit_ns))
        return None if whole is None else whole.start_ns

    def window_before(self, window: Window) -> Window:
        """Return a window before the first interval that overlaps a window, with all rows that there are."""
        end_ns = window.start_ns
        if not self.grid.resolution.is_period:
            end_ns = self.grid.aligned(end_ns, end_ns + 1).start_ns
        before = Window(min(ALL_TIME.start_ns, end_ns), end_ns)
        rows = _aligned(dates_with_rows(self.logs, before), self.unit_ns)
        return Window(rows.start_ns, min(rows.end_ns, end_ns))

    def _whole(self, window: Window) -> Window | None:
        """Return the window of whole intervals that may have bars, up to `until_ns`; None if there are none."""
        if self.is_cut:
            window = dates_with_rows(self.logs, window)
        if self.grid.resolution.is_period:
            window = Window(self.grid.date_start(window.start_ns), self.grid.date_start(window.end_ns))
        if window.start_ns >= window.end_ns:
            return None
        window = self.grid.aligned(window.start_ns, window.end_ns)
        end_ns = min(window.end_ns, self.until_ns)
        return Window(window.start_ns, end_ns) if window.start_ns < end_ns else None


@dataclass(frozen=True, slots=True)
class BarSeries(Generic[_Made]):
    """The bars of an instrument's terms, oldest first. Of two bars of one time the older terms' stays."""

    parts: tuple[GridBars[_Made], ...]

    @property
    def last(self) -> GridBars[_Made]:
        """The bars of the last terms."""
        return self.parts[-1]

    def bars(self, window: Window) -> _Made:
        """Return the bars of all intervals that overlap a window; it begins and ends at multiples of `unit_ns`."""
        if len(self.parts) == 1:
            return self.last.bars(window)
        bars = self.last.kind.joined([part.bars(window) for part in self.parts])
        _, index = np.unique(bars.time_ns, return_index=True)
        return bars[index]


def dates_with_rows(logs: Iterable[LogView], window: Window) -> Window:
    """Return the part of a window from the first to the last event date with rows in any of the logs.

    It is empty if there are none. It is extended at both ends, because a row's time may differ from its trading
    date.
    """
    windows = [each for log in logs for each in _dates_with_rows(log, window)]
    start_ns = max(window.start_ns, min((each.start_ns for each in windows), default=window.end_ns))
    end_ns = min(window.end_ns, max((each.end_ns for each in windows), default=start_ns))
    return Window(start_ns, max(start_ns, end_ns))


def _dates_with_rows(view: LogView, window: Window) -> list[Window]:
    from_ns, until_ns = window.start_ns - _DATES_APART_NS, window.end_ns + _DATES_APART_NS
    from_start = view.snapshot.extent(Window(max(from_ns, ALL_TIME.start_ns), ALL_TIME.end_ns))
    to_end = view.snapshot.extent(Window(ALL_TIME.start_ns, min(until_ns, ALL_TIME.end_ns)))
    if from_start is None or to_end is None:
        return []
    first_ns, behind_ns = from_start[0] * DAY_NS, (to_end[1] + 1) * DAY_NS
    return [Window(first_ns - _DATES_APART_NS, behind_ns + _DATES_APART_NS)]


def _aligned(window: Window, unit_ns: int) -> Window:
    return Window(window.start_ns - window.start_ns % unit_ns, window.end_ns + -window.end_ns % unit_ns)
