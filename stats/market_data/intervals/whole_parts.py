"""Parts of a window that are made of whole intervals and hold so few rows that these fit into memory."""

from collections.abc import Sequence

from stats.market_data.intervals.bar_grid import BarGrid
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.protocol import Window


def part_over_gaps(
    logs: Sequence[LogView], grid: BarGrid, window: Window, count: int, *, from_end: bool
) -> Window:
    """About `count` whole intervals of a window, from its start or its end, and on until one of the logs has so many rows.

    Without that years without a row would be gone through interval by interval; at ticks each nanosecond is
    one.
    """
    part = grid.part(window, count, from_end=from_end)
    if part == window:
        return part
    if not grid.resolution.is_tick and sum(log.row_bound(part) for log in logs) >= count:
        return part
    reaches = [log.take_window(window, count, from_end=from_end) for log in logs if not log.is_empty]
    if not reaches:
        return window
    if from_end:
        start_ns = max(reach.start_ns for reach in reaches)
        start_ns = min(part.start_ns, grid.whole(start_ns, start_ns + 1).start_ns)
        return Window(max(start_ns, window.start_ns), window.end_ns)
    end_ns = min(reach.end_ns for reach in reaches)
    end_ns = max(part.end_ns, grid.whole(end_ns - 1, end_ns).end_ns)
    return Window(window.start_ns, min(end_ns, window.end_ns))


def part_in_memory(log: LogView, grid: BarGrid, window: Window, count: int, *, from_end: bool) -> Window:
    """About `count` whole intervals of a window, from its start or its end: fewer, but at least one, if they hold too many rows."""
    part = part_over_gaps((log,), grid, window, count, from_end=from_end)
    if log.row_bound(part) <= ROWS_AT_ONCE:
        return part
    few = log.take_window(part, ROWS_AT_ONCE, from_end=from_end)
    return _last_of(grid, part, few.start_ns) if from_end else _first_of(grid, part, few.end_ns)


def _first_of(grid: BarGrid, part: Window, end_ns: int) -> Window:
    """The intervals of a part that end at an instant or before it; the first one if none does."""
    end_ns = grid.whole(end_ns, end_ns + 1).start_ns
    if end_ns <= part.start_ns:
        end_ns = grid.whole(part.start_ns, part.start_ns + 1).end_ns
    return Window(part.start_ns, min(end_ns, part.end_ns))


def _last_of(grid: BarGrid, part: Window, start_ns: int) -> Window:
    """The intervals of a part that start at an instant or behind it; the last one if none does."""
    start_ns = grid.whole(start_ns - 1, start_ns).end_ns
    if start_ns >= part.end_ns:
        start_ns = grid.whole(part.end_ns - 1, part.end_ns).start_ns
    return Window(max(start_ns, part.start_ns), part.end_ns)
