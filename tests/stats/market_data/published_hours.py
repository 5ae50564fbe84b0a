"""The hours that two exchanges published from December 2024 to mid-February 2025, written down by hand.

NYSE, "Holidays & Trading Hours" (https://www.nyse.com/markets/hours-calendars): core session 9:30-16:00,
early session from 4:00, late session to 20:00, all Eastern; 24 December closes at 13:00, its late session at
17:00; closed on 25 December, 1 January, 9 January (day of mourning) and 20 January. CME Group, "Holiday and
Trading Hours" (https://www.cmegroup.com/tools-information/holiday-calendar.html), E-mini S&P 500: Sunday to
Friday 17:00-16:00 Central, a session belongs to the date on which it ends, and so does the hour of
maintenance behind it; 24 December ends at 12:15; no session ends on 25 December or 1 January. Of the quarters around
these months only the first sessions are here.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

FIRST_DATE, LAST_DATE = dt.date(2024, 12, 1), dt.date(2025, 2, 14)


@dataclass(frozen=True, slots=True)
class Session:
    """A trading date.

    Instants in nanoseconds UTC; everything up to `until_ns` that is of no earlier date is of this one.
    """

    date: dt.date
    label_ns: int
    pre_ns: int
    opens_ns: int
    closes_ns: int
    post_ns: int
    until_ns: int

    def window(self, hours: str) -> tuple[int, int]:
        """The session's own hours."""
        return (self.opens_ns, self.closes_ns) if hours == "regular" else (self.pre_ns, self.post_ns)


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange's sessions, ascending."""

    sessions: tuple[Session, ...]

    def session_of(self, time_ns: int) -> Session:
        """The session whose date an instant belongs to: that of weekends and holidays is the next one."""
        (first, *_) = (session for session in self.sessions if time_ns < session.until_ns)
        return first

    def first_from(self, date: dt.date) -> Session:
        """The first session on or after a date."""
        (first, *_) = (session for session in self.sessions if session.date >= date)
        return first

    def is_within(self, time_ns: int, hours: str) -> bool:
        """Whether an instant lies within any session's hours."""
        return hours == "all" or any(
            start <= time_ns < end for start, end in (session.window(hours) for session in self.sessions)
        )


def instant(date: dt.date, clock: str, zone: str) -> int:
    """Nanoseconds UTC of a local wall clock."""
    return int(pd.Timestamp(f"{date.isoformat()}T{clock}", tz=zone).tz_convert("UTC").as_unit("ns").value)


def open_dates(closed: set[str]) -> list[dt.date]:
    days = pd.date_range(FIRST_DATE, LAST_DATE, freq="B")
    dates = [day.date() for day in days if day.date().isoformat() not in closed]
    return [dt.date(2024, 10, 1), *dates, dt.date(2025, 4, 1)]


def new_york(early: Mapping[str, tuple[str, str]], closed: set[str]) -> Exchange:
    zone, sessions = "America/New_York", []
    for date in open_dates(closed):
        close, post = early.get(date.isoformat(), ("16:00", "20:00"))
        midnight = instant(date, "00:00", zone)
        next_midnight = instant(date + dt.timedelta(days=1), "00:00", zone)
        pre_ns, opens_ns, closes_ns, post_ns = (
            instant(date, clock, zone) for clock in ("04:00", "09:30", close, post)
        )
        sessions.append(Session(date, midnight, pre_ns, opens_ns, closes_ns, post_ns, next_midnight))
    return Exchange(tuple(sessions))


def chicago(early: Mapping[str, str], closed: set[str]) -> Exchange:
    zone, sessions = "America/Chicago", []
    for date in open_dates(closed):
        opens = instant(date - dt.timedelta(days=1), "17:00", zone)
        closes = instant(date, early.get(date.isoformat(), "16:00"), zone)
        until = instant(date, "17:00", zone)
        sessions.append(Session(date, opens, opens, opens, closes, closes, until))
    return Exchange(tuple(sessions))


XNYS = new_york({"2024-12-24": ("13:00", "17:00")}, {"2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20"})
XCME = chicago({"2024-12-24": "12:15"}, {"2024-12-25", "2025-01-01"})
