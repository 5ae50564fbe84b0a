"""The beginnings and ends of dates on which an exchange is closed."""

import datetime as dt

import numpy as np

from calendars.schedule import Hours, Schedule
from calendars.trading_calendar import TradingCalendar
from store.arrays import Integers
from store.timestamps import DAY_NS, SECOND_NS

# How many days before and after the closed dates to search for trading dates. Since 1970 no exchange was closed for
# longer. A date that is not between two trading dates found there begins at midnight UTC.
_REACH = 400


def closed_dates(days: Integers, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Return the starts and ends, nanoseconds UTC, of closed dates. days: ascending, days since 1970.

    A run of closed dates lasts from the end of the previous trading date to the start of the next one. Within
    the run, each date begins at the local time of the next trading date's label: midnight, or the evening for
    futures.
    """
    if not len(days):
        return days, days
    schedule = calendar.on_dates(int(days[0]) - _REACH, int(days[-1]) + _REACH)
    edge_days = np.union1d(days, days + 1)
    edges = np.array([_edge(int(day), schedule, calendar, hours) for day in edge_days], dtype=np.int64)
    index = np.searchsorted(edge_days, days)
    return edges[index], edges[index + 1]


def _edge(day: int, schedule: Schedule, calendar: TradingCalendar, hours: Hours) -> int:
    """Return the start of a date that is closed or follows a closed date."""
    index = int(np.searchsorted(schedule.date, day))
    if not 0 < index < len(schedule):
        return day * DAY_NS
    is_all = hours is Hours.ALL
    next_start_ns = int((schedule.label_ns if is_all else schedule.opens_ns(hours))[index])
    if schedule.date[index] == day:
        return next_start_ns
    previous_end_ns = int((schedule.end_ns if is_all else schedule.closes_ns(hours))[index - 1])
    if schedule.date[index - 1] == day - 1:
        return previous_end_ns
    day_start_ns = _days_before(int(schedule.label_ns[index]), int(schedule.date[index]) - day, calendar)
    return min(max(day_start_ns, previous_end_ns), next_start_ns)


def _days_before(instant_ns: int, days: int, calendar: TradingCalendar) -> int:
    """Return the same local time of the exchange, some days earlier. The instant must be a full second."""
    local = dt.datetime.fromtimestamp(instant_ns // SECOND_NS, calendar.zone) - dt.timedelta(days=days)
    return int(local.timestamp()) * SECOND_NS
