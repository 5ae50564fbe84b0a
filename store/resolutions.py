"""The resolutions of bars, in storage and in queries."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from store.arrays import Integers
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

_UNITS_NS = {
    "ns": 1,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": 60 * MINUTE_NS,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
    "M": 31 * DAY_NS,
}
_EQUAL_UNITS = ("d", "h", "m", "s", "ns")
_LONGEST = {"d": 31, "w": 52, "M": 12}
_SPELLINGS = {"min": "m", "mo": "M"}
RESOLUTION_FORM = "([1-9][0-9]{0,4})(s|m|min|h|d|w|M|mo)"
RESOLUTION_RULE = (
    "a number of seconds, minutes or hours that is less than a day, such as 45s, 7m or 2h, or 1d to 31d, 1w to 52w,"
    " 1M to 12M"
)
# 1970-01-01 was a Thursday.
_MONDAY_OFFSET = 3


@dataclass(frozen=True, slots=True, order=True)
class Resolution:
    """The length of bars: `count` units of s, m, h, d, w or M (months). `TICK` means single rows.

    In UTC, intervals up to hours begin at the multiples of their length since 1970-01-01T00:00Z, whether or not these
    divide a day. Periods (days or longer) consist of dates: days are counted from 1970-01-01, weeks from Monday
    1969-12-29, months from January 1970. With a calendar the dates are trading dates. Equally long resolutions up to
    hours are equal: their unit is the largest that divides them. Ordered by length.
    """

    rank: int  # distinct; shorter resolutions have lower ones
    count: int = field(compare=False)
    unit: str = field(compare=False)
    length_ns: int = field(compare=False)  # of months the longest possible
    is_period: bool = field(compare=False)  # follows trading dates if there is a calendar

    TICK: ClassVar["Resolution"]
    SECOND: ClassVar["Resolution"]
    MINUTE: ClassVar["Resolution"]
    HOUR: ClassVar["Resolution"]
    DAY: ClassVar["Resolution"]
    WEEK: ClassVar["Resolution"]
    MONTH: ClassVar["Resolution"]

    @classmethod
    def parse(cls, text: str) -> "Resolution":
        """Return the resolution of a name, such as `tick`, `7m`, `7min`, `3M` or `3mo`. Raises `ValueError`."""
        return _parsed(text)

    @classmethod
    def of_bars(cls, text: str) -> "Resolution":
        """Return the resolution of a name, but for `tick`. Raises `ValueError`."""
        resolution = _parsed(text)
        if resolution.is_tick:
            raise ValueError(f"must be {RESOLUTION_RULE}")
        return resolution

    @classmethod
    def of_length(cls, length_ns: int) -> "Resolution":
        """Return the resolution whose intervals all have a length, also one that has no name in requests."""
        return _of_length(length_ns)

    @property
    def value(self) -> str:
        """The canonical name."""
        return "tick" if self.is_tick else f"{self.count}{self.unit}"

    @property
    def is_tick(self) -> bool:
        """Whether it means rows, not bars."""
        return self.rank == 0

    @property
    def is_uneven(self) -> bool:
        """Whether its periods in UTC do not begin at the multiples of one length since 1970."""
        return self.rank % 4 != 0

    def is_made_of(self, shorter: "Resolution") -> bool:
        """Return whether bars of another resolution have the length or can be merged to it."""
        if not shorter.is_period:
            return self.is_period or self.length_ns % shorter.length_ns == 0
        return self.is_period and (
            shorter == Resolution.DAY or (shorter.unit == self.unit and self.count % shorter.count == 0)
        )

    def number_of(self, instants: Integers) -> Integers:
        """Return the number of the interval in UTC that contains each instant (nanoseconds), counted from 1970."""
        return self.number_of_day(instants // DAY_NS) if self.is_uneven else instants // self.length_ns

    def start_ns(self, numbers: Integers) -> Integers:
        """Return the start of each interval in UTC, nanoseconds."""
        return self.first_day(numbers) * DAY_NS if self.is_uneven else numbers * self.length_ns

    def number_of_day(self, days: Integers) -> Integers:
        """Return the number of the period that contains each date (days since 1970)."""
        if self.unit == "M":
            days = days.astype("datetime64[D]").astype("datetime64[M]").astype("int64")
        elif self.unit == "w":
            days = (days + _MONDAY_OFFSET) // 7
        return days // self.count

    def first_day(self, numbers: Integers) -> Integers:
        """Return the first date of each period, days since 1970."""
        numbers = numbers * self.count
        if self.unit == "M":
            return numbers.astype("datetime64[M]").astype("datetime64[D]").astype("int64")
        return numbers * 7 - _MONDAY_OFFSET if self.unit == "w" else numbers


def _made(count: int, unit: str) -> Resolution:
    length_ns = count * _UNITS_NS[unit]
    return Resolution(4 * length_ns + {"w": 1, "M": 2}.get(unit, 0), count, unit, length_ns, unit in _LONGEST)


@lru_cache(maxsize=4096)
def _of_length(length_ns: int) -> Resolution:
    unit = next(each for each in _EQUAL_UNITS if length_ns % _UNITS_NS[each] == 0)
    return _made(length_ns // _UNITS_NS[unit], unit)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Resolution:
    match = re.fullmatch(RESOLUTION_FORM, text)
    if text == "tick":
        return Resolution.TICK
    if match is not None:
        count, unit = int(match[1]), _SPELLINGS.get(match[2], match[2])
        if unit in _LONGEST and count <= _LONGEST[unit]:
            return _made(count, unit)
        if unit not in _LONGEST and count * _UNITS_NS[unit] < DAY_NS:
            return _of_length(count * _UNITS_NS[unit])
    raise ValueError(f"must be {RESOLUTION_RULE}")


Resolution.TICK = Resolution(0, 1, "ns", 1, is_period=False)
Resolution.SECOND, Resolution.MINUTE, Resolution.HOUR = (_made(1, each) for each in "smh")
Resolution.DAY, Resolution.WEEK, Resolution.MONTH = (_made(1, each) for each in "dwM")
# Those that are used most, the shortest first.
USUAL_RESOLUTIONS = tuple(
    map(
        Resolution.parse,
        ["1s", "1m", "2m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M"],
    )
)
