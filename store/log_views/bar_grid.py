"""The intervals of bars: fixed lengths in UTC, or days, weeks and months of an exchange's trading dates."""

from dataclasses import dataclass, replace

import numpy as np

from calendars.exceptions import NoExchange
from calendars.schedule import Anchor, Hours, SessionMode
from calendars.trading_calendar import TradingCalendar, date_of_row, trading_date_of
from store.arrays import Integers, Mask
from store.bars.spans import PeriodSpans, Spans
from store.instrument_calendars import calendar_for, calendar_if_known, daily_hours, never_closes
from store.instruments import Instrument
from store.log_views.session_spans import (
    OUTSIDE,
    SessionGrid,
    aligned_window,
    auction_windows,
    intraday_spans,
    period_spans,
    session_grid,
)
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS
from store.window_list import WindowList

# No interval shorter than a day reaches so far.
LONG_NS = 31 * DAY_NS


@dataclass(frozen=True, slots=True)
class BarGrid:
    """The intervals of bars. Each has a label, which is its bar's time; labels ascend and are nanoseconds UTC.

    calendar: the exchange's calendar; None if the instrument has no exchange. session: whether days, weeks and
    months follow trading dates or UTC dates. hours: only rows within these hours of the exchange count. anchor:
    where intervals shorter than a day begin.
    """

    resolution: Resolution
    calendar: TradingCalendar | None
    session: SessionMode
    hours: Hours
    anchor: Anchor = Anchor.CLOCK

    @property
    def period_calendar(self) -> TradingCalendar | None:
        """The calendar whose trading dates the periods follow; None if they follow UTC dates."""
        is_cut = self.resolution.is_period and self.session is SessionMode.EXCHANGE
        return self.calendar if is_cut else None

    @property
    def anchor_calendar(self) -> TradingCalendar | None:
        """The calendar whose opens the intervals are counted from; None if they begin at multiples in UTC.

        Schedules have whole minutes, so intervals that divide a minute are the same either way.
        """
        is_counted = not self.resolution.is_period and MINUTE_NS % self.resolution.length_ns
        return self.calendar if is_counted and self.anchor is Anchor.SESSION else None

    @property
    def is_plain(self) -> bool:
        """Whether all intervals have one length, start at multiples of it since 1970 UTC, and include all hours."""
        if self.hours is not Hours.ALL or self.resolution.is_uneven:
            return False
        return self.calendar is None or (self.period_calendar is None and self.anchor_calendar is None)

    @property
    def is_of_multiples(self) -> bool:
        """Whether intervals start at multiples of one length since 1970 UTC, whatever the hours that count."""
        return self.is_plain or (not self.resolution.is_period and self.anchor_calendar is None)

    @property
    def is_of_regular_sessions(self) -> bool:
        """Whether its periods consist of the regular sessions of an exchange's trading dates."""
        return self.period_calendar is not None and self.hours is Hours.REGULAR

    def with_resolution(self, resolution: Resolution) -> "BarGrid":
        """Return a grid with the same hours and dates but another resolution.

        Its intervals shorter than a day start at multiples of their length.
        """
        return replace(self, resolution=resolution, anchor=Anchor.CLOCK)

    def days(self) -> "BarGrid":
        """Return the grid of days with the same exchange and hours.

        An intraday grid with a calendar gets trading dates; others keep their session mode.
        """
        is_dated = self.calendar is not None and not self.resolution.is_period
        return replace(
            self, resolution=Resolution.DAY, session=SessionMode.EXCHANGE if is_dated else self.session
        )

    def regular_days(self) -> "BarGrid":
        """Return the grid of the exchange's regular sessions, one per trading date; UTC days without an exchange."""
        if self.calendar is None:
            return utc_grid(Resolution.DAY)
        return BarGrid(Resolution.DAY, self.calendar, SessionMode.EXCHANGE, Hours.REGULAR)

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        """Return the window of all intervals that overlap a range."""
        if (calendar := self.anchor_calendar) is not None:
            # Each end by the dates around it: a range of centuries has millions of intervals.
            last_ns = max(end_ns - 1, start_ns)
            first, last = (
                session_grid(self.resolution, at, calendar).aligned(at)
                for at in (Window(start_ns, start_ns + 1), Window(last_ns, last_ns + 1))
            )
            return Window(first.start_ns, last.end_ns)
        return aligned_window(self.resolution, start_ns, end_ns, calendar=self.period_calendar)

    def interval(self, instant_ns: int) -> Window:
        """Return the interval that contains an instant."""
        return self.aligned(instant_ns, instant_ns + 1)

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        """Return a part of a window with about `count` intervals, at its start or its end."""
        length = min(count * self.resolution.length_ns, window.end_ns - window.start_ns)
        if from_end:
            aligned = self.aligned(window.end_ns - length, window.end_ns)
            return Window(max(window.start_ns, aligned.start_ns), window.end_ns)
        aligned = self.aligned(window.start_ns, window.start_ns + length)
        return Window(window.start_ns, min(aligned.end_ns, window.end_ns))

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        """Return the label (timestamp) of each instant's bar; `OUTSIDE` if it is outside the window or the hours."""
        if self.is_plain:
            labels = time_ns // self.resolution.length_ns * self.resolution.length_ns
            return np.where((labels >= window.start_ns) & (labels < window.end_ns), labels, OUTSIDE)
        spans = self.spans_of(time_ns, window)
        if not len(spans):
            return np.full_like(time_ns, OUTSIDE)
        index = spans.indices(time_ns)
        return np.where(index >= 0, spans.label_ns[index], OUTSIDE)

    def trading_dates(self, time_ns: Integers) -> Integers:
        """Return each instant's trading date, days since 1970. Credited volume stays within one."""
        return trading_date_of(time_ns, self.calendar)

    def dates_of_rows(self, time_ns: Integers) -> Integers:
        """Return the dates, days since 1970, that stored bars of a day or longer mean; see `date_of_row`."""
        return date_of_row(time_ns, self.calendar)

    def constant_window(self, now_ns: int) -> Window:
        """Return the window around `now_ns` in which no interval begins and the same ones are over."""
        interval = self.interval(now_ns)
        if self.is_plain or not self.resolution.is_period:
            return interval
        ends = self.periods(interval).ends_ns.tolist()
        return Window(
            max(edge for edge in (interval.start_ns, *ends) if edge <= now_ns),
            min(edge for edge in (interval.end_ns, *ends) if edge > now_ns),
        )

    def first_not_over_ns(self, now_ns: int) -> int:
        """Return the start of the first interval that is not over at an instant."""
        interval = self.interval(now_ns)
        is_over = self.constant_window(now_ns).start_ns > interval.start_ns
        return interval.end_ns if is_over else interval.start_ns

    def date_start(self, day_ns: int) -> int:
        """Return the start of a trading date. day_ns: the date's midnight UTC.

        If the exchange is closed on that date, return the start of the next trading date. Without an exchange,
        and for days, weeks and months in UTC, return `day_ns`.
        """
        calendar = self.period_calendar if self.resolution.is_period else self.calendar
        return day_ns if calendar is None else calendar.start_of_date(day_ns // DAY_NS)

    def periods(self, window: Window) -> PeriodSpans:
        """Return the periods (days or longer) of an aligned window."""
        return period_spans(
            self.resolution, window, calendar=self.calendar, hours=self.hours, mode=self.session
        )

    def spans_of(self, time_ns: Integers, window: Window) -> Spans:
        """Return the spans that make the bars of a window from rows of these instants. Not for plain grids.

        In a long window only the times around rows have spans, because they may be decades apart; at `tick`, where the
        instants must ascend, only those that have a row.
        """
        if not self.resolution.is_tick:
            return (
                self.spans(window)
                if self.resolution.is_period or not is_long(window)
                else self._near(time_ns, window)
            )
        inside = np.unique(time_ns[self.within_hours(time_ns)])
        inside = inside[(inside >= window.start_ns) & (inside < window.end_ns)]
        return Spans(inside, inside + 1, inside)

    def spans(self, window: Window) -> Spans:
        """Return the spans of time whose rows make the bars of a window. Not for plain grids, nor for `tick`."""
        if self.resolution.is_period:
            return self.periods(window).spans
        return intraday_spans(self.intervals(window), window, calendar=self.calendar, hours=self.hours)

    def _near(self, time_ns: Integers, window: Window) -> Spans:
        """Return the spans of a window that have one of these instants. Others near them may be included."""
        times = np.sort(np.clip(time_ns, window.start_ns, window.end_ns - 1))
        groups = np.split(times, np.flatnonzero(np.diff(times) > LONG_NS) + 1) if len(times) else []
        near = [self.aligned(int(each[0]), int(each[-1]) + 1).within(window) for each in groups]
        parts = [self.spans(each) for each in near]
        columns = ([getattr(each, name) for each in parts] for name in ("start_ns", "end_ns", "label_ns"))
        return Spans(*(np.concatenate([np.empty(0, np.int64), *column]) for column in columns))

    def auction_windows(self, window: Window) -> WindowList:
        """Return the times of a window outside of the hours, in which only the prints of auctions count."""
        if self.calendar is None or self.hours is Hours.ALL:
            return WindowList(*np.empty((2, 0), np.int64))
        return WindowList(*auction_windows(window, calendar=self.calendar, hours=self.hours))

    def auction_spans(self, time_ns: Integers, length_ns: int, window: Window) -> Spans:
        """Return a span for each time outside of the hours at which auctions had prints, with its bar's label.

        time_ns: starts of intervals of `length_ns`, ascending.
        """
        labels = self.auction_labels(time_ns, window)
        time_ns, labels = time_ns[labels != OUTSIDE], labels[labels != OUTSIDE]
        return Spans(time_ns, time_ns + length_ns, labels)

    def auction_labels(self, time_ns: Integers, window: Window) -> Integers:
        """Return the labels of the bars that have prints of auctions outside of the hours; `OUTSIDE` for none.

        A day, week or month has those of its trading dates; a shorter interval those of its own time.
        """
        if self.resolution.is_tick or not len(time_ns):
            return time_ns
        if not self.resolution.is_period:
            intervals = self.intervals(window)
            return intervals.start_ns(intervals.number_of(time_ns))
        periods = self.periods(window)
        if not len(periods.dates):
            return np.full_like(time_ns, OUTSIDE)
        dates = time_ns // DAY_NS if self.period_calendar is None else self.trading_dates(time_ns)
        index = np.searchsorted(periods.dates, dates, side="right") - 1
        return np.where(index >= 0, periods.labels[np.maximum(index, 0)], OUTSIDE)

    def intervals(self, window: Window) -> Resolution | SessionGrid:
        """Return the intervals, shorter than a day, around a window, whatever the hours."""
        if self.anchor_calendar is None:
            return self.resolution
        return session_grid(self.resolution, window, self.anchor_calendar)

    def ends_and_dates(self, labels: Integers, window: Window) -> tuple[Integers, Integers]:
        """Return the end of each bar's interval, nanoseconds UTC, and its date, days since 1970."""
        if self.anchor_calendar is not None:
            intervals = self.intervals(window)
            return intervals.start_ns(intervals.number_of(labels) + 1), labels // DAY_NS
        if not self.resolution.is_period or self.is_plain:
            return labels + self.resolution.length_ns, labels // DAY_NS
        periods = self.periods(window)
        index = np.searchsorted(periods.labels, labels)
        return periods.ends_ns[index], periods.dates[index]

    def within_hours(self, time_ns: Integers) -> Mask:
        """Return which of the ascending instants lie within the grid's hours."""
        if not len(time_ns):
            return np.zeros(0, dtype=bool)
        window = utc_grid(Resolution.DAY).aligned(int(time_ns[0]), int(time_ns[-1]) + 1)
        spans = intraday_spans(Resolution.DAY, window, calendar=self.calendar, hours=self.hours)
        return spans.indices(time_ns) >= 0


def is_long(window: Window) -> bool:
    """Return whether a window is so long that only its intervals near rows are made."""
    return window.end_ns - window.start_ns > LONG_NS


def utc_grid(resolution: Resolution) -> BarGrid:
    """Return the grid of a resolution in UTC, with all hours."""
    return BarGrid(resolution, None, SessionMode.UTC, Hours.ALL)


def plain_grid(interval_ns: int, instrument: Instrument) -> BarGrid:
    """Return the grid of equal intervals of this length in UTC, with all hours and the instrument's trading dates."""
    return BarGrid(
        Resolution.of_length(interval_ns), calendar_if_known(instrument), SessionMode.UTC, Hours.ALL
    )


def instrument_grid(
    instrument: Instrument,
    resolution: Resolution,
    *,
    session: SessionMode | None = None,
    hours: Hours | None = None,
    anchor: Anchor = Anchor.CLOCK,
) -> BarGrid:
    """Return the grid of an instrument's bars. session, hours: None for the instrument's default.

    If the grid depends on sessions, raises `NoExchange` without an exchange, and `UnknownExchange` if its hours are not
    known.
    """
    is_utc = session is not SessionMode.EXCHANGE and hours in {None, Hours.ALL} and anchor is Anchor.CLOCK
    is_of_dates = session is not SessionMode.UTC and resolution.is_period
    calendar = calendar_for(instrument) if is_of_dates or not is_utc else calendar_if_known(instrument)
    if never_closes(instrument):
        return utc_grid(resolution)
    if calendar is None and not is_utc:
        raise NoExchange(
            f"{instrument.symbol} names no exchange, so its sessions are not known: declare it by"
            f" PUT /api/v1/instruments/{instrument.symbol}, or ask with session=utc, hours=all and anchor=clock"
        )
    mode = session or (SessionMode.UTC if calendar is None else SessionMode.EXCHANGE)
    is_dated = resolution.is_period and mode is SessionMode.EXCHANGE
    default_hours = daily_hours(instrument) if is_dated else Hours.ALL
    return BarGrid(resolution, calendar, mode, hours or default_hours, anchor)
