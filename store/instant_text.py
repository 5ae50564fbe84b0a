"""The text of one instant: ISO 8601 / RFC 3339, or an epoch integer.

`store.timestamps` reads whole columns of such texts.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

YEARS = range(1900, 2201)
SECOND_NS = 1_000_000_000
EARLIEST_NS = int(datetime(YEARS.start, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
LATEST_NS = int(datetime(YEARS.stop, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS - 1

OUT_OF_RANGE = f"years from {YEARS[0]} to {YEARS[-1]} can be stored"
NO_TIMESTAMP = "not an ISO 8601 / RFC 3339 date or time"
LEAP_SECOND = "a leap second is refused, because times here have none: send 23:59:59 or the midnight after it"

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d(?::\d\d(?::\d\d(?:\.(\d{1,9}))?)?)?)([Zz]|[+-]\d\d(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
# Begins with a year outside 1900-2200.
_FAR_YEAR = re.compile(r"(?!19|20|21|2200)\d{4}-\d\d-\d\d", re.ASCII)
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


class InvalidTimestamp(ValueError):
    """The text is not an ISO 8601 / RFC 3339 date or time. The caller must correct it."""

    code = "invalid_timestamp"


class TimestampOutOfRange(InvalidTimestamp):
    """The year lies outside 1900-2200. The caller must correct it."""

    code = "timestamp_out_of_range"


def extended(text: str) -> str:
    """Return a text of ISO 8601's basic format (20240102T093100Z) in the extended one; another text as it is."""
    found = _BASIC.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    date = f"{year}-{month}-{day}"
    clock = ":".join(filter(None, (hour, minute, second)))
    return f"{date}T{clock}{fraction or ''}{offset or ''}" if hour else date


def parse_timestamp(text: str) -> int:
    """Return the nanoseconds since 1970 of an ISO 8601 text, extended or basic, with 0-9 fractional digits.

    Without an offset it is UTC; without a time it is midnight. Raises `InvalidTimestamp`, or its subclass
    `TimestampOutOfRange`.
    """
    text = extended(text)
    instant_ns = _instant_ns(text)
    if instant_ns is not None:
        return _within_years(instant_ns)
    if _FAR_YEAR.match(text):
        raise TimestampOutOfRange(OUT_OF_RANGE)
    raise InvalidTimestamp(LEAP_SECOND if _is_leap_second(text) else NO_TIMESTAMP)


def parse_timestamp_or_epoch(text: str) -> int:
    """Like `parse_timestamp`; also accept epoch integers of 10, 13, 16 or 19 digits (s, ms, µs, ns)."""
    instant_ns = epoch_ns(text)
    return parse_timestamp(text) if instant_ns is None else _within_years(instant_ns)


def parse_instant(text: str) -> datetime:
    """Return the time of `parse_timestamp`, cut to microseconds. The message of a ValueError has the text."""
    return _as_time(parse_timestamp, text)


def parse_instant_or_epoch(text: str) -> datetime:
    """Return the time of `parse_timestamp_or_epoch`, as `parse_instant` does."""
    return _as_time(parse_timestamp_or_epoch, text)


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


def _as_time(parse: Callable[[str], int], text: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=parse(text) // 1_000)
    except TimestampOutOfRange:
        raise ValueError(f"{text[:64]!r} is not within the years {YEARS[0]}-{YEARS[-1]}") from None
    except InvalidTimestamp as error:
        is_leap = str(error) == LEAP_SECOND
        reason = f": {LEAP_SECOND}" if is_leap else " is not an ISO 8601 time such as 2030-01-02T03:04:05Z"
        raise ValueError(f"{text[:64]!r}{reason}") from None


def _instant_ns(text: str) -> int | None:
    """Return the nanoseconds of a text of the extended format, of any year; None if it is not a time that exists."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    date, clock, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(
            f"{date}T{(clock or '00:00').partition('.')[0]}{(zone or 'Z').upper()}"
        )
    except ValueError:
        return None
    return int(whole.timestamp()) * SECOND_NS + int((fraction or "0").ljust(9, "0"))


def _is_leap_second(text: str) -> bool:
    """Return whether a text of the extended format is the second 23:59:60 of a UTC date."""
    found = _SECOND_60.fullmatch(text)
    before_ns = None if found is None else _instant_ns(f"{found[1]}59{found[2] or ''}")
    return before_ns is not None and before_ns // SECOND_NS % 86_400 == 86_399


def _within_years(instant_ns: int) -> int:
    if not EARLIEST_NS <= instant_ns <= LATEST_NS:
        raise TimestampOutOfRange(OUT_OF_RANGE)
    return instant_ns
