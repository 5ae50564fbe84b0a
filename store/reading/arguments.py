"""Converts the reader's arguments to the values that the store takes.

Every read calls these functions, so integers are tested first and results for texts are cached.
"""

import operator
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from store.durations import LONGEST_NS, UNITS_NS, parse_duration
from store.protocol import ALL_TIME, Window
from store.reading.exceptions import (
    InvalidInstant,
    InvalidInterval,
    InvalidWindow,
    UnknownKnowledge,
)
from store.resolutions import Resolution
from store.rows.knowledge import Knowledge
from store.symbols import parse_symbol
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS, SECOND_NS, InvalidTimestamp, parse_timestamp

# pandas.Timestamp is a datetime, too.
InstantArgument: TypeAlias = int | str | date | datetime | np.datetime64
IntervalArgument: TypeAlias = int | str | timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CACHE_SIZE = 4096

canonical_symbol = lru_cache(maxsize=1 << 16)(parse_symbol)


def aligned_window(start: InstantArgument | None, end: InstantArgument | None, interval_ns: int) -> Window:
    """Return `[start, end)` aligned to whole bars: start floored, end ceiled. None means no bound.

    Raises `InvalidInstant` and `InvalidWindow`.
    """
    first = ALL_TIME.start_ns if start is None else start if type(start) is int else instant_ns(start)
    last = ALL_TIME.end_ns if end is None else end if type(end) is int else instant_ns(end)
    if not EARLIEST_NS <= first < last <= LATEST_NS + 1:
        raise _window_error(first, last)
    return Window(first - first % interval_ns, last + -last % interval_ns)


def exact_window(start: InstantArgument | None, end: InstantArgument | None) -> Window:
    """Return the window `[start, end)` to the nanosecond. Raises `InvalidInstant` and `InvalidWindow`."""
    return aligned_window(start, end, 1)


def instant_ns(value: object) -> int:
    """Return an instant as nanoseconds UTC. Without a time zone it is in UTC. A date means midnight UTC.

    Raises `InvalidInstant`.
    """
    if isinstance(value, str):
        return _instant_of_text(value)
    if isinstance(value, datetime):
        return _of_datetime(value)
    if isinstance(value, np.datetime64):
        return _of_datetime64(value)
    if isinstance(value, date):
        return _within((value.toordinal() - _EPOCH.toordinal()) * DAY_NS, value)
    if isinstance(value, bool | float):
        raise InvalidInstant(
            f"{value!r} is not an instant: give whole nanoseconds since 1970, a text or a datetime"
        )
    try:
        return _within(operator.index(value), value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidInstant(f"{value!r} is not an instant: give an integer, a text or a datetime") from None


def interval_ns(value: object) -> int:
    """Return the length of an interval: whole nanoseconds, a timedelta, or a text such as `1min`, `1h`, `1d`.

    Raises `InvalidInterval`.
    """
    if isinstance(value, str):
        return _interval_of_text(value)
    if isinstance(value, timedelta):  # also pandas.Timedelta, which has nanoseconds
        length = value // timedelta(microseconds=1) * 1_000 + int(getattr(value, "nanoseconds", 0))
    else:
        length = _integer_ns(value)
    if not 0 < length <= LONGEST_NS:
        raise InvalidInterval(
            f"{value!r} is not an interval: give a fixed positive length of at most a century"
        )
    return length


def resolution_of(interval: object) -> Resolution:
    """Return the resolution of HTTP with this name, alias or length. Raises `InvalidInterval`."""
    with suppress(ValueError):
        if isinstance(interval, str):
            return Resolution.parse(interval)
    found = Resolution.of_length(interval_ns(interval))
    try:
        return Resolution.parse(found.value)
    except ValueError as error:
        words = "with session='exchange', hours, anchor or adjustment"
        raise InvalidInterval(f"{words}, {interval!r} {error}") from None


def is_then(knowledge: str) -> bool:
    """Return whether a knowledge is `then`, not `now`. Raises `UnknownKnowledge`."""
    try:
        return Knowledge(knowledge) is Knowledge.THEN
    except ValueError:
        raise UnknownKnowledge("knowledge", knowledge, [each.value for each in Knowledge]) from None


def age_ns(value: IntervalArgument) -> int:
    """Return the length of an interval, or 0 for 0 and `"0"`. Raises `InvalidInterval`."""
    return 0 if value in (0, "0", timedelta(0)) else interval_ns(value)


@lru_cache(maxsize=_CACHE_SIZE)
def _instant_of_text(text: str) -> int:
    try:
        return parse_timestamp(text)
    except InvalidTimestamp as error:
        raise InvalidInstant(f"{text!r}: {error}") from error


@lru_cache(maxsize=_CACHE_SIZE)
def _interval_of_text(text: str) -> int:
    length = parse_duration(text)
    if length is None:
        raise InvalidInterval(
            f"{text!r} is not an interval: give a whole number of {', '.join(UNITS_NS)}, such as 1min, 1h or 1d"
        )
    return length


def _integer_ns(value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise InvalidInterval(
        f"{value!r} is not an interval: give whole nanoseconds, a timedelta, or a text such as 1min"
    )


def _of_datetime(value: datetime) -> int:
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Timestamp):
        return _within(int(value.as_unit("ns").value), value)
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return _within((aware - _EPOCH) // timedelta(microseconds=1) * 1_000, value)


def _of_datetime64(value: np.datetime64) -> int:
    _within(int(value.astype("M8[s]").astype(np.int64)) * SECOND_NS, value)
    return _within(int(value.astype("M8[ns]").astype(np.int64)), value)


def _within(nanoseconds: int, value: object) -> int:
    if not EARLIEST_NS <= nanoseconds <= LATEST_NS + 1:
        raise InvalidInstant(
            f"{value!r} is outside the years 1900 to 2200; integers are nanoseconds since 1970"
        )
    return nanoseconds


def _window_error(first: int, last: int) -> ValueError:
    for instant in (first, last):
        try:
            _within(instant, instant)
        except InvalidInstant as error:
            return error
    return InvalidWindow("the start of a window must be before its end")
