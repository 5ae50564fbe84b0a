"""A walk over times from one end of a window: the two ways there are."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from store.arrays import Integers
from store.protocol import Window

T = TypeVar("T")


class Direction(Protocol):
    """Which end of a window is near."""

    def nearest(self, items: Sequence[T]) -> T:
        """The nearest of ascending items."""
        ...

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        """The part of a window up to the next place where one of the extents that meet it begins or ends."""
        ...

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        """The part of a window with so many of the ascending times, and all that equal the last.

        It is the window itself if that has fewer.
        """
        ...

    def behind(self, window: Window, part: Window) -> Window:
        """What of a window is behind its nearest part."""
        ...


class _Forwards:
    """From the start."""

    def nearest(self, items: Sequence[T]) -> T:
        return items[0]

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        start = window.start_ns
        edges = [each.end_ns if each.start_ns <= start else each.start_ns for each in extents]
        return Window(start, min(window.end_ns, *edges))

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        last = int(times.searchsorted(window.start_ns)) + count - 1
        end = int(times[last]) + 1 if last < len(times) else window.end_ns
        return Window(window.start_ns, min(window.end_ns, end))

    def behind(self, window: Window, part: Window) -> Window:
        return Window(part.end_ns, window.end_ns)


class _Backwards:
    """From the end."""

    def nearest(self, items: Sequence[T]) -> T:
        return items[-1]

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        end = window.end_ns
        edges = [each.start_ns if each.end_ns >= end else each.end_ns for each in extents]
        return Window(max(window.start_ns, *edges), end)

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        last = int(times.searchsorted(window.end_ns)) - count
        start = int(times[last]) if last >= 0 else window.start_ns
        return Window(max(window.start_ns, start), window.end_ns)

    def behind(self, window: Window, part: Window) -> Window:
        return Window(window.start_ns, part.start_ns)


FORWARDS: Direction = _Forwards()
BACKWARDS: Direction = _Backwards()
