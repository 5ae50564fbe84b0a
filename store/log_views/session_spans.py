"""The spans of time from which bars are made: intervals cut to sessions, and days, weeks and months."""

from dataclasses import dataclass

import numpy as np

from calendars.schedule import Hours, Schedule, SessionMode
from calendars.trading_calendar import TradingCalendar
from store.arrays import Integers, Mask
from store.bars.spans import PeriodSpans, Spans
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

# The label of an instant outside all intervals. No interval has it, because intervals start on whole seconds.
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class SessionGrid:
    """Consecutive intervals that are counted from the open of each trading date, in both directions.

    edges_ns: ascending; each interval lasts from one edge to the next. They are the multiples of the length from
    the open, and the start, the close and the end of each trading date. So the last interval of a session ends
    at its close, and no interval belongs to two trading dates. A break does not start a new count.
    """

    edges_ns: Integers

    def number_of(self, instants: Integers) -> Integers:
        """Return the number of the interval that contains each instant."""
        return np.searchsorted(self.edges_ns, instants, side="right") - 1

    def start_ns(self, numbers: Integers) -> Integers:
        """Return the start of each interval, nanoseconds UTC."""
        return self.edges_ns[numbers]

    def aligned(self, window: Window) -> Window:
        """Return the window of all intervals that overlap a window."""
        first, last = self.number_of(_integers(window.start_ns, window.end_ns - 1))
        return Window(int(self.edges_ns[first]), int(self.edges_ns[last + 1]))


