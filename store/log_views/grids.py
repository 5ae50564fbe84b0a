"""What bars are cut by: the grid of intervals that a maker of bars takes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from store.arrays import Integers
from store.bars.spans import PeriodSpans, Spans
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# The label of what no interval holds: all intervals begin on whole seconds.
OUTSIDE = -1


class BarLength(Protocol):
    """A length of bars; a `Resolution` is one.

    length_ns: of a week or a month the longest there is. is_period: whether it is made of whole days.
    """

    @property
    def length_ns(self) -> int: ...

    @property
    def is_period(self) -> bool: ...


class Grid(Protocol):
    """Intervals of one length or of trading dates, each with a label, ascending; nanoseconds UTC."""

    @property
    def resolution(self) -> BarLength: ...

    @property
    def is_plain(self) -> bool:
        """Whether all intervals are multiples of one length since 1970, UTC, and all their prints count."""
        ...

    @property
    def is_of_regular_sessions(self) -> bool:
        """Whether its periods are made of the regular sessions of an exchange's trading dates."""
        ...

    def with_resolution(self, resolution: Resolution) -> "Grid":
        """The grid of the same hours and dates with another resolution."""
        ...

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        """The window of whole intervals that a range touches."""
        ...

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        """The label of the bar that each instant belongs to.

        It is `OUTSIDE` for those out of the window, or of the hours that count.
        """
        ...

    def trading_dates(self, time_ns: Integers) -> Integers:
        """The trading date of each instant, in days since 1970; of UTC where there is no exchange."""
        ...

    def spans(self, window: Window) -> Spans:
        """What the bars of a window are made of, for a grid that is not plain."""
        ...

    def periods(self, window: Window) -> PeriodSpans:
        """The periods of a window of whole ones, a day or longer."""
        ...


class DayGrid(Grid, Protocol):
    """Days, by trading date where there is an exchange."""

    def date_start(self, day_ns: int) -> int:
        """Where the trading date begins that a date, given as its midnight UTC, is, or is followed by."""
        ...

    def ends_and_dates(self, labels: Integers, window: Window) -> tuple[Integers, Integers]:
        """Of each bar the end of its interval, and the day since 1970 that it is called by."""
        ...


# The trading date of each instant, in days since 1970.
DatesOf: TypeAlias = Callable[[Integers], Integers]

_NAMED = {
    resolution.length_ns: resolution
    for resolution in Resolution
    if resolution not in {Resolution.TICK, Resolution.WEEK, Resolution.MONTH}
}


@dataclass(frozen=True, slots=True)
class _Length:
    """A length that is no `Resolution`."""

    length_ns: int

    @property
    def is_period(self) -> bool:
        return self.length_ns % DAY_NS == 0


@dataclass(frozen=True, slots=True)
class PlainGrid:
    """Multiples of one length since 1970, UTC; labels are the intervals' starts.

    dates_of: the trading dates of stored days that are given by an instant.
    """

    resolution: BarLength
    dates_of: DatesOf
    is_plain: ClassVar[bool] = True
    is_of_regular_sessions: ClassVar[bool] = False

    def with_resolution(self, resolution: Resolution) -> "PlainGrid":
        return replace(self, resolution=resolution)

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        length = self.resolution.length_ns
        return Window(start_ns - start_ns % length, end_ns + -end_ns % length)

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        labels = time_ns - time_ns % self.resolution.length_ns
        return np.where((labels >= window.start_ns) & (labels < window.end_ns), labels, OUTSIDE)

    def trading_dates(self, time_ns: Integers) -> Integers:
        return self.dates_of(time_ns)

    def spans(self, window: Window) -> Spans:
        return self.periods(window).spans

    def periods(self, window: Window) -> PeriodSpans:
        length = self.resolution.length_ns
        starts = np.arange(window.start_ns, window.end_ns, length)
        return PeriodSpans(Spans(starts, starts + length, starts), starts, starts // DAY_NS, starts + length)


def plain_grid(interval_ns: int, dates_of: DatesOf) -> PlainGrid:
    """The grid of a length in nanoseconds."""
    return PlainGrid(_NAMED.get(interval_ns) or _Length(interval_ns), dates_of)
