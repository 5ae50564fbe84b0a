"""Hours that an instrument declares itself, as text: `Asia/Dubai Mon-Fri 10:00-15:00 closed 2026-01-01,2026-12-02`.

The words are an IANA time zone, the weekdays of the trading dates, and the local hours of the session: one period, or
two with a break between them (`09:00-11:30,13:00-14:45`). If a time is earlier than the one before it, the times before
it are on the evening before the trading date (`18:00-17:00`). After `closed` follow dates without a session.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from calendars.exceptions import UnknownExchange, nearest_name

EXAMPLE = "Asia/Dubai Mon-Fri 10:00-15:00 closed 2026-01-01,2026-12-02"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PERIOD = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_DAY_MINUTES = 24 * 60
# Files of some systems that are no zones of places: the system's own zone, and one for clocks that nobody has set.
_NO_PLACES = {"localtime", "Factory"}


@dataclass(frozen=True, slots=True)
class DeclaredHours:
    """Hours that are the same on all trading dates.

    weekdays: 0 is Monday. minutes: open and close, with a break between them open, start and end of the break, and
    close; in minutes after the date's local midnight, negative on the evening before. closed: dates without a session.
    """

    zone: ZoneInfo
    weekdays: frozenset[int]
    minutes: tuple[int, ...]
    closed: frozenset[date]


@lru_cache(maxsize=256)
def declared_hours(text: str) -> DeclaredHours | None:
    """Return the hours that a text declares; None if it is the name of a calendar, which has no colon.

    Raises `UnknownExchange` with the word that is wrong.
    """
    if ":" not in text:
        return None
    words = text.split(" ")
    is_closing = len(words) == 5 and words[3] == "closed"
    if len(words) != 3 and not is_closing:
        raise _error(
            text, "needs a time zone, weekdays and hours, and may have `closed` and dates after them"
        )
    return DeclaredHours(
        _zone(words[0]),
        frozenset(day for part in words[1].split(",") for day in _days(part)),
        _minutes(words[2]),
        frozenset(map(_date, words[4].split(","))) if is_closing else frozenset(),
    )


def _zone(word: str) -> ZoneInfo:
    zones = available_timezones() - _NO_PLACES
    if word not in zones:
        raise _error(word, f"is no IANA time zone{nearest_name(word, zones)}")
    return ZoneInfo(word)


def _days(part: str) -> list[int]:
    """Return the weekdays of `Mon` or `Sun-Thu`."""
    ends = part.split("-")
    if len(ends) > 2 or not set(ends) <= set(_WEEKDAYS):
        raise _error(part, f"is no weekday and no range of weekdays; weekdays are {', '.join(_WEEKDAYS)}")
    first, last = _WEEKDAYS.index(ends[0]), _WEEKDAYS.index(ends[-1])
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _minutes(word: str) -> tuple[int, ...]:
    periods = [_PERIOD.fullmatch(part) for part in word.split(",")]
    if None in periods or len(periods) > 2:
        raise _error(word, "is no period such as 10:00-15:00, nor two of them with a comma between")
    numbers = [int(number) for period in periods if period is not None for number in period.groups()]
    times = [hour * 60 + minute for hour, minute in zip(numbers[::2], numbers[1::2], strict=True)]
    if max(times) > _DAY_MINUTES or max(numbers[1::2]) > 59:
        raise _error(word, "has a time that no day has; times are 00:00 to 24:00")
    falls = [index for index, (earlier, later) in enumerate(pairwise(times), 1) if later < earlier]
    if len(falls) > 1 or len(set(times)) < len(times) or (falls and times[-1] > times[0]):
        raise _error(word, "must be periods in order, of at most a day, that do not meet or overlap")
    evening = falls[0] if falls else 0
    return tuple(time - _DAY_MINUTES if index < evening else time for index, time in enumerate(times))


def _date(word: str) -> date:
    try:
        day = date.fromisoformat(word)
    except ValueError:
        day = None
    if day is None or day.isoformat() != word:
        raise _error(word, "is no date such as 2026-01-01")
    return day


def _error(word: str, reason: str) -> UnknownExchange:
    return UnknownExchange(f"in the hours of a calendar {word[:64]!r} {reason}. An example: {EXAMPLE}")
