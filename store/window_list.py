"""Lists of disjoint windows, and how to divide them into the levels of aggregates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from store.arrays import Integers, Mask, indices_of_ranges, ranges_of
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS

# The lengths of which stores may hold aggregates. Sessions nearly always start and end on the hour or half hour.
LEVELS_NS = (MINUTE_NS, 30 * MINUTE_NS, 60 * MINUTE_NS, DAY_NS)


def level_for(interval_ns: int) -> int | None:
    """Return the longest level that divides an interval without remainder; None if there is none."""
    return next((level for level in reversed(LEVELS_NS) if interval_ns % level == 0), None)


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
    def concat(cls, parts: Sequence["WindowList"]) -> "WindowList":
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

    def merged(self) -> "WindowList":
        """Return the list with adjacent windows merged."""
        is_apart = self.end_ns[:-1] != self.start_ns[1:]
        if is_apart.all():
            return self
        return WindowList(self.start_ns[np.append(True, is_apart)], self.end_ns[np.append(is_apart, True)])

    @property
    def bounds(self) -> Window:
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

    def indices(self, times: Integers) -> slice | Integers:
        """Return the indices of the times that are in the windows. times: ascending.

        The result is a slice if at most one window contains any of the times.
        """
        if len(self) and (self.end_ns - self.start_ns == 1).all():
            begin, end = ranges_of(times, self.start_ns)
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
        if not len(self):
            return iter(())
        date = self.start_ns // DAY_NS
        edges = np.flatnonzero(date[1:] != date[:-1]) + 1
        starts, ends = np.split(self.start_ns, edges), np.split(self.end_ns, edges)
        return map(WindowList, starts, ends)


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
        layers[level] = WindowList(start[fits], end[fits]).merged()
        before = WindowList(remaining.start_ns, np.where(fits, start, remaining.end_ns))
        behind = WindowList(np.where(fits, end, remaining.end_ns), remaining.end_ns)
        remaining = WindowList.concat([_filled(before), _filled(behind)])
    return layers


def _filled(windows: WindowList) -> WindowList:
    is_filled = windows.start_ns < windows.end_ns
    return WindowList(windows.start_ns[is_filled], windows.end_ns[is_filled])
