"""Windows side by side, and how they are put together of whole intervals of the levels that rollups have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from store.arrays import Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.spans import Spans
from store.csv.derived.rollups import LEVELS_NS, level_for
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class WindowList:
    """Disjoint windows `[start_ns, end_ns)`, ascending: equally long int64 columns."""

    start_ns: Integers
    end_ns: Integers

    @classmethod
    def of(cls, window: Window) -> "WindowList":
        """The one window."""
        return cls(np.array([window.start_ns]), np.array([window.end_ns]))

    @classmethod
    def together(cls, parts: Sequence["WindowList"]) -> "WindowList":
        """Those of all the parts, at least one; none of them overlap."""
        start = np.concatenate([part.start_ns for part in parts])
        order = np.argsort(start)
        return cls(start[order], np.concatenate([part.end_ns for part in parts])[order])

    def __len__(self) -> int:
        return len(self.start_ns)

    def joined(self) -> "WindowList":
        """The same, as few as can be: where one ends as the next one starts, they become one."""
        is_apart = self.end_ns[:-1] != self.start_ns[1:]
        if is_apart.all():
            return self
        return WindowList(self.start_ns[np.append(True, is_apart)], self.end_ns[np.append(is_apart, True)])

    @property
    def hull(self) -> Window:
        """From the first one's start to the last one's end; an empty window where there is none."""
        return Window(int(self.start_ns[0]), int(self.end_ns[-1])) if len(self) else Window(0, 0)

    def overlapping(self, first_ns: int, last_ns: int) -> "WindowList":
        """Those in which some of the instants from the first to the last lie, both inclusive."""
        begin = int(self.end_ns.searchsorted(first_ns, side="right"))
        end = int(self.start_ns.searchsorted(last_ns, side="right"))
        return WindowList(self.start_ns[begin:end], self.end_ns[begin:end])

    def overlaps(self, first_ns: int, last_ns: int) -> bool:
        """Whether any of the instants from the first to the last lies in a piece."""
        return len(self.overlapping(first_ns, last_ns)) > 0

    def indices(self, times: Integers) -> slice | Integers:
        """The places of the ascending times that lie in the pieces; a slice if they follow one another."""
        begin, end = times.searchsorted(self.start_ns), times.searchsorted(self.end_ns)
        filled = np.flatnonzero(begin < end)
        if len(filled) < 2:
            return slice(int(begin[filled[0]]), int(end[filled[0]])) if len(filled) else slice(0, 0)
        begin, count = begin[filled], (end - begin)[filled]
        behind = np.cumsum(count)
        indices: Integers = np.arange(behind[-1]) + np.repeat(begin - (behind - count), count)
        return indices

    def contains(self, times: Integers) -> Mask:
        """Whether each of the times, in any order, lies in a piece."""
        index = self.start_ns.searchsorted(times, side="right") - 1
        return (index >= 0) & (times < np.append(self.end_ns, 0)[index])

    def by(self, length_ns: int) -> Iterator["WindowList"]:
        """Groups of those that start in one interval of a length."""
        interval = self.start_ns // length_ns
        edges = np.flatnonzero(interval[1:] != interval[:-1]) + 1
        starts, ends = np.split(self.start_ns, edges), np.split(self.end_ns, edges)
        return (WindowList(start, end) for start, end in zip(starts, ends, strict=True) if len(start))


# By the length of intervals in nanoseconds: the pieces that are to be made of such.
Layers: TypeAlias = Mapping[int, WindowList]


def layers_of(windows: WindowList) -> dict[int, WindowList]:
    """The pieces in layers: the longest whole intervals that fit, shorter ones at the edges, down to 1 ns.

    No interval is cut by the edge of a piece.
    """
    layers: dict[int, WindowList] = {}
    left = windows
    for level in (*reversed(LEVELS_NS), 1):
        start, end = -(-left.start_ns // level) * level, left.end_ns // level * level
        fits = start < end
        if not fits.any():
            continue
        layers[level] = WindowList(start[fits], end[fits]).joined()
        before = WindowList(left.start_ns, np.where(fits, start, left.end_ns))
        behind = WindowList(np.where(fits, end, left.end_ns), left.end_ns)
        left = WindowList.together([_filled(before), _filled(behind)])
    return layers


def _filled(windows: WindowList) -> WindowList:
    is_filled = windows.start_ns < windows.end_ns
    return WindowList(windows.start_ns[is_filled], windows.end_ns[is_filled])


@dataclass(frozen=True, slots=True)
class BarQuery:
    """Bars of whole intervals. `window` begins and ends on whole multiples of `interval_ns`."""

    window: Window
    interval_ns: int
    policy: BarPolicy

    def layers(self, window: Window) -> Layers:
        """What bars of a window of whole intervals are merged from: aggregates of one length."""
        return {level_for(self.interval_ns) or self.interval_ns: WindowList.of(window)}


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """Bars of spans; see `QueryableStore.span_bars`."""

    spans: Spans
    policy: BarPolicy
    credits: bool
