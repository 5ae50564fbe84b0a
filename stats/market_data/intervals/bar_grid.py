"""The intervals of bars: fixed lengths in UTC, or days, weeks and months of an exchange's trading dates."""

from dataclasses import dataclass, replace

import numpy as np

from stats.sessions.calendars import TradingCalendar
from stats.sessions.spans import (
    Hours,
    SessionMode,
    intraday_spans,
    period_spans,
    start_of_date,
    trading_date_of,
    whole_window,
)
from store.arrays import Integers
from store.bars.spans import PeriodSpans, Spans
from store.log_views.grids import OUTSIDE
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class BarGrid:
    """The intervals of a resolution.

    calendar: the exchange's; None if the instrument has no exchange. session: whether days, weeks and months
    follow its trading dates or UTC. hours: the hours of the exchange whose rows count.
    """

    resolution: Resolution
    calendar: TradingCalendar | None
    session: SessionMode
    hours: Hours

    @property
    def cut_by(self) -> TradingCalendar | None:
        """The calendar whose trading dates the periods follow; None if they follow UTC dates."""
        is_cut = self.resolution.is_period and self.session is SessionMode.EXCHANGE
        return self.calendar if is_cut else None

    @property
    def is_plain(self) -> bool:
        """Whether all intervals have one length, start at its multiples since the epoch, and count all hours."""
        is_fixed = not self.resolution.is_period or self.resolution is Resolution.DAY
        return is_fixed and self.cut_by is None and self.hours is Hours.ALL

    @property
    def is_of_regular_sessions(self) -> bool:
        """See `Grid.is_of_regular_sessions`."""
        return self.cut_by is not None and self.hours is Hours.REGULAR

    def with_resolution(self, resolution: Resolution) -> "BarGrid":
        """See `Grid.with_resolution`."""
        return replace(self, resolution=resolution)

    def aligned(self, start_ns: int, end_ns: int) -> Window:
        """The window of all intervals that overlap a range."""
        return whole_window(self.resolution, start_ns, end_ns, calendar=self.cut_by)

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        """A part of a window with about `count` intervals, at its start or its end."""
        length = min(count * self.resolution.length_ns, window.end_ns - window.start_ns)
        if from_end:
            whole = self.aligned(window.end_ns - length, window.end_ns)
            return Window(max(window.start_ns, whole.start_ns), window.end_ns)
        whole = self.aligned(window.start_ns, window.start_ns + length)
        return Window(window.start_ns, min(whole.end_ns, window.end_ns))

    def labels_of(self, time_ns: Integers, window: Window) -> Integers:
        """The label (timestamp) of each instant's bar; `OUTSIDE` for instants outside the window or the hours."""
        if self.is_plain:
            labels = time_ns // self.resolution.length_ns * self.resolution.length_ns
            return np.where((labels >= window.start_ns) & (labels < window.end_ns), labels, OUTSIDE)
        spans = self.spans(window)
        if not len(spans.start_ns):
            return np.full_like(time_ns, OUTSIDE)
        place = np.searchsorted(spans.start_ns, time_ns, side="right") - 1
        return np.where((place >= 0) & (time_ns < spans.end_ns[place]), spans.label_ns[place], OUTSIDE)

    def trading_dates(self, time_ns: Integers) -> Integers:
        """See `Grid.trading_dates`."""
        return trading_date_of(time_ns, self.calendar)

    def constant_window(self, now_ns: int) -> Window:
        """The window around `now_ns` in which no bar becomes final and none begins."""
        whole = self.aligned(now_ns, now_ns + 1)
        if self.is_plain or not self.resolution.is_period:
            return whole
        closes = [int(end) for end in self.periods(whole).ends_ns if whole.start_ns < end < whole.end_ns]
        edges = [whole.start_ns, *closes, whole.end_ns]
        place = max(place for place, edge in enumerate(edges) if edge <= now_ns)
        return Window(edges[place], edges[place + 1])

    def first_open_ns(self, now_ns: int) -> int:
        """The start of the first interval that is not final at `now_ns`."""
        whole = self.aligned(now_ns, now_ns + 1)
        return whole.start_ns if self.constant_window(now_ns).start_ns == whole.start_ns else whole.end_ns

    def date_start(self, day_ns: int) -> int:
        """The start of a trading date; of the next one if the exchange is closed on that date.

        day_ns: the date's midnight UTC. Intraday grids use the exchange's trading dates if there is an exchange.
        """
        calendar = self.cut_by if self.resolution.is_period else self.calendar
        return start_of_date(day_ns // DAY_NS, calendar)

    def periods(self, window: Window) -> PeriodSpans:
        """The periods (days or longer) of an aligned window."""
        return period_spans(
            self.resolution, window, calendar=self.calendar, hours=self.hours, mode=self.session
        )

    def spans(self, window: Window) -> Spans:
        """The spans of time whose rows make the bars of a window. Not for plain grids."""
        if self.resolution.is_period:
            return self.periods(window).spans
        return self._hours_of(self.resolution.length_ns, window)

    def ends_and_dates(self, labels: Integers, window: Window) -> tuple[Integers, Integers]:
        """The end of each bar's interval, nanoseconds UTC, and its date, days since 1970."""
        if not self.resolution.is_period or self.is_plain:
            return labels + self.resolution.length_ns, labels // DAY_NS
        periods = self.periods(window)
        place = np.searchsorted(periods.labels, labels)
        return periods.ends_ns[place], periods.dates[place]

    def hours_in(self, window: Window) -> Spans:
        """The query's hours on all UTC days that a window overlaps, split at midnight UTC."""
        whole = Window(window.start_ns // DAY_NS * DAY_NS, -(-window.end_ns // DAY_NS) * DAY_NS)
        return self._hours_of(DAY_NS, whole)

    def _hours_of(self, interval_ns: int, window: Window) -> Spans:
        return intraday_spans(interval_ns, window, calendar=self.calendar, hours=self.hours)


def utc_grid(resolution: Resolution) -> BarGrid:
    """The grid of a resolution in UTC, with all hours."""
    return BarGrid(resolution, None, SessionMode.UTC, Hours.ALL)


def regular_day_grid(calendar: TradingCalendar | None) -> BarGrid:
    """The grid of an exchange's regular sessions, one per trading date; UTC days without a calendar."""
    if calendar is None:
        return utc_grid(Resolution.DAY)
    return BarGrid(Resolution.DAY, calendar, SessionMode.EXCHANGE, Hours.REGULAR)
