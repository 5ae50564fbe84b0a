"""Dates on which the library's hours are wrong, and the years up to which its holidays are known.

Calendars are named as the library names them itself, so that all its aliases of one calendar are meant.
"""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from pathlib import Path

# Each row has its source. Times are local; an empty one is right in the library.
TABLE = Path(__file__).with_name("corrections.csv")
_CLOSED = "closed"
# The last year of calendars whose holidays are lists. All others follow rules.
_LAST_KNOWN_YEARS = {
    "BSE": 2026,
    "NSE": 2026,
    "XBKK": 2029,
    "XHKG": 2049,
    "XIDX": 2025,
    "XIST": 2049,
    "XKAR": 2025,
    "XKLS": 2029,
    "XKRX": 2050,
    "XPHS": 2027,
    "XSAU": 2029,
    "XSES": 2026,
    "XSHG": 2026,
    "XTAI": 2026,
}
# Calendars whose first session of each year opens late: its local open, and the first year in which it did for certain.
# Seoul has a ceremony before it (https://newspim.com/news/view/20220103000022); the close is the usual one.
_FIRST_SESSIONS = {"XKRX": (time(10), 2001)}
# Calendars whose usual local open changed, with the date from which the new one is valid.
# Buenos Aires: https://www.byma.com.ar/mercado/horarios.
_CHANGED_OPENS = {"XBUE": (date(2025, 7, 28), time(10, 30))}


@dataclass(frozen=True, slots=True)
class HoursCorrection:
    """The right hours of a date, in local time; None where the library is right. is_closed: no trading date."""

    date: date
    open: time | None = None
    break_start: time | None = None
    break_end: time | None = None
    close: time | None = None
    is_closed: bool = False


def corrections_of(name: str) -> tuple[HoursCorrection, ...]:
    """Return a calendar's corrections, by date."""
    return _table().get(name, ())


def first_sessions_of(name: str, sessions: Iterable[date]) -> list[HoursCorrection]:
    """Return the corrections of each year's first session. sessions: ascending, from the first of a year on."""
    if name not in _FIRST_SESSIONS:
        return []
    opens, first_year = _FIRST_SESSIONS[name]
    firsts: dict[int, date] = {}
    for session in sessions:
        firsts.setdefault(session.year, session)
    return [HoursCorrection(session, opens) for year, session in firsts.items() if year >= first_year]


def changed_open_of(name: str) -> tuple[date, time] | None:
    """Return the date from which a calendar opens at another local time than the library says, and that time."""
    return _CHANGED_OPENS.get(name)


def last_known_year(name: str) -> int | None:
    """Return the last year whose holidays are known; None for holidays that follow rules."""
    return _LAST_KNOWN_YEARS.get(name)


@cache
def digest() -> str:
    """Return a hash of all that is said here, for cache keys."""
    rules = repr((_LAST_KNOWN_YEARS, _FIRST_SESSIONS, _CHANGED_OPENS)).encode()
    return hashlib.sha256(TABLE.read_bytes() + rules).hexdigest()[:8]


@cache
def _table() -> dict[str, tuple[HoursCorrection, ...]]:
    found: dict[str, tuple[HoursCorrection, ...]] = {}
    with TABLE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            is_closed = row["open"] == _CLOSED
            correction = HoursCorrection(
                date.fromisoformat(row["date"]),
                None if is_closed else _time(row["open"]),
                _time(row["break_start"]),
                _time(row["break_end"]),
                _time(row["close"]),
                is_closed,
            )
            for name in row["calendars"].split(";"):
                found[name] = (*found.get(name, ()), correction)
    return found


def _time(text: str) -> time | None:
    return time.fromisoformat(text) if text else None
