"""Grids divide time into the intervals of bars: their protocols, the intervals of UTC, and grids of one length in UTC."""

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from calendars.trading_calendar import date_of_row
from store.arrays import Integers
from store.bars.spans import PeriodSpans, Spans
from store.instrument_calendars import calendar_if_known, trading_dates
from store.instruments import Instrument
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# The label of an instant outside all intervals. No interval has it, because intervals start on whole seconds.
OUTSIDE = -1
# 1970-01-01 was a Thursday.
_MONDAY_OFFSET = 3


class BarLength(Protocol):
    """The length of a bar, such as a `Resolution`.

    length_ns: for weeks and months, the longest possible. is_period: whether it is a whole number of days.
    """

    @property
    def length_ns(self) -> int: ...

    @property
    def is_period(self) -> bool: ...


class Grid(Protocol):
    """The intervals of bars: of one length, or by trading dates.

    Each interval has a label, which is its bar's time. Labels ascend and are nanoseconds UTC.
    """

    @property
    def resolution(self) -> BarLength: ...

    @property
    def is_plain(self) -> bool:
        """Whether intervals start at multiples of one length since 1970 UTC and include all prints."""

    @property
    def is_of_multiples(self) -> bool:
        """Whether intervals start at multiples of one length since 1970 UTC, whatever the hours that count."""

    @property
    def is_of_regular_sessions(self) -> bool:
        """Whether its periods consist of the regular sessions of an exchange's trading dates."""

    def with_resolution(self, resolution: Resolution) -> "Grid":
        """Return a grid with the same hours and dates but another resolution.

        Its intervals shorter than a day start at multiples of their length.
        """

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        """Return the window of all intervals that a range touches."""

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        """Return the label of the bar that each instant belongs to.

        The label is `OUTSIDE` for instants outside the window or outside the hours that count.
        """

    def dates_of_rows(self, time_ns: Integers) -> Integers:
        """Return the dates, days since 1970, that stored bars of a day or longer mean; see `date_of_row`."""

    def trading_dates(self, time_ns: Integers) -> Integers:
        """Return each instant's trading date, days since 1970. Credited volume stays within one."""

    def spans(self, window: Window) -> Spans:
        """Return the spans of a window's bars, for a grid that is not plain."""

    def periods(self, window: Window) -> PeriodSpans:
        """Return the periods of an aligned window, each a day or longer."""

    def ends_and_dates(self, labels: Integers, window: Window) -> tuple[Integers, Integers]:
        """Return the end of each bar's interval, and its date in days since 1970."""


# The resolutions of one fixed length.
RESOLUTION_OF_LENGTH = {
    resolution.length_ns: resolution
    for resolution in Resolution
    if resolution not in {Resolution.TICK, Resolution.WEEK, Resolution.MONTH}
}


@dataclass(frozen=True, slots=True)
class UtcIntervals:
    """The intervals of a resolution in UTC, numbered from 1970. Weeks begin on Monday; dates are days since 1970."""

    resolution: Resolution

    def number_of(self, instants: Integers) -> Integers:
        """Return the number of the interval that contains each instant."""
        if self.resolution.is_period:
            return self.number_of_day(instants // DAY_NS)
        return instants // self.resolution.length_ns

    def start_ns(self, numbers: Integers) -> Integers:
        """Return the start of each interval, nanoseconds UTC."""
        if self.resolution.is_period:
            return self.first_day(numbers) * DAY_NS
        return numbers * self.resolution.length_ns

    def number_of_day(self, days: Integers) -> Integers:
        """Return the number of the day, week or month that contains each date."""
        if self.resolution is Resolution.MONTH:
            return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        return (days + _MONDAY_OFFSET) // 7 if self.resolution is Resolution.WEEK else days

    def first_day(self, numbers: Integers) -> Integers:
        """Return the first date of each day, week or month."""
        if self.resolution is Resolution.MONTH:
            return numbers.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return numbers * 7 - _MONDAY_OFFSET if self.resolution is Resolution.WEEK else numbers


@dataclass(frozen=True, slots=True)
class _Length:
    """A length that is not a `Resolution`."""

    length_ns: int

    @property
    def is_period(self) -> bool:
        return self.length_ns % DAY_NS == 0


@dataclass(frozen=True, slots=True)
class PlainGrid:
    """Intervals of one length that start at its multiples since 1970 UTC; labels are their starts.

    instrument: the one whose trading dates stored days and credited volume belong to.
    """

    resolution: BarLength
    instrument: Instrument
    is_plain: ClassVar[bool] = True
    is_of_multiples: ClassVar[bool] = True
    is_of_regular_sessions: ClassVar[bool] = False

    def with_resolution(self, resolution: Resolution) -> "PlainGrid":
        return replace(self, resolution=resolution)

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        length = self.resolution.length_ns
        return Window(start_ns - start_ns % length, end_ns + -end_ns % length)

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        labels = time_ns - time_ns % self.resolution.length_ns
        return np.where((labels >= window.start_ns) & (labels < window.end_ns), labels, OUTSIDE)

    def dates_of_rows(self, time_ns: Integers) -> Integers:
        return date_of_row(time_ns, calendar_if_known(self.instrument))

    def trading_dates(self, time_ns: Integers) -> Integers:
        return trading_dates(time_ns, self.instrument)

    def spans(self, window: Window) -> Spans:
        return self.periods(window).spans

    def periods(self, window: Window) -> PeriodSpans:
        length = self.resolution.length_ns
        starts = np.arange(window.start_ns, window.end_ns, length)
        return PeriodSpans(Spans(starts, starts + length, starts), starts, starts // DAY_NS, starts + length)

    def ends_and_dates(self, labels: Integers, window: Window) -> tuple[Integers, Integers]:
        return labels + self.resolution.length_ns, labels // DAY_NS


def plain_grid(interval_ns: int, instrument: Instrument) -> PlainGrid:
    """Return the grid of equal intervals of this length in nanoseconds."""
    return PlainGrid(RESOLUTION_OF_LENGTH.get(interval_ns) or _Length(interval_ns), instrument)
