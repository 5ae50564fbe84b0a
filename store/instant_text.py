"""The text of one instant: ISO 8601 / RFC 3339, or an epoch integer.

`store.timestamps` reads whole columns of such texts.
"""

import re
from datetime import UTC, datetime, timedelta

YEARS = range(1900, 2201)

_TIME = r"[Tt ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?"
_OFFSET = r"[Zz]|[+-]\d\d(:?[0-5]\d)?"
_INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\d({_TIME}({_OFFSET})?)?", re.ASCII)
# Maps the number of digits of an epoch integer to its unit (s, ms, µs, ns) in nanoseconds.
_EPOCH_UNITS_NS = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
_DIGITS = re.compile(r"\d{10,19}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# ISO 8601's basic format: 20240102T093100.5Z, 20240102T0931+0100, 20240102.
_BASIC = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:[Tt](\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?([Zz]|[+-]\d\d(?:[0-5]\d)?)?)?",
    re.ASCII,
)
_SECOND_60 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:)60(?:\.\d{1,9})?([Zz]|[+-]\d\d(?::?[0-5]\d)?)?", re.ASCII
)
LEAP_SECOND = "a leap second is refused, because times here have none: send 23:59:59 or the midnight after it"


def extended(text: str) -> str:
    """Return a text of ISO 8601's basic format (20240102T093100Z) in the extended one; another text as it is."""
    found = _BASIC.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    date = f"{year}-{month}-{day}"
    clock = ":".join(filter(None, (hour, minute, second)))
    return f"{date}T{clock}{fraction or ''}{offset or ''}" if hour else date


def is_leap_second(text: str) -> bool:
    """Return whether a text is the second 23:59:60 of a UTC date."""
    found = _SECOND_60.fullmatch(extended(text))
    if found is None:
        return False
    try:
        before = parse_instant(f"{found[1]}59{found[2] or ''}")
    except ValueError:
        return False
    return (before.hour, before.minute) == (23, 59)


def parse_instant(text: str) -> datetime:
    """Return the UTC time of an ISO 8601 text.

    A text without an offset is UTC; a text without a time is midnight. The result is cut to microseconds.
    Raises ValueError for other texts, epoch integers, and years outside 1900-2200.
    """
    text = extended(text)
    if is_leap_second(text):
        raise ValueError(f"{text[:64]!r}: {LEAP_SECOND}")
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is not an ISO 8601 time such as 2030-01-02T03:04:05Z")
    try:
        instant = datetime.fromisoformat(text.upper())
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:64]!r} is not a time that exists") from error
    return _within_years(instant, text)


def parse_instant_or_epoch(text: str) -> datetime:
    """Parse like `parse_instant`; also accept epoch integers of 10, 13, 16 or 19 digits (s, ms, µs, ns)."""
    instant_ns = epoch_ns(text)
    if instant_ns is None:
        return parse_instant(text)
    return _within_years(_EPOCH + timedelta(microseconds=instant_ns // 1_000), text)


def epoch_ns(text: str) -> int | None:
    """Return the nanoseconds since 1970 of an epoch integer of 10, 13, 16 or 19 digits.

    Other texts return None. Any year is valid.
    """
    if len(text) not in _EPOCH_UNITS_NS or not _DIGITS.fullmatch(text):
        return None
    return int(text) * _EPOCH_UNITS_NS[len(text)]


def format_instant(instant: datetime | None) -> str | None:
    """Return the instant as RFC 3339 in UTC, ending in `Z`; None for None."""
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _within_years(instant: datetime, text: str) -> datetime:
    if instant.year not in YEARS:
        raise ValueError(f"{text[:64]!r} is not within the years {YEARS[0]}-{YEARS[-1]}")
    return instant
