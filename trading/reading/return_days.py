"""The days whose returns are in the ratios of a report, and how many of them a year has."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from calendars.trading_calendar import TradingCalendar
from store.arrays import Integers
from store.instrument_calendars import calendar_if_known
from store.instruments import FX, Instrument
from store.timestamps import DAY_NS, SECOND_NS

_SESSIONS_A_YEAR, _UTC_DAYS_A_YEAR = 252, 365


def value_end_ns(until_ns: int) -> int:
    """Return the instant before which values are of the time until `until_ns`.

    It is a second later for midnight: accounts are marked as a day begins, and stored bars of days end at midnight.
    """
    return until_ns + SECOND_NS if until_ns % DAY_NS == 0 else until_ns


class ReturnDays(NamedTuple):
    """The trading dates of calendars; UTC dates without calendars.

    has_long_bars: whether prices are of stored bars of weeks or months, which count for their last session.
    """

    calendars: frozenset[TradingCalendar] = frozenset()
    has_long_bars: bool = False

    @property
    def per_year(self) -> int:
        """By how many days a year returns are annualised."""
        return _SESSIONS_A_YEAR if self.calendars else _UTC_DAYS_A_YEAR

    def ends_ns(self, begin_ns: int, until_ns: int) -> Integers:
        """Return the instant up to which each day's last value counts, ascending, nanoseconds UTC.

        The days are those that end in `begin_ns` < end <= `until_ns`: UTC dates at midnight, trading dates at their
        last close. The values are those of the midnight after; see `value_end_ns`. With long bars they are those of the
        midnight of the next trading date: a week ends then, days after its last close.
        """
        first, last = begin_ns // DAY_NS, until_ns // DAY_NS
        if not self.calendars:
            return (np.arange(first, last) + 1) * DAY_NS + SECOND_NS
        schedules = [each.on_dates(first - 1, last + 1) for each in self.calendars]
        dates = np.concatenate([each.date for each in schedules])
        days, places = np.unique(dates, return_inverse=True)
        closes = np.zeros(len(days), np.int64)
        np.maximum.at(closes, places, np.concatenate([each.close_ns for each in schedules]))
        end_days = np.append(days[1:], last + 2) if self.has_long_bars else days + 1
        ends: Integers = np.maximum(closes, end_days * DAY_NS) + SECOND_NS
        return ends[(closes > begin_ns) & (closes <= until_ns)]


UTC_DAYS = ReturnDays()


def return_days_of(instruments: Iterable[Instrument]) -> ReturnDays:
    """Return the days for an account that held these: the trading dates of any of them.

    They are UTC dates if one of them is of fx or has no calendar, as crypto, and if there are no instruments.
    """
    calendars = {None if each.instrument_class == FX else calendar_if_known(each) for each in instruments}
    return UTC_DAYS if None in calendars else ReturnDays(frozenset(filter(None, calendars)))
