"""The grids of an instrument's bars by its exchange: trading dates, weeks, months, hours and anchors."""

from __future__ import annotations

import sys
from typing import Protocol

from store.bar_policies import BarPolicy
from store.bars.credit import DatesOf, utc_dates
from store.instruments import Instrument
from store.log_views.grids import DayGrid
from store.protocol import Window
from store.reading.arguments import IntervalArgument, interval_ns, resolution_of
from store.reading.bar_choice import BarChoice
from store.reading.exceptions import NoSessions
from store.resolutions import RESOLUTION_ALIASES, Resolution
from store.timestamps import DAY_NS

_LONG_NAMES = frozenset(
    name
    for name in (*Resolution.names(), *dict(RESOLUTION_ALIASES))
    if Resolution.spelled(name).rank > Resolution.DAY.rank
)
# The instant until which nothing is left out.
_NO_END_NS = sys.maxsize


class GridOf(Protocol):
    """Returns a grid of an instrument's bars, by default of its regular sessions by day.

    session, hours, anchor: as over HTTP; None is its default.
    """

    def __call__(
        self,
        instrument: Instrument,
        resolution: Resolution = ...,
        *,
        session: str | None = ...,
        hours: str | None = ...,
        anchor: str = ...,
    ) -> DayGrid: ...


def exchange_grid(
    instrument: Instrument, sessions: GridOf | None, choice: BarChoice, interval: IntervalArgument
) -> DayGrid | None:
    """Return the grid that the options ask for; None for intervals of one length in UTC that count all hours.

    Raises `NoSessions`, `InvalidInterval` and the errors of `sessions`.
    """
    if choice.needs_resolution or is_long(interval):
        what = f"weeks, months, hours, adjusted bars and bars from the open of {instrument.symbol}"
        return needed_sessions(sessions, what)(
            instrument,
            resolution_of(interval),
            session=choice.session,
            hours=choice.hours,
            anchor=choice.anchor,
        )
    if interval_ns(interval) != DAY_NS or choice.session is not None or not instrument.has_sessions:
        return None
    what = f"days of {instrument.symbol} (give session='utc' for UTC days)"
    return needed_sessions(sessions, what)(instrument, Resolution.DAY, session=None, hours=None)


def grid_by_terms(
    instrument: Instrument,
    last: Instrument,
    sessions: GridOf | None,
    choice: BarChoice,
    interval: IntervalArgument,
) -> DayGrid | None:
    """Return `exchange_grid` by an instrument's terms; by the last ones if the options need hours and it had none."""
    has_hours = instrument.has_sessions or not choice.needs_resolution
    return exchange_grid(instrument if has_hours else last, sessions, choice, interval)


def grid_window(grid: DayGrid, window: Window, until_ns: int) -> Window | None:
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


def shown_until_ns(choice: BarChoice, intervals: DayGrid | int) -> int:
    """Return the instant from which intervals are left out: with `partial="exclude"` the first that is not over.

    intervals: their grid, or their length in UTC.
    """
    if choice.with_partial:
        return _NO_END_NS
    now_ns = choice.now_ns
    return now_ns - now_ns % intervals if isinstance(intervals, int) else intervals.first_not_over_ns(now_ns)


def dates_for_credit(instrument: Instrument, sessions: GridOf | None, policy: BarPolicy) -> DatesOf:
    """Return the trading dates that credited volume must not cross: UTC dates without `sessions`."""
    if sessions is None or policy.counts_every_print or not instrument.has_sessions:
        return utc_dates
    return sessions(instrument).dates_for_credit


def is_long(interval: IntervalArgument) -> bool:
    """Return whether an interval is a week or a month."""
    return isinstance(interval, str) and interval in _LONG_NAMES


def needed_sessions(sessions: GridOf | None, what: str) -> GridOf:
    """Return the sessions. what: what needs them, for the error. Raises `NoSessions`."""
    if sessions is None:
        raise NoSessions(what)
    return sessions
