"""The spans of time from which bars are made: intervals cut to sessions, and days, weeks and months."""

import numpy as np

from stats.sessions.calendars import TradingCalendar
from stats.sessions.grids import DateGrid, IntervalGrid, TimeGrid
from stats.sessions.schedule import Hours, Schedule, SessionMode
from store.arrays import Integers, Mask
from store.bars.spans import PeriodSpans, Spans
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

__all__ = [
    "Hours",
    "PeriodSpans",
    "SessionMode",
    "intraday_spans",
    "period_spans",
    "start_of_date",
    "trading_date_of",
    "whole_window",
]


def trading_date_of(instants: Integers, calendar: TradingCalendar | None) -> Integers:
    """Each instant's trading date, days since 1970; its UTC date without a calendar."""
    return instants // DAY_NS if calendar is None else calendar.trading_date_of(instants)


def start_of_date(day: int, calendar: TradingCalendar | None) -> int:
    """The instant that a date without a time means: the start of that trading date. day: days since 1970.

    For a closed day it is the start of the next trading date; without a calendar it is midnight UTC.
    """
    return day * DAY_NS if calendar is None else calendar.start_of_date(day)


def whole_window(
    resolution: Resolution, start_ns: int, end_ns: int, *, calendar: TradingCalendar | None
) -> Window:
    """The window of all intervals that overlap the range `[start_ns, end_ns)`.

    Days, weeks and months follow the calendar or, without one, UTC. Shorter intervals always follow UTC.
    """
    last_ns = max(start_ns, end_ns - 1)
    if calendar is None or not resolution.is_period:
        grid = _utc_grid(resolution)
        first, last = grid.number_of(_integers(start_ns, last_ns))
        start, end = grid.start_ns(_integers(first, last + 1))
        return Window(int(start), int(end))
    schedule, _ = _dated(resolution, start_ns, last_ns, calendar)
    return Window(min(int(schedule.start_ns[0]), start_ns), max(int(schedule.end_ns[-1]), end_ns))


def period_spans(
    resolution: Resolution,
    window: Window,
    *,
    calendar: TradingCalendar | None,
    hours: Hours,
    mode: SessionMode = SessionMode.EXCHANGE,
) -> PeriodSpans:
    """The whole days, weeks or months that overlap the window.

    With a calendar they consist of trading dates. A period's label is the label of its first date or, if only
    some hours count, the start of its first session. With all hours the periods cover all time. Without a
    calendar, and with `mode` UTC, periods start at midnight UTC, and an empty window has no periods.
    """
    if calendar is None or mode is SessionMode.UTC:
        return _utc_periods(DateGrid(resolution), window, calendar, hours)
    schedule, is_first = _dated(resolution, window.start_ns, window.end_ns - 1, calendar)
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(schedule)) - 1
    grid = DateGrid(resolution)
    dates = grid.first_day(grid.number_of_day(schedule.date[first]))
    if hours is Hours.ALL:
        labels, ends = schedule.label_ns[first], schedule.end_ns[last]
        return PeriodSpans(Spans(schedule.start_ns[first], ends, labels), labels, dates, ends)
    labels = schedule.opens_ns(hours)[first]
    segments = schedule.segments(hours)
    period = np.cumsum(is_first)[segments.place] - 1
    spans = Spans(segments.start_ns, segments.end_ns, labels[period])
    return PeriodSpans(spans, labels, dates, schedule.closes_ns(hours)[last])


def intraday_spans(
    interval_ns: int, window: Window, *, calendar: TradingCalendar | None, hours: Hours
) -> Spans:
    """The intervals of a window that overlap a session, cut to the session. Labels are the intervals' starts.

    An interval with a break inside gives two spans. With all hours, or without a calendar, the result has every
    interval, uncut.
    """
    if calendar is None or hours is Hours.ALL:
        return _cut(_integers(window.start_ns), _integers(window.end_ns), IntervalGrid(interval_ns))
    starts, ends = open_windows(window, calendar=calendar, hours=hours)
    return _cut(starts, ends, IntervalGrid(interval_ns))


def open_windows(window: Window, *, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """The starts and ends of the periods of trading in a window, ascending and disjoint.

    All hours are treated as extended hours.
    """
    if window.end_ns <= window.start_ns:
        return _integers(), _integers()
    segments = calendar.around(window.start_ns, window.end_ns - 1).segments(hours)
    starts = np.maximum(segments.start_ns, window.start_ns)
    ends = np.minimum(segments.end_ns, window.end_ns)
    return starts[starts < ends], ends[starts < ends]


def _utc_periods(
    grid: DateGrid, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> PeriodSpans:
    first, last = grid.number_of(_integers(window.start_ns, window.end_ns - 1))
    edges = grid.start_ns(np.arange(first, last + 2))
    if calendar is None or hours is Hours.ALL:
        spans = Spans(edges[:-1], edges[1:], edges[:-1])
        return PeriodSpans(spans, edges[:-1], edges[:-1] // DAY_NS, edges[1:])
    whole = Window(int(edges[0]), int(edges[-1]))
    spans = _cut(*open_windows(whole, calendar=calendar, hours=hours), grid)
    is_last = np.append(spans.label_ns[1:] != spans.label_ns[:-1], True)[: len(spans.label_ns)]
    labels = spans.label_ns[is_last]
    return PeriodSpans(spans, labels, labels // DAY_NS, spans.end_ns[is_last])


def _utc_grid(resolution: Resolution) -> TimeGrid:
    return DateGrid(resolution) if resolution.is_period else IntervalGrid(resolution.length_ns)


def _dated(
    resolution: Resolution, first_ns: int, last_ns: int, calendar: TradingCalendar
) -> tuple[Schedule, Mask]:
    """The trading dates of all periods that overlap `[first_ns, last_ns]`.

    The mask tells which dates start a period.
    """
    grid = DateGrid(resolution)
    numbers = grid.number_of_day(calendar.trading_date_of(_integers(first_ns, last_ns)))
    first_day, behind = grid.first_day(numbers + np.array([0, 1]))
    schedule = calendar.on_dates(int(first_day), int(behind) - 1)
    numbers = grid.number_of_day(schedule.date)
    return schedule, np.append(True, numbers[1:] != numbers[:-1])


def _cut(starts: Integers, ends: Integers, grid: TimeGrid) -> Spans:
    """Split windows at a grid's edges. Labels are the starts of the grid's intervals."""
    first, last = grid.number_of(starts), grid.number_of(ends - 1)
    counts = np.maximum(last - first + 1, 0)
    origin = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(counts) - counts, counts)
    numbers = first[origin] + within
    labels = grid.start_ns(numbers)
    return Spans(
        np.maximum(labels, starts[origin]), np.minimum(grid.start_ns(numbers + 1), ends[origin]), labels
    )


def _integers(*values: int) -> Integers:
    return np.array(values, dtype=np.int64)


def expected_intervals(
    interval_ns: int, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> Integers:
    """The starts of the window's intervals that overlap a session, ascending. The other intervals are closed.

    All hours are treated as extended hours. Without a calendar the result has every interval.
    """
    of_trading = Hours.EXTENDED if hours is Hours.ALL else hours
    labels = intraday_spans(interval_ns, window, calendar=calendar, hours=of_trading).label_ns
    return labels[np.append(True, labels[1:] != labels[:-1])] if len(labels) else labels
