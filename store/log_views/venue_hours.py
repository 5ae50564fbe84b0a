"""The hours of the venues that quote an instrument."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calendars import library
from calendars.exchanges import EXCHANGES
from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar, exchange_calendar
from store.arrays import Integers
from store.instrument_calendars import calendar_if_known
from store.instruments import EQUITY, OPTION, Instrument

_NEVER_NS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class VenueHours:
    """When each venue is open, with pre- and post-market.

    calendar: that of the instrument; None if it has none. by_venue: whether a venue with a known calendar keeps its
    own hours, and the instrument's special sessions. Other venues keep the instrument's; without a calendar they are always open.
    """

    calendar: TradingCalendar | None
    by_venue: bool

    @property
    def key(self) -> str:
        """The text for cache keys."""
        return (
            f"{'none' if self.calendar is None else self.calendar.key}-{self.by_venue}-{library.versions()}"
        )

    def closes_ns(self, venues: Sequence[str | None], venue: Integers, time_ns: Integers) -> Integers:
        """Return when each row's venue closes next, nanoseconds UTC; the row's time if it is closed then.

        venues: the venues' names (MIC), None for rows without one. venue: each row's index in `venues`. time_ns:
        ascending. Returns the largest integer for a venue that never closes.
        """
        calendars = [self._calendar_of(name) for name in venues]
        if len(set(calendars)) == 1:
            return _closes_ns(calendars[0], time_ns)
        closes_ns = np.full(len(time_ns), _NEVER_NS)
        for calendar in dict.fromkeys(calendars):
            own = np.isin(venue, [index for index, each in enumerate(calendars) if each == calendar])
            closes_ns[own] = _closes_ns(calendar, time_ns[own])
        return closes_ns

    def _calendar_of(self, venue: str | None) -> TradingCalendar | None:
        if not self.by_venue or venue not in EXCHANGES:
            return self.calendar
        return replace(
            exchange_calendar(venue), special=() if self.calendar is None else self.calendar.special
        )


def venue_hours_of(instrument: Instrument) -> VenueHours:
    """Return the hours of an instrument's venues.

    Only equities and options without a calendar of their own trade in the usual hours of each venue.
    """
    by_venue = instrument.instrument_class in {EQUITY, OPTION} and instrument.calendar is None
    return VenueHours(calendar_if_known(instrument), by_venue)


def _closes_ns(calendar: TradingCalendar | None, time_ns: Integers) -> Integers:
    if calendar is None or not len(time_ns):
        return np.full(len(time_ns), _NEVER_NS)
    segments = calendar.around(int(time_ns[0]), int(time_ns[-1])).segments(Hours.EXTENDED)
    index = segments.start_ns.searchsorted(time_ns, side="right") - 1
    close_ns = segments.end_ns[index]
    return np.where((index >= 0) & (time_ns < close_ns), close_ns, time_ns)
