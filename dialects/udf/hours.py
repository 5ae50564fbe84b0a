"""The hours of instruments in TradingView's form: a session, its holidays, and the days with other hours."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.lazy_imports import compute as pc

# Around today, in days.
_DAYS_BEFORE, _DAYS_AFTER, _YEAR = 3_653, 366, 366
# Of days since 1970, which began on a Thursday: TradingView's number of the day of the week, Sunday being 1.
_THURSDAY = 4
_WORKWEEK = [2, 3, 4, 5, 6]


UdfHours = Mapping[str, str]
"""The members of a symbol's information."""

ALWAYS: UdfHours = {"timezone": "Etc/UTC", "session": "24x7", "session_holidays": "", "corrections": ""}


@lru_cache(maxsize=256)
def udf_hours(calendar: TradingCalendar, hours: Hours, today: int) -> UdfHours:
    """Return a calendar's hours in the ten years before today (days since 1970) and the year after.

    The session is the most frequent one of the last year.
    """
    last = min(today + _DAYS_AFTER, calendar.known_until_day - 1)
    schedule = calendar.on_dates(today - _DAYS_BEFORE, last)
    segments, zone = schedule.segments(hours), calendar.zone.key
    zoned = pa.timestamp("ns", zone)
    opens, closes = (
        pc.strftime(pa.array(each, zoned), "%H%M").to_pylist()
        for each in (segments.start_ns, segments.end_ns)
    )
    sessions = [""] * len(schedule)
    for index, opened, closed in zip(segments.date_index.tolist(), opens, closes, strict=True):
        sessions[index] = f"{sessions[index]},{opened}-{closed}".removeprefix(",")
    recent = schedule.date >= min(today, last) - _YEAR
    usual = Counter(np.array(sessions)[recent].tolist()).most_common(1)[0][0]
    weekdays = sorted(set(_weekdays(schedule.date[recent]).tolist()))
    days = np.arange(today - _DAYS_BEFORE, last + 1)
    closed_days = days[np.isin(_weekdays(days), weekdays) & ~np.isin(days, schedule.date)]
    others: dict[str, list[str]] = {}
    for day, session in zip(_dates(schedule.date), sessions, strict=True):
        if session != usual:
            others.setdefault(session, []).append(day)
    return {
        "timezone": "Etc/UTC" if zone == "UTC" else zone,
        "session": usual if weekdays == _WORKWEEK else f"{usual}:{''.join(map(str, weekdays))}",
        "session_holidays": ",".join(_dates(closed_days)),
        "corrections": ";".join(f"{session}:{','.join(dates)}" for session, dates in others.items()),
    }


def _dates(days: Integers) -> list[str]:
    return [text.replace("-", "") for text in np.datetime_as_string(days.view("M8[D]")).tolist()]


def _weekdays(days: Integers) -> Integers:
    numbers: Integers = (days + _THURSDAY) % 7 + 1
    return numbers
