"""Lists of disjoint windows, how to divide them into rollup levels, and the parameters of bar queries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store.arrays import Integers, Mask, indices_of_ranges, ranges_of
from store.bar_policies import BarPolicy
from store.bars.credit import DatesOf
from store.bars.spans import Spans
from store.csv.derived.rollups import LEVELS_NS, level_for
from store.csv.derived.segment_rows import MappedTimes, Times
from store.protocol import Window
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class WindowList:
    """Disjoint windows `[start_ns, end_ns)` in ascending order, as two int64 columns of the same length."""

    start_ns: Integers
    end_ns: Integers

    @classmethod
    def of(cls, window: Window) -> "WindowList":
        """Return the list of one window."""
        return cls(np.array([window.start_ns]), np.array([window.end_ns]))

    @classmethod
    def together(cls, parts: Sequence["WindowList"]) -> "WindowList":
        """Return one list of all parts' windows, which must not overlap. There must be at least one part."""
        start = np.concatenate([part.start_ns for part in parts])
        order = np.argsort(start)
        return cls(start[order], np.concatenate([part.end_ns for part in parts])[order])

    @classmethod
    def at(cls, times: Integers) -> "WindowList":
        """Return a window of one nanosecond for each time. times: ascending and distinct."""
        return cls(times, times + 1)

    def __len__(self) -> int:
        return len(self.start_ns)

    def joined(self) -> "WindowList":
        """Return the list with adjacent windows joined."""
        is_apart = self.end_ns[:-1] != self.start_ns[1:]
        if is_apart.all():
            return self
        return WindowList(self.start_ns[np.append(True, is_apart)], self.end_ns[np.append(is_apart, True)])

    @property
    def hull(self) -> Window:
        """The window from the first start to the last end; an empty window if the list is empty."""
        return Window(int(self.start_ns[0]), int(self.end_ns[-1])) if len(self) else Window(0, 0)

    def overlapping(self, first_ns: int, last_ns: int) -> "WindowList":
        """Return the windows that overlap `[first_ns, last_ns]`; both ends are inclusive."""
        begin = int(self.end_ns.searchsorted(first_ns, side="right"))
        end = int(self.start_ns.searchsorted(last_ns, side="right"))
        return WindowList(self.start_ns[begin:end], self.end_ns[begin:end])

    def overlaps(self, first_ns: int, last_ns: int) -> bool:
        """Return whether any window overlaps `[first_ns, last_ns]`; both ends are inclusive."""
        return len(self.overlapping(first_ns, last_ns)) > 0

    def indices(self, times: Times) -> slice | Integers:
        """Return the indices of the times that are in the windows. times: ascending.

        The result is a slice if at most one window contains any of the times.
        """
        if len(self) and (self.end_ns - self.start_ns == 1).all():
            begin, end = _ranges_of(times, self.start_ns)
        else:
            begin, end = times.searchsorted(self.start_ns), times.searchsorted(self.end_ns)
        filled = np.flatnonzero(begin < end)
        if len(filled) < 2:
            return slice(int(begin[filled[0]]), int(end[filled[0]])) if len(filled) else slice(0, 0)
        return indices_of_ranges(begin[filled], end[filled])

    def contains(self, times: Integers) -> Mask:
        """Return a mask of the times that are in a window. times: in any order."""
        index = self.start_ns.searchsorted(times, side="right") - 1
        return (index >= 0) & (times < np.append(self.end_ns, 0)[index])

    def by_date(self) -> Iterator["WindowList"]:
        """Yield one list for each event date on which windows start."""
        date = self.start_ns // DAY_NS
        edges = np.flatnonzero(date[1:] != date[:-1]) + 1
        starts, ends = np.split(self.start_ns, edges), np.split(self.end_ns, edges)
        return (WindowList(start, end) for start, end in zip(starts, ends, strict=True) if len(start))


def _ranges_of(times: Times, instants: Integers) -> tuple[Integers, Integers]:
    return times.ranges_of(instants) if isinstance(times, MappedTimes) else ranges_of(times, instants)


# Maps an interval length, in nanoseconds, to the windows to read with aggregates of that length.
Layers: TypeAlias = Mapping[int, WindowList]


def layers_of(windows: WindowList) -> dict[int, WindowList]:
    """Divide windows into layers: the longest intervals that fit, and shorter ones (down to 1 ns) at the edges.

    No interval crosses a window's edge.
    """
    layers: dict[int, WindowList] = {}
    remaining = windows
    for level in (*reversed(LEVELS_NS), 1):
        start, end = -(-remaining.start_ns // level) * level, remaining.end_ns // level * level
        fits = start < end
        if not fits.any():
            continue
        layers[level] = WindowList(start[fits], end[fits]).joined()
        before = WindowList(remaining.start_ns, np.where(fits, start, remaining.end_ns))
        behind = WindowList(np.where(fits, end, remaining.end_ns), remaining.end_ns)
        remaining = WindowList.together([_filled(before), _filled(behind)])
    return layers


def _filled(windows: WindowList) -> WindowList:
    is_filled = windows.start_ns < windows.end_ns
    return WindowList(windows.start_ns[is_filled], windows.end_ns[is_filled])


@dataclass(frozen=True, slots=True)
class BarQuery:
    """A query for bars of equal intervals.

    window: aligned to `interval_ns`. dates_of: see `credit_dates`.
    """

    window: Window
    interval_ns: int
    policy: BarPolicy
    dates_of: DatesOf | None = None

    def layers(self, window: Window) -> Layers:
        """Return the layer of aggregates from which the bars of a window are merged. window: aligned."""
        return {level_for(self.interval_ns) or self.interval_ns: WindowList.of(window)}


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """A query for bars of spans; see `MarketStore.span_bars`."""

    spans: Spans
    policy: BarPolicy
    dates_of: DatesOf | None