def session_grid(resolution: Resolution, window: Window, calendar: TradingCalendar) -> SessionGrid:
    """Return the intervals, shorter than a day, of the trading dates around a window."""
    length, end_ns = resolution.length_ns, max(window.end_ns, window.start_ns + 1)
    schedule = calendar.around(window.start_ns, end_ns - 1)
    first_date, last_date = np.searchsorted(schedule.end_ns, [window.start_ns, end_ns - 1], side="right")
    schedule = schedule[first_date : last_date + 1]
    opens = schedule.open_ns
    first = -((opens - np.maximum(schedule.start_ns, window.start_ns - length)) // length)
    last = (np.minimum(schedule.end_ns, end_ns + length) - 1 - opens) // length
    counts = np.maximum(last - first + 1, 0)
    date_index = np.repeat(np.arange(len(opens)), counts)
    number = np.arange(len(date_index)) - np.repeat(np.cumsum(counts) - counts, counts) + first[date_index]
    multiples = opens[date_index] + number * length
    # `np.unique` hashes integers, which takes thirty times as long as the sort of edges that are nearly in order.
    edges = np.sort(
        np.concatenate([multiples, schedule.start_ns, schedule.close_ns, schedule.end_ns]), kind="stable"
    )
    return SessionGrid(edges[np.diff(edges, prepend=edges[:1] - 1) > 0])


def aligned_window(
    resolution: Resolution, start_ns: int, end_ns: int, *, calendar: TradingCalendar | None
) -> Window:
    """Return the window of all intervals that overlap the range `[start_ns, end_ns)`.

    Days, weeks and months follow the calendar or, without one, UTC. Shorter intervals always follow UTC.
    """
    last_ns = max(start_ns, end_ns - 1)
    if not resolution.is_period or (calendar is None and not resolution.is_uneven):
        length = resolution.length_ns
        return Window(start_ns // length * length, (last_ns // length + 1) * length)
    if calendar is None:
        first, last = resolution.number_of(_integers(start_ns, last_ns))
        start, end = resolution.start_ns(_integers(first, last + 1))
        return Window(int(start), int(end))
    schedule, _ = _schedule_of_periods(resolution, start_ns, last_ns, calendar)
    return Window(min(int(schedule.start_ns[0]), start_ns), max(int(schedule.end_ns[-1]), end_ns))


def period_spans(
    resolution: Resolution,
    window: Window,
    *,
    calendar: TradingCalendar | None,
    hours: Hours,
    mode: SessionMode = SessionMode.EXCHANGE,
) -> PeriodSpans:
    """Return the days, weeks or months that overlap a window, not cut to the window.

    With a calendar they consist of trading dates. A period's label is the label of its first date; if only regular
    or extended hours are used, it is the start of its first session. With `Hours.ALL` the periods cover all time.
    Without a calendar, and with `mode` UTC, periods start at midnight UTC, and an empty window has no periods.
    """
    if calendar is None or mode is SessionMode.UTC:
        return _utc_periods(resolution, window, calendar, hours)
    schedule, is_first = _schedule_of_periods(resolution, window.start_ns, window.end_ns - 1, calendar)
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(schedule)) - 1
    dates = resolution.first_day(resolution.number_of_day(schedule.date[first]))
    if hours is Hours.ALL:
        labels, ends = schedule.label_ns[first], schedule.end_ns[last]
        return PeriodSpans(Spans(schedule.start_ns[first], ends, labels), labels, dates, ends)
    labels = schedule.opens_ns(hours)[first]
    segments = schedule.segments(hours)
    period = np.cumsum(is_first)[segments.date_index] - 1
    spans = Spans(segments.start_ns, segments.end_ns, labels[period])
    return PeriodSpans(spans, labels, dates, schedule.closes_ns(hours)[last])


def intraday_spans(
    grid: Resolution | SessionGrid, window: Window, *, calendar: TradingCalendar | None, hours: Hours
) -> Spans:
    """Return a grid's intervals in a window that overlap a session, cut to the session.

    Labels are the intervals' starts. An interval with a break inside gives two spans. With `Hours.ALL`, or without
    a calendar, the result has every interval, not cut to sessions.
    """
    if calendar is None or hours is Hours.ALL:
        return _cut(_integers(window.start_ns), _integers(window.end_ns), grid)
    starts, ends = open_windows(window, calendar=calendar, hours=hours)
    return _cut(starts, ends, grid)


def expected_intervals(
    grid: Resolution | SessionGrid, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> Integers:
    """Return the starts of a grid's intervals in a window that overlap a session, ascending.

    In the other intervals the exchange is closed. `Hours.ALL` is treated as `Hours.EXTENDED`. Without a calendar
    the result has every interval.
    """
    trading_hours = Hours.EXTENDED if hours is Hours.ALL else hours
    return np.unique(intraday_spans(grid, window, calendar=calendar, hours=trading_hours).label_ns)


def open_windows(window: Window, *, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Return the starts and ends of the periods of trading in a window, ascending and disjoint.

    `Hours.ALL` is treated as `Hours.EXTENDED`.
    """
    if window.end_ns <= window.start_ns:
        return _integers(), _integers()
    segments = calendar.around(window.start_ns, window.end_ns - 1).segments(hours)
    starts = np.maximum(segments.start_ns, window.start_ns)
    ends = np.minimum(segments.end_ns, window.end_ns)
    return starts[starts < ends], ends[starts < ends]


def auction_windows(window: Window, *, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Return the starts and ends of the times in a window, outside of the hours, at which auctions may have prints.

    They are ascending and disjoint.
    """
    if window.end_ns <= window.start_ns:
        return _integers(), _integers()
    schedule = calendar.around(window.start_ns, window.end_ns - 1)
    segments = schedule.segments(hours)
    starts = np.sort(np.append(schedule.auctions_start_ns, segments.end_ns))
    ends = np.sort(np.append(schedule.auctions_end_ns, segments.start_ns))
    starts, ends = np.maximum(starts, window.start_ns), np.minimum(ends, window.end_ns)
    return starts[starts < ends], ends[starts < ends]


def _utc_periods(
    resolution: Resolution, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> PeriodSpans:
    first, last = resolution.number_of(_integers(window.start_ns, window.end_ns - 1))
    edges = resolution.start_ns(np.arange(first, last + 2))
    if calendar is None or hours is Hours.ALL:
        spans = Spans(edges[:-1], edges[1:], edges[:-1])
        return PeriodSpans(spans, edges[:-1], edges[:-1] // DAY_NS, edges[1:])
    aligned = Window(int(edges[0]), int(edges[-1]))
    spans = _cut(*open_windows(aligned, calendar=calendar, hours=hours), resolution)
    is_last = np.append(spans.label_ns[1:] != spans.label_ns[:-1], True)[: len(spans.label_ns)]
    labels = spans.label_ns[is_last]
    return PeriodSpans(spans, labels, labels // DAY_NS, spans.end_ns[is_last])


def _schedule_of_periods(
    resolution: Resolution, first_ns: int, last_ns: int, calendar: TradingCalendar
) -> tuple[Schedule, Mask]:
    """Return the trading dates of all periods that overlap `[first_ns, last_ns]`.

    The mask tells which dates start a period.
    """
    numbers = resolution.number_of_day(calendar.trading_date_of(_integers(first_ns, last_ns)))
    first_day, end_day = resolution.first_day(numbers + np.array([0, 1]))
    schedule = calendar.on_dates(int(first_day), int(end_day) - 1)
    numbers = resolution.number_of_day(schedule.date)
    return schedule, np.append(True, numbers[1:] != numbers[:-1])


def _cut(starts: Integers, ends: Integers, grid: Resolution | SessionGrid) -> Spans:
    """Split windows at a grid's edges. Labels are the starts of the grid's intervals."""
    first, last = grid.number_of(starts), grid.number_of(ends - 1)
    counts = np.maximum(last - first + 1, 0)
    window_index = np.repeat(np.arange(len(starts)), counts)
    offset = np.arange(len(window_index)) - np.repeat(np.cumsum(counts) - counts, counts)
    numbers = first[window_index] + offset
    labels = grid.start_ns(numbers)
    return Spans(
        np.maximum(labels, starts[window_index]),
        np.minimum(grid.start_ns(numbers + 1), ends[window_index]),
        labels,
    )


def _integers(*values: int) -> Integers:
    return np.array(values, dtype=np.int64)
