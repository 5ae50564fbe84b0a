"""Times and spans as people and programs write them."""

import re
from datetime import UTC, datetime, timedelta

_TIME = r"[Tt ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?"
_INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\d({_TIME}([Zz]|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)
YEARS = range(1900, 2201)
_SPAN = re.compile(r"(\d{1,9})([smhd]?)", re.ASCII)
_SECONDS_OF = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def instant(text: str) -> datetime:
    """The time, in UTC, that an ISO 8601 text names: without an offset it is UTC, without a time midnight.

    It is cut to microseconds. An epoch integer is none. Raises ValueError, also for a year outside 1900-2200.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not an ISO 8601 time such as 2030-01-02T03:04:05Z")
    try:
        found = datetime.fromisoformat(text.upper())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:64]!r} is no time that there is") from error
    if found.year not in YEARS:
        raise ValueError(f"{text[:64]!r} is not within the years 1900-2200")
    return found


def instant_text(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with `Z`."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def span(text: str) -> timedelta:
    """The span that a number of seconds, or one of `s`, `m`, `h`, `d`, names. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} is not a span such as 3600, 90m, 12h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS_OF[found[2]])
