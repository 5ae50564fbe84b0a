"""The window that a range stands for."""

from collections.abc import Iterable

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.extent import extent_of
from stats.market_data.pinning.plan import Asked, Range
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, SECOND_NS

NOTHING = Window(ALL_TIME.start_ns, ALL_TIME.start_ns)
# Labels of periods may lie so far from the rows that they hold.
_MARGIN_NS = 7 * DAY_NS


def bar_range(asked: Asked, grid: BarGrid) -> Range:
    """The range of a query.

    A date alone is a trading date where the grid is cut by those. Raises `RangeTooLarge`.
    """
    query = asked.query
    asked.check_range()
    start_ns, end_ns = query.start_ns, asked.end_ns
    if grid.cut_by is not None:
        start_ns = grid.date_start(start_ns) if start_ns is not None and query.whole_dates[0] else start_ns
        end_ns = grid.date_start(end_ns) if query.whole_dates[1] else end_ns
    first_ns = end_ns - 1 if start_ns is None else start_ns
    whole = grid.whole(first_ns, max(first_ns + 1, end_ns))
    if end_ns <= first_ns:
        # Only dates on which the exchange is closed: there is none of its bars among them.
        return Range(whole.start_ns, whole.start_ns)
    end_ns = whole.end_ns if query.with_partial else min(whole.end_ns, grid.settled(asked.now_ns))
    return Range(None if start_ns is None else whole.start_ns, end_ns)


def bar_window(asked_for: Range, grid: BarGrid, logs: Iterable[LogView]) -> Window:
    """What of a range may have rows."""
    extent = extent_of(logs)
    if extent is None:
        return NOTHING
    first_ns = extent.start_ns - _MARGIN_NS
    start_ns = first_ns if asked_for.start_ns is None else max(asked_for.start_ns, first_ns)
    end_ns = min(asked_for.end_ns, extent.end_ns + _MARGIN_NS)
    return grid.whole(start_ns, end_ns) if start_ns < end_ns else NOTHING


def tick_range(asked: Asked) -> Range:
    """The range of a query for rows as they are; without an end up to the second that has begun.

    Raises `RangeTooLarge`.
    """
    query = asked.query
    asked.check_range()
    now_ns = (asked.now_ns // SECOND_NS + 1) * SECOND_NS
    return Range(query.start_ns, now_ns if query.end_ns is None else query.end_ns)


def tick_window(asked_for: Range, logs: Iterable[LogView]) -> Window:
    """What of a range may have rows."""
    extent = extent_of(logs)
    if extent is None:
        return NOTHING
    start_ns = max(extent.start_ns if asked_for.start_ns is None else asked_for.start_ns, extent.start_ns)
    end_ns = min(asked_for.end_ns, extent.end_ns)
    return Window(start_ns, end_ns) if start_ns < end_ns else NOTHING


def open_until(asked: Asked, grid: BarGrid, asked_for: Range) -> int | None:
    """When the next bar of a range becomes final, or the next one begins; None where all are final."""
    query, steady = asked.query, grid.steady(asked.now_ns)
    is_open = (
        query.end_ns is None
        or steady.start_ns < asked_for.end_ns
        or (not query.with_partial and grid.settled(asked.now_ns) <= asked_for.end_ns)
    )
    return steady.end_ns if is_open else None
