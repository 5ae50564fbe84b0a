"""The bars of one interval of one symbol, for any window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from store.bars.bars import Bars
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

# The time of a stored daily bar may be this far from its trading date.
_DATES_APART_NS = 14 * DAY_NS


class Maker(Protocol):
    """Makes a grid's bars for any aligned window that is not empty."""

    def bars(self, window: Window) -> Bars: ...


@dataclass(frozen=True, slots=True)
class GridBars:
    """Bars of a grid. Windows of days, weeks and months are of dates; their bars have midnight UTC of the first date.

    logs: what the bars are made from. until_ns: intervals that begin at or after this instant are left out. is_cut:
    whether windows are first cut to the dates that have rows.
    """

    logs: tuple[LogView, ...]
    grid: BarGrid
    maker: Maker
    until_ns: int
    is_cut: bool = True

    @property
    def unit_ns(self) -> int:
        """The windows begin and end at multiples of this."""
        if self.grid.is_plain:
            return self.grid.resolution.length_ns
        return DAY_NS if self.grid.resolution.is_period else 1

    def bars(self, window: Window) -> Bars:
        """Return the bars of all intervals that overlap a window; it begins and ends at multiples of `unit_ns`."""
        whole = self._whole(window)
        if whole is None:
            return Bars.joined([])
        bars = self.maker.bars(whole)
        if self.grid.is_plain or not self.grid.resolution.is_period:
            return bars
        _, days = self.grid.ends_and_dates(bars.time_ns, whole)
        return replace(bars, time_ns=days * DAY_NS)

    def start_of(self, window: Window) -> int | None:
        """Return the start of the first interval that overlaps any window and may have a bar; None if none may."""
        whole = self._whole(_aligned(window, self.unit_ns))
        return None if whole is None else whole.start_ns

    def _whole(self, window: Window) -> Window | None:
        """Return the window of whole intervals that may have bars, up to `until_ns`; None if there are none."""
        if self.is_cut:
            window = _dates_with_rows(self.logs, window)
        if self.grid.resolution.is_period:
            window = Window(self.grid.date_start(window.start_ns), self.grid.date_start(window.end_ns))
        if window.start_ns >= window.end_ns:
            return None
        window = self.grid.aligned(window.start_ns, window.end_ns)
        end_ns = min(window.end_ns, self.until_ns)
        return Window(window.start_ns, end_ns) if window.start_ns < end_ns else None


def _dates_with_rows(logs: Iterable[LogView], window: Window) -> Window:
    """Return the part of a window from the first to the last event date with rows in any of the logs.

    It is empty if there are none. It is extended at both ends, because a row's time may differ from its trading
    date.
    """
    windows = [each for log in logs for each in _dates_of_log(log, window)]
    start_ns = max(window.start_ns, min((each.start_ns for each in windows), default=window.end_ns))
    end_ns = min(window.end_ns, max((each.end_ns for each in windows), default=start_ns))
    return Window(start_ns, max(start_ns, end_ns))


def _dates_of_log(view: LogView, window: Window) -> list[Window]:
    from_ns, until_ns = window.start_ns - _DATES_APART_NS, window.end_ns + _DATES_APART_NS
    from_start = view.snapshot.extent(Window(max(from_ns, ALL_TIME.start_ns), ALL_TIME.end_ns))
    to_end = view.snapshot.extent(Window(ALL_TIME.start_ns, min(until_ns, ALL_TIME.end_ns)))
    if from_start is None or to_end is None:
        return []
    first_ns, behind_ns = from_start[0] * DAY_NS, (to_end[1] + 1) * DAY_NS
    return [Window(first_ns - _DATES_APART_NS, behind_ns + _DATES_APART_NS)]


def _aligned(window: Window, unit_ns: int) -> Window:
    return Window(window.start_ns - window.start_ns % unit_ns, window.end_ns + -window.end_ns % unit_ns)
