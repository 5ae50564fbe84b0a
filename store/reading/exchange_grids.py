"""The grids of an instrument's bars by its exchange: trading dates, weeks, months, hours and anchors."""

from __future__ import annotations

import sys

from calendars.schedule import Anchor, Hours, SessionMode
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid
from store.log_views.instrument_grid import instrument_grid
from store.protocol import Window
from store.reading.arguments import IntervalArgument, interval_ns, resolution_of
from store.reading.bar_choice import BarChoice
from store.resolutions import RESOLUTION_ALIASES, Resolution
from store.timestamps import DAY_NS

_LONG_NAMES = frozenset(
    name
    for name in (*Resolution.names(), *dict(RESOLUTION_ALIASES))
    if Resolution.spelled(name).rank > Resolution.DAY.rank
)
# The instant until which nothing is left out.
_NO_END_NS = sys.maxsize


def exchange_grid(instrument: Instrument, choice: BarChoice, interval: IntervalArgument) -> BarGrid | None:
    """Return the grid that the options ask for; None for intervals of one length in UTC that count all hours.

    Raises `InvalidInterval`, `NoExchange` and `UnknownExchange`.
    """
    if choice.needs_resolution or is_long(interval):
        return instrument_grid(
            instrument,
            resolution_of(interval),
            session=None if choice.session is None else SessionMode(choice.session),
            hours=None if choice.hours is None else Hours(choice.hours),
            anchor=Anchor(choice.anchor),
        )
    if interval_ns(interval) != DAY_NS or choice.session is not None or not instrument.has_sessions:
        return None
    return instrument_grid(instrument, Resolution.DAY)


def grid_by_terms(
    instrument: Instrument, last: Instrument, choice: BarChoice, interval: IntervalArgument
) -> BarGrid | None:
    """Return `exchange_grid` by an instrument's terms; by the last ones if the options need hours and it had none."""
    has_hours = instrument.has_sessions or not choice.needs_resolution
    return exchange_grid(instrument if has_hours else last, choice, interval)


def grid_window(grid: BarGrid, window: Window, until_ns: int) -> Window | None:
    """Return the window of whole intervals that end by `until_ns`; None if there are none.

    until_ns: the end of an interval. window: for days, weeks and months a window of dates.
    """
    if grid.resolution.is_period:
        window = Window(grid.date_start(window.start_ns), grid.date_start(window.end_ns))
    if window.start_ns >= window.end_ns:
        return None
    window = grid.aligned(window.start_ns, window.end_ns)
    end_ns = min(window.end_ns, until_ns)
    return Window(window.start_ns, end_ns) if window.start_ns < end_ns else None


def shown_until_ns(choice: BarChoice, intervals: BarGrid | int) -> int:
    """Return the instant from which intervals are left out: with `partial="exclude"` the first that is not over.

    intervals: their grid, or their length in UTC.
    """
    if choice.with_partial:
        return _NO_END_NS
    now_ns = choice.now_ns
    return now_ns - now_ns % intervals if isinstance(intervals, int) else intervals.first_not_over_ns(now_ns)


def is_long(interval: IntervalArgument) -> bool:
    """Return whether an interval is a week or a month."""
    return isinstance(interval, str) and interval in _LONG_NAMES
