"""Windows that bars are made of: aligned windows, days, weeks and months, and intervals cut to sessions."""

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
    """Each instant's trading date in days since 1970; without a calendar its UTC date."""
    return instants // DAY_NS if calendar is None else calendar.trading_date_of(instants)


def start_of_date(day: int, calendar: TradingCalendar | None) -> int:
    """The instant that a date alone stands for: the start of its trading date's period.

    For a closed day that of the next trading date; without a calendar the UTC midnight.
    """
    return day * DAY_NS if calendar is None else calendar.start_of_date(day)


def whole_window(
    resolution: Resolution, start_ns: int, end_ns: int, *, calendar: TradingCalendar | None
) -> Window:
    """The window of the whole bars that a range `[start_ns, end_ns)` touches.

    Days, weeks and months are cut by the calendar, else by UTC; shorter intervals always by UTC.
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
    """The days, weeks or months that the window touches, each whole.

    With a calendar they are cut by trading date. A period's label is that of its first date, or the start of
    its session if only some hours count. With all hours the periods cover all time. Without a calendar, and
    in UTC, periods start at midnight UTC; an empty window has none.
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
    """The intervals of a window that overlap a session, cut to it; labels are the intervals' starts.

    An interval with a break inside gives two spans. With all hours, or without a calendar, every interval is
    there, whole.
    """
    if calendar is None or hours is Hours.ALL:
        return _cut(_integers(window.start_ns), _integers(window.end_ns), IntervalGrid(interval_ns))
    starts, ends = open_windows(window, calendar=calendar, hours=hours)
    return _cut(starts, ends, IntervalGrid(interval_ns))


def open_windows(window: Window, *, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Starts and ends of the open times in a window, ascending and disjoint.

    All hours count as extended hours.
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
    """The trading dates of all periods that `[first_ns, last_ns]` touches.

    The mask tells which of them start a period.
    """
    grid = DateGrid(resolution)
    numbers = grid.number_of_day(calendar.trading_date_of(_integers(first_ns, last_ns)))
    first_day, behind = grid.first_day(numbers + np.array([0, 1]))
    schedule = calendar.on_dates(int(first_day), int(behind) - 1)
    numbers = grid.number_of_day(schedule.date)
    return schedule, np.append(True, numbers[1:] != numbers[:-1])


def _cut(starts: Integers, ends: Integers, grid: TimeGrid) -> Spans:
    """Windows cut at a grid's edges; labels are the starts of the grid's pieces."""
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
    """The starts of the window's intervals that overlap a session, ascending; all others are closed.

    All hours count as extended hours. Without a calendar every interval is expected.
    """
    of_trading = Hours.EXTENDED if hours is Hours.ALL else hours
    labels = intraday_spans(interval_ns, window, calendar=calendar, hours=of_trading).label_ns
    return labels[np.append(True, labels[1:] != labels[:-1])] if len(labels) else labels
