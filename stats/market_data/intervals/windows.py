"""Computes a query's grid and range, and the windows that may have rows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from stats.market_data.plan import NO_START_NS, SymbolQuery
from store.instrument_calendars import calendar_if_known, never_closes
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid, instrument_grid, utc_grid
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS


def grid_of(symbol_query: SymbolQuery) -> BarGrid:
    """Return the grid of a query.

    Raises `NoExchange` or `UnknownExchange` if the query depends on an exchange's sessions that are not known.
    """
    query, instrument = symbol_query.query, symbol_query.instrument
    grid = instrument_grid(
        instrument, query.resolution, session=query.session, hours=query.hours, anchor=query.anchor
    )
    has_dates = query.resolution.is_period or query.adjustment != "raw" or query.with_coverage
    if has_dates or not grid.is_plain or never_closes(instrument):
        return grid
    return plain_grid_of(instrument, query.resolution)


def plain_grid_of(instrument: Instrument, resolution: Resolution) -> BarGrid:
    """Return the grid of an instrument's intervals in UTC, with all hours.

    It has the instrument's calendar only if its policy credits volume, which stays within a trading date.
    Otherwise it is the same for every exchange.
    """
    grid = utc_grid(resolution)
    if instrument.policy.counts_every_print:
        return grid
    return replace(grid, calendar=calendar_if_known(instrument))


NOTHING = Window(ALL_TIME.start_ns, ALL_TIME.start_ns)
# The longest time between the label of a period and its rows.
_MARGIN_NS = 7 * DAY_NS


def bar_range(symbol_query: SymbolQuery, grid: BarGrid) -> Window:
    """Return the range of a query, extended to whole intervals.

    If the grid follows trading dates, a bound without a time means a trading date. Raises `RangeTooLarge`.
    """
    query = symbol_query.query
    symbol_query.check_range()
    start_ns, end_ns = query.start_ns, symbol_query.end_ns
    if grid.period_calendar is not None:
        start_ns = grid.date_start(start_ns) if start_ns is not None and query.whole_dates[0] else start_ns
        end_ns = grid.date_start(end_ns) if query.whole_dates[1] else end_ns
    first_ns = end_ns - 1 if start_ns is None else start_ns
    aligned = grid.aligned(first_ns, max(first_ns + 1, end_ns))
    if end_ns <= first_ns:
        # The range has only closed dates, so it has no bars.
        return Window(aligned.start_ns, aligned.start_ns)
    end_ns = aligned.end_ns
    if not query.with_partial:
        end_ns = min(end_ns, grid.first_not_over_ns(symbol_query.now_ns))
    return Window(NO_START_NS if start_ns is None else aligned.start_ns, end_ns)


def bar_window(query_range: Window, grid: BarGrid, logs: Iterable[LogView]) -> Window:
    """Return the part of a range that may have bars, in whole intervals."""
    extent = extent_of(logs)
    if extent is None:
        return NOTHING
    start_ns = max(query_range.start_ns, extent.start_ns - _MARGIN_NS)
    end_ns = min(query_range.end_ns, extent.end_ns + _MARGIN_NS)
    return grid.aligned(start_ns, end_ns) if start_ns < end_ns else NOTHING


def tick_range(symbol_query: SymbolQuery) -> Window:
    """Return the range of a query for stored rows.

    Without an end it ends with the current second, or never if the dataset has rows of the future. Raises
    `RangeTooLarge`.
    """
    query = symbol_query.query
    symbol_query.check_range()
    now_ns = (symbol_query.now_ns // SECOND_NS + 1) * SECOND_NS
    end_ns = ALL_TIME.end_ns if query.dataset.has_future else now_ns
    start_ns = NO_START_NS if query.start_ns is None else query.start_ns
    return Window(start_ns, end_ns if query.end_ns is None else query.end_ns)


def tick_window(query_range: Window, logs: Iterable[LogView]) -> Window:
    """Return the part of a range that may have rows."""
    extent = extent_of(logs)
    if extent is None:
        return NOTHING
    start_ns = max(query_range.start_ns, extent.start_ns)
    end_ns = min(query_range.end_ns, extent.end_ns)
    return Window(start_ns, end_ns) if start_ns < end_ns else NOTHING


def next_change_ns_of(symbol_query: SymbolQuery, grid: BarGrid, query_range: Window) -> int | None:
    """Return the next instant at which an interval of the range begins or is over; None if all of them are over."""
    query, constant_window = symbol_query.query, grid.constant_window(symbol_query.now_ns)
    may_change = (
        query.end_ns is None
        or constant_window.start_ns < query_range.end_ns
        or (not query.with_partial and grid.first_not_over_ns(symbol_query.now_ns) <= query_range.end_ns)
    )
    return constant_window.end_ns if may_change else None


def over_until_ns_of(symbol_query: SymbolQuery, grid: BarGrid, query_range: Window) -> int:
    """Return the instant until which the intervals of the range are over. An interval that ends later is not over."""
    return min(grid.constant_window(symbol_query.now_ns).start_ns, query_range.end_ns)


def extent_of(logs: Iterable[LogView]) -> Window | None:
    """Return the window from the first to the last event date of all logs, in UTC days; None without rows."""
    extents = [extent for log in logs if not log.is_empty and (extent := _extent(log)) is not None]
    if not extents:
        return None
    return Window(min(each.start_ns for each in extents), max(each.end_ns for each in extents))


@lru_cache(maxsize=4096)
def _extent(log: LogView) -> Window | None:
    dates = log.snapshot.extent(ALL_TIME)
    return None if dates is None else Window(dates[0] * DAY_NS, (dates[1] + 1) * DAY_NS)


def part_over_gaps(
    logs: Sequence[LogView], grid: BarGrid, window: Window, count: int, *, from_end: bool
) -> Window:
    """Return a part of a window, at its start or its end, with about `count` intervals, or more if it has few rows.

    A part with few rows is extended until one log has `count` rows in it. Otherwise years without rows would be
    read in many small steps, above all for ticks, whose interval is a nanosecond.
    """
    part = grid.part(window, count, from_end=from_end)
    if part == window:
        return part
    if not grid.resolution.is_tick and sum(log.row_bound(part) for log in logs) >= count:
        return part
    row_windows = [log.take_window(window, count, from_end=from_end) for log in logs if not log.is_empty]
    if not row_windows:
        return window
    if from_end:
        start_ns = max(each.start_ns for each in row_windows)
        start_ns = min(part.start_ns, grid.interval(start_ns).start_ns)
        return Window(max(start_ns, window.start_ns), window.end_ns)
    end_ns = min(each.end_ns for each in row_windows)
    end_ns = max(part.end_ns, grid.interval(end_ns - 1).end_ns)
    return Window(window.start_ns, min(end_ns, window.end_ns))


def part_in_memory(log: LogView, grid: BarGrid, window: Window, count: int, *, from_end: bool) -> Window:
    """Like `part_over_gaps`, but with fewer intervals (at least one) if the part has more than `ROWS_AT_ONCE` rows."""
    part = part_over_gaps((log,), grid, window, count, from_end=from_end)
    if log.row_bound(part) <= ROWS_AT_ONCE:
        return part
    few_rows = log.take_window(part, ROWS_AT_ONCE, from_end=from_end)
    if from_end:
        start_ns = grid.interval(few_rows.start_ns - 1).end_ns
        if start_ns >= part.end_ns:
            start_ns = grid.interval(part.end_ns - 1).start_ns
        return Window(max(start_ns, part.start_ns), part.end_ns)
    end_ns = grid.interval(few_rows.end_ns).start_ns
    if end_ns <= part.start_ns:
        end_ns = grid.interval(part.start_ns).end_ns
    return Window(part.start_ns, min(end_ns, part.end_ns))
