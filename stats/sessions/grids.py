"""Grids that divide UTC time into numbered intervals: of one length, or days, weeks and months."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from store.arrays import Integers
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# 1970-01-01 was a Thursday.
_MONDAY_OFFSET = 3


class TimeGrid(Protocol):
    """Consecutive intervals that cover all time, numbered in order."""

    def number_of(self, instants: Integers) -> Integers:
        """The number of the interval that contains each instant."""
        ...

    def start_ns(self, numbers: Integers) -> Integers:
        """The start of each interval, nanoseconds UTC."""
        ...


@dataclass(frozen=True, slots=True)
class IntervalGrid:
    """Intervals of one length in nanoseconds, aligned to the epoch."""

    length_ns: int

    def number_of(self, instants: Integers) -> Integers:
        return instants // self.length_ns

    def start_ns(self, numbers: Integers) -> Integers:
        return numbers * self.length_ns


@dataclass(frozen=True, slots=True)
class DateGrid:
    """Days, weeks (from Monday) or months in UTC. Dates are days since 1970."""

    resolution: Resolution

    def number_of_day(self, days: Integers) -> Integers:
        """The number of the interval that contains each date."""
        if self.resolution is Resolution.MONTH:
            return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return (days + _MONDAY_OFFSET) // 7 if self.resolution is Resolution.WEEK else days

    def first_day(self, numbers: Integers) -> Integers:
        """The first date of each interval."""
        if self.resolution is Resolution.MONTH:
            return numbers.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return numbers * 7 - _MONDAY_OFFSET if self.resolution is Resolution.WEEK else numbers

    def number_of(self, instants: Integers) -> Integers:
        return self.number_of_day(instants // DAY_NS)

    def start_ns(self, numbers: Integers) -> Integers:
        return self.first_day(numbers) * DAY_NS
