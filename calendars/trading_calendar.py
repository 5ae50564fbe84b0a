"""The trading calendars of exchanges."""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from calendars import corrections, library
from calendars.declared import declared_hours
from calendars.exchanges import EXCHANGES, calendar_name
from calendars.schedule import Integers, Mask, Schedule, SpecialSession, joined

_DAY_NS = 24 * 3600 * 10**9
# An instant's trading date is searched from two days before its UTC date (because of time zones and evening sessions)
# to twelve days after it (because of closed days).
_DAYS_BEFORE, _DAYS_AFTER = 2, 12
# Only the New York Stock Exchange in 1914 was closed for nearly as long.
_LOOKAHEAD_DAYS = 200
_EPOCH = date(1970, 1, 1)
_NEVER_DAY = (date(9999, 12, 31) - _EPOCH).days
# Stands for the date of an instant whose date is not closed; no date is as early.
NOT_CLOSED = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class TradingCalendar:
    """The trading dates and hours of one calendar.

    name: the calendar's name in pandas-market-calendars, or hours as `calendars.declared` reads them. special: sessions that an instrument has besides; those of the
    calendar's own trading dates count for nothing.
    """

    name: str
    special: tuple[SpecialSession, ...] = ()

    @property
    def key(self) -> str:
        """The text for cache keys.

        It has the calendar's name, of declared hours a hash, `library.versions`, and a hash of the special sessions.
        """
        name = (
            re.sub("[^A-Za-z0-9]", "_", self.name) if declared_hours(self.name) is None else _hash(self.name)
        )
        key = f"{name}-{library.versions()}"
        return f"{key}-{_hash(repr(self.special))}" if self.special else key

    @property
    def usual(self) -> "TradingCalendar":
        """The calendar without special sessions, by which contracts expire."""
        return replace(self, special=()) if self.special else self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its hours."""
        return library.zone_of(self.name)

    @property
    def holidays_known_until(self) -> date | None:
        """The last date whose holidays are known; None if they follow rules, or were declared with the hours."""
        year = corrections.last_known_year(library.own_name(self.name))
        return None if year is None else date(year, 12, 31)

    @property
    def known_until_day(self) -> int:
        """The day, since 1970, from which on holidays are not known; later than all dates if they always are."""
        last = self.holidays_known_until
        return _NEVER_DAY if last is None else (last - _EPOCH).days + 1

    def on_dates(self, first_day: int, last_day: int) -> Schedule:
        """Return the trading dates in `[first_day, last_day]`, days since 1970.

        There are none outside the years 1890-2209.
        """
        decades = range(_decade(first_day), _decade(last_day) + 1)
        parts = [library.decade(self.name, number, self._special_of(number)) for number in decades]
        return joined(parts).between(first_day, last_day)

    def _special_of(self, number: int) -> tuple[SpecialSession, ...]:
        """Return the special sessions that change a decade: its own, and those of the year on each side."""
        if not self.special:
            return ()
        return tuple(each for each in self.special if number * 10 - 1 <= each.date.year <= number * 10 + 10)

    def around(self, first_ns: int, last_ns: int) -> Schedule:
        """Return a schedule that includes the trading dates of all instants in `[first_ns, last_ns]`."""
        first_day, last_day = first_ns // _DAY_NS - _DAYS_BEFORE, last_ns // _DAY_NS + _DAYS_AFTER
        schedule = self.on_dates(first_day, last_day)
        reach = _DAYS_AFTER
        while (not len(schedule) or schedule.end_ns[-1] <= last_ns) and _decade(
            last_day
        ) < library.LAST_DECADE:
            reach *= 4
            last_day += reach
            schedule = self.on_dates(first_day, last_day)
        return schedule

    def trading_date_of(self, instants: Integers) -> Integers:
        """Return each instant's trading date, in days since 1970; on a closed day the next trading date."""
        if not len(instants):
            return np.empty(0, dtype=np.int64)
        schedule = self.around(int(instants.min()), int(instants.max()))
        indices = np.searchsorted(schedule.end_ns, instants, side="right")
        dates: Integers = schedule.date[np.minimum(indices, len(schedule) - 1)]
        return dates

    def is_closed(self, days: Integers) -> Mask:
        """Return which dates, days since 1970, have no session at all between local midnight and midnight.

        A Sunday is not closed if futures open on its evening, although it is no trading date. Dates before the
        calendar's first one are not closed, but unknown.
        """
        if not len(days):
            return np.zeros(0, np.bool_)
        schedule = self.on_dates(int(days.min()) - _LOOKAHEAD_DAYS, int(days.max()) + _LOOKAHEAD_DAYS)
        is_between = (days > schedule.date.min(initial=_NEVER_DAY)) & (
            days < schedule.date.max(initial=-_NEVER_DAY)
        )
        found: Mask = is_between & ~np.isin(days, schedule.date)
        candidates = days[found]
        if len(candidates):
            after = schedule.post_ns.searchsorted(self.midnights(candidates), side="right")
            found[found] = schedule.pre_ns[after] >= self.midnights(candidates + 1)
        return found

    def closed_dates_of(self, instants: Integers) -> Integers:
        """Return each instant's local date, days since 1970, if it `is_closed`, else `NOT_CLOSED`."""
        found = np.full(len(instants), NOT_CLOSED)
        if not len(instants):
            return found
        schedule = self.around(int(instants.min()), int(instants.max()))
        index = np.minimum(schedule.post_ns.searchsorted(instants, side="right"), len(schedule) - 1)
        outside = np.flatnonzero((instants < schedule.pre_ns[index]) | (instants >= schedule.post_ns[index]))
        if len(outside):
            dates = np.unique(instants[outside] // _DAY_NS)
            days = np.unique(np.concatenate([dates - 1, dates, dates + 1]))
            days_of = self.midnights(days).searchsorted(instants[outside], side="right") - 1
            found[outside] = np.where(self.is_closed(days), days, NOT_CLOSED)[days_of]
        return found

    def midnights(self, days: Integers) -> Integers:
        """Return the instants, nanoseconds UTC, at which dates begin in the exchange's time zone. days: since 1970."""
        local = (_EPOCH + timedelta(days=day) for day in days.tolist())
        instants = [datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp() for day in local]
        return np.array(instants, np.int64) * 10**9

    def from_instant(self, instant_ns: int) -> Schedule:
        """Return the trading dates of 200 days; the first one is that of an instant."""
        day = int(self.trading_date_of(np.array([instant_ns]))[0])
        return self.on_dates(day, day + _LOOKAHEAD_DAYS)

    def start_of_date(self, day: int) -> int:
        """Return the start of a day's trading date. day: days since 1970.

        If the exchange is closed on that day, return the start of the next trading date.
        """
        reach = _DAYS_AFTER
        while not len(schedule := self.on_dates(day, day + reach)):
            reach *= 4
        return int(schedule.start_ns[0])


def exchange_calendar(exchange: str) -> TradingCalendar:
    """Return the calendar of an exchange, by MIC. Raises `UnknownExchange`."""
    return TradingCalendar(calendar_name(exchange))


@lru_cache(maxsize=256)
def named_calendar(name: str) -> TradingCalendar:
    """Return the calendar with a name in pandas-market-calendars, or of declared hours. Raises `UnknownExchange`."""
    if name not in EXCHANGES.values():
        library.require_hours(name)
    return TradingCalendar(name)


def trading_date_of(instants: Integers, calendar: TradingCalendar | None) -> Integers:
    """Return each instant's trading date, days since 1970; its UTC date without a calendar."""
    return instants // _DAY_NS if calendar is None else calendar.trading_date_of(instants)


def date_of_row(instants: Integers, calendar: TradingCalendar | None) -> Integers:
    """Return the trading date, days since 1970, that each row of a whole date means, such as a daily bar or a split.

    Midnight UTC means that UTC date; any other instant, such as a session's open, means its trading date.
    """
    dates = instants // _DAY_NS
    is_instant = instants % _DAY_NS != 0
    dates[is_instant] = trading_date_of(instants[is_instant], calendar)
    return dates


def start_of_row(time_ns: int, calendar: TradingCalendar | None) -> int:
    """Return when a corporate action takes effect, or a daily bar begins, given its stored time, nanoseconds UTC.

    Midnight UTC means the start of that trading date, or of the next one if the exchange is closed; any other instant
    means itself.
    """
    if calendar is None or time_ns % _DAY_NS:
        return time_ns
    return calendar.start_of_date(time_ns // _DAY_NS)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _decade(day: int) -> int:
    year = int(np.datetime64(day, "D").astype("datetime64[Y]").astype(np.int64)) + 1970
    return min(max(year // 10, library.FIRST_DECADE), library.LAST_DECADE)
