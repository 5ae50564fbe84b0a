"""Intervals of one length in UTC: the grid of bars that know no sessions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np

from store.arrays import Integers
from store.bars.spans import PeriodSpans, Spans
from store.log_views.grids import OUTSIDE, Interval
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

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

    resolution: Interval
    dates_of: DatesOf
    is_plain: ClassVar[bool] = True
    is_of_regular_sessions: ClassVar[bool] = False

    def with_resolution(self, resolution: Resolution) -> "PlainGrid":
        return replace(self, resolution=resolution)

    def whole(self, start_ns: int, end_ns: int) -> Window:
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
