"""From when to when a date lasts on which an exchange is closed."""

import datetime as dt

import numpy as np

from stats.sessions.calendars import TradingCalendar
from stats.sessions.schedule import Schedule
from stats.sessions.spans import Hours
from store.arrays import Integers
from store.timestamps import DAY_NS, SECOND_NS

# No exchange was closed for as many days in a row since 1970; before, midnights UTC are good enough.
_REACH = 400


def closed_dates(days: Integers, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Starts and ends, nanoseconds UTC, of closed dates, given ascending in days since 1970.

    Together they last from the end of the trading date before them to the beginning of the next one, in the
    hours; in between one ends at the hour, of the exchange's zone, at which the next trading date's label
    stands: at midnight, of futures in the evening.
    """
    if not len(days):
        return days, days
    schedule = calendar.on_dates(int(days[0]) - _REACH, int(days[-1]) + _REACH)
    edges = [_edge(int(day), schedule, calendar, hours) for day in np.union1d(days, days + 1)]
    place = np.searchsorted(np.union1d(days, days + 1), days)
    found = np.array(edges, dtype=np.int64)
    return found[place], found[place + 1]


def _edge(day: int, schedule: Schedule, calendar: TradingCalendar, hours: Hours) -> int:
    """Where a date begins that is closed, or that follows a closed one."""
    place = int(np.searchsorted(schedule.date, day))
    if not 0 < place < len(schedule):
        return day * DAY_NS
    is_all = hours is Hours.ALL
    begins = int((schedule.label_ns if is_all else schedule.opens_ns(hours))[place])
    if schedule.date[place] == day:
        return begins
    ended = int((schedule.end_ns if is_all else schedule.closes_ns(hours))[place - 1])
    if schedule.date[place - 1] == day - 1:
        return ended
    before = _days_before(int(schedule.label_ns[place]), int(schedule.date[place]) - day, calendar)
    return min(max(before, ended), begins)


def _days_before(instant_ns: int, days: int, calendar: TradingCalendar) -> int:
    """The same hour of the exchange's zone so many days before; labels are whole seconds."""
    then = dt.datetime.fromtimestamp(instant_ns // SECOND_NS, calendar.zone) - dt.timedelta(days=days)
    return int(then.timestamp()) * SECOND_NS
