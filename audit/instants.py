"""Instants in queries and commands: ISO 8601 / RFC 3339, or an epoch integer. Pure."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Digits of an epoch integer, and how many of its units are a microsecond (or the other way round).
_MICROSECONDS = {10: 1_000_000, 13: 1_000, 16: 1}
_NANOSECONDS = 19
_YEARS = range(1900, 2201)


def parse_instant(text: str) -> datetime:
    """The instant, UTC, cut to microseconds; without an offset UTC is meant, a date alone is its midnight. Raises ValueError."""
    if re.fullmatch(r"[0-9]+", text, re.ASCII) and len(text) != len("20250102"):
        at = _EPOCH + timedelta(microseconds=_microseconds(text))
    else:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if at.year not in _YEARS:
        raise ValueError("a year is one of 1900-2200")
    return at


def _microseconds(digits: str) -> int:
    if len(digits) == _NANOSECONDS:
        return int(digits) // 1_000
    if len(digits) not in _MICROSECONDS:
        raise ValueError("an epoch integer has 10, 13, 16 or 19 digits")
    return int(digits) * _MICROSECONDS[len(digits)]
