"""Finds out why intervals have no bar, and merges consecutive intervals with the same reason into runs.

- `closed`: the exchange was closed.
- `not_yet`: the interval has not ended.
- `unlisted`: the interval is before the date of the first stored row, or after the instrument's expiry.
- `unknown_hours`: the holidays of the date are not known.
- `halted`: trading was halted, as `trading_status` says.
- `no_trades`: the exchange was open, and nothing tells that trades are missing.
- `gap`: the exchange was open, but the whole day has no bars, or a coarser stored bar has more volume than the
  finer bars within it, or the instrument's rule says so: `evidence` judges runs of empty minutes (`gap_evidence`),
  `calendar` takes every interval without a bar for a gap.
- `pending`: reserved for backfills.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.ohlcv.found_gaps import (
    FoundGap,
    IntervalColumns,
    expected_numbers,
    found_gaps,
    missing_numbers,
)
from stats.market_data.ohlcv.gap_evidence import GapEvidence, JudgedRuns
from stats.market_data.ohlcv.halts import Halts
from stats.market_data.ohlcv.periods import Periods
from stats.market_data.ohlcv.unexplained_volume import UnexplainedVolume
from stats.sessions.calendars import TradingCalendar
from stats.sessions.schedule import Hours, Schedule
from stats.sessions.spans import expected_intervals, trading_date_of
from store.arrays import Integers, Mask
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp

# How many days before and after the closed dates to search for trading dates. Since 1970 no exchange was closed for
# longer. A date that is not between two trading dates found there begins at midnight UTC.
_REACH = 400


def closed_dates(days: Integers, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Return the starts and ends, nanoseconds UTC, of closed dates. days: ascending, days since 1970.

    A run of closed dates lasts from the end of the previous trading date to the start of the next one. Within
    the run, each date begins at the local time of the next trading date's label: midnight, or the evening for
    futures.
    """
    if not len(days):
        return days, days
    schedule = calendar.on_dates(int(days[0]) - _REACH, int(days[-1]) + _REACH)
    edge_days = np.union1d(days, days + 1)
    edges = np.array([_edge(int(day), schedule, calendar, hours) for day in edge_days], dtype=np.int64)
    index = np.searchsorted(edge_days, days)
    return edges[index], edges[index + 1]


def _edge(day: int, schedule: Schedule, calendar: TradingCalendar, hours: Hours) -> int:
    """Return the start of a date that is closed or follows a closed date."""
    index = int(np.searchsorted(schedule.date, day))
    if not 0 < index < len(schedule):
        return day * DAY_NS
    is_all = hours is Hours.ALL
    next_start_ns = int((schedule.label_ns if is_all else schedule.opens_ns(hours))[index])
    if schedule.date[index] == day:
        return next_start_ns
    previous_end_ns = int((schedule.end_ns if is_all else schedule.closes_ns(hours))[index - 1])
    if schedule.date[index - 1] == day - 1:
        return previous_end_ns
    day_start_ns = _days_before(int(schedule.label_ns[index]), int(schedule.date[index]) - day, calendar)
    return min(max(day_start_ns, previous_end_ns), next_start_ns)


def _days_before(instant_ns: int, days: int, calendar: TradingCalendar) -> int:
    """Return the same local time of the exchange, some days earlier. The instant must be a full second."""
    local = dt.datetime.fromtimestamp(instant_ns // SECOND_NS, calendar.zone) - dt.timedelta(days=days)
    return int(local.timestamp()) * SECOND_NS


REASONS = ("closed", "not_yet", "no_trades", "halted", "gap", "pending", "unlisted", "unknown_hours")

Words = npt.NDArray[np.str_]
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Intervals as columns of equal length.

    label: the timestamp of the interval's bar; -1 for a closed date. date: the trading date, days since 1970.
    is_open: whether the exchange was open.
    """

    label: Integers
    start_ns: Integers
    end_ns: Integers
    date: Integers
    is_open: Mask


@dataclass(frozen=True, slots=True)
class AbsenceFinder:
    """Decides why an interval of a grid has no bar.

    bar_maker: makes the grid's bars. daily_bar_maker: makes the daily bars of `day_grid`. unexplained_volume:
    finds volume that only coarser bars have. listing_window: the window in which the instrument may have
    rows. over_until_ns: the instant until which intervals are over; an interval that ends later is `not_yet`.
    evidence: judges runs of empty minutes; None for the rule `calendar`. filled: for which a source has given all rows
    that it has. pending: for which sources are about to be asked.
    """

    grid: BarGrid
    bar_maker: BarMaker
    daily_bar_maker: BarMaker
    day_grid: BarGrid
    unexplained_volume: UnexplainedVolume
    listing_window: Window
    over_until_ns: int
    halts: Halts
    evidence: GapEvidence | None
    filled: Periods
    pending: Periods

    def runs(self, window: Window, dates: range) -> list[dict[str, str]]:
        """Return `start`, `end` and `reason` of each run of intervals without a bar, ascending.

        window: aligned to the grid. dates: days since 1970; for daily bars, the runs also include the
        closed dates among them.
        """
        labels, traded_dates = self._labels_and_dates(window)
        intervals = self._intervals(window, dates)
        missing = np.flatnonzero(~np.isin(intervals.label, labels))
        reasons = self._reasons(window, intervals, traded_dates, self._judged(window))
        return list(_runs(intervals, missing, reasons[missing]))

    def gaps(self, window: Window, reasons: Collection[str]) -> list[FoundGap]:
        """Return the runs of expected intervals without a bar that have one of the reasons, ascending.

        window: aligned to the grid. Runs with only closed time between them are one.
        """
        labels, traded_dates = self._labels_and_dates(window)
        if window.start_ns >= window.end_ns:
            return []
        intervals, order = self._expected(window, labels)
        judged = self._judged(window)
        words = self._reasons(window, intervals, traded_dates, judged)
        wanted = np.flatnonzero(np.isin(words, list(reasons)))
        rows = IntervalColumns(intervals.start_ns, intervals.end_ns, intervals.date, order, words)
        return found_gaps(rows[wanted], labels, traded_dates, judged)

    def _expected(self, window: Window, labels: Integers) -> tuple[_Intervals, Integers]:
        """Return the expected intervals without a bar, and the place of each among all that are expected."""
        grid = self.grid
        if grid.resolution.is_period:
            periods = self._open_periods(window)
            missing = np.flatnonzero(~np.isin(periods.label, labels))
            columns = (getattr(periods, name)[missing] for name in _Intervals.__slots__)
            return _Intervals(*columns), missing
        intervals = grid.intervals(window)
        first, behind = expected_numbers(intervals, window, grid.calendar, grid.hours)
        numbers, order = missing_numbers(first, behind, intervals.number_of(labels))
        starts, ends = intervals.start_ns(numbers), intervals.start_ns(numbers + 1)
        dates = trading_date_of(starts, self.day_grid.period_calendar)
        return _Intervals(starts, starts, ends, dates, np.ones(len(starts), dtype=bool)), order

    def _judged(self, window: Window) -> JudgedRuns | None:
        """Return the judged runs of empty minutes of a window; None without evidence, and for days and longer."""
        is_judged = not self.grid.resolution.is_period and window.start_ns < window.end_ns
        return self.evidence.judged(window) if is_judged and self.evidence is not None else None

    def _labels_and_dates(self, window: Window) -> tuple[Integers, Integers]:
        """Return the timestamps of the window's bars, and the dates of its daily bars."""
        if window.start_ns >= window.end_ns:
            return _NONE, _NONE
        days_window = self.day_grid.aligned(window.start_ns, window.end_ns)
        _, dates = self.day_grid.ends_and_dates(self.daily_bar_maker.bars(days_window).time_ns, days_window)
        return self.bar_maker.bars(window).time_ns, dates

    def _is_unexplained(self, window: Window, intervals: _Intervals) -> Mask:
        if self.grid.resolution.is_period:
            return np.zeros(len(intervals.label), dtype=bool)
        return self.unexplained_volume.is_unexplained(
            window, intervals.start_ns, intervals.end_ns, intervals.date
        )

    def _intervals(self, window: Window, dates: range) -> _Intervals:
        if self.grid.resolution.is_period:
            return self._periods(window, dates)
        starts, ends = self._starts_and_ends(window)
        return _Intervals(
            starts,
            starts,
            ends,
            trading_date_of(starts, self.day_grid.period_calendar),
            self._is_open(starts, window),
        )

    def _starts_and_ends(self, window: Window) -> tuple[Integers, Integers]:
        """Return the starts and ends of an aligned window's intervals."""
        intervals = self.grid.intervals(window)
        first, end = intervals.number_of(np.array([window.start_ns, window.end_ns], dtype=np.int64))
        edges = intervals.start_ns(np.arange(first, end + 1))
        return edges[:-1], edges[1:]

    def _is_open(self, starts: Integers, window: Window) -> Mask:
        grid = self.grid
        return np.isin(starts, expected_intervals(grid.intervals(window), window, grid.calendar, grid.hours))

    def _periods(self, window: Window, dates: range) -> _Intervals:
        """Return the window's days, weeks or months. Days include closed dates."""
        periods = self._open_periods(window)
        if self.grid.resolution is not Resolution.DAY:
            return periods
        if self.grid.period_calendar is None:
            return self._utc_days(periods, window)
        if not dates:
            return periods
        trading_dates = self.grid.period_calendar.on_dates(dates[0], dates[-1]).date
        closed = np.setdiff1d(np.array(dates), trading_dates)
        return _with_closed(
            periods, closed, *closed_dates(closed, self.grid.period_calendar, self.grid.hours)
        )

    def _open_periods(self, window: Window) -> _Intervals:
        if window.start_ns >= window.end_ns:
            return _Intervals(_NONE, _NONE, _NONE, _NONE, _NONE.astype(bool))
        periods = self.grid.periods(window)
        is_open = np.ones(len(periods.labels), dtype=bool)
        return _Intervals(periods.labels, periods.labels, periods.ends_ns, periods.dates, is_open)

    def _utc_days(self, open_days: _Intervals, window: Window) -> _Intervals:
        """Return all UTC days of the window. A day with sessions ends with its last session."""
        starts = np.arange(window.start_ns, window.end_ns, DAY_NS)
        ends = starts + DAY_NS
        ends[np.searchsorted(starts, open_days.label)] = open_days.end_ns
        return _Intervals(starts, starts, ends, starts // DAY_NS, self._is_open(starts, window))

    def _has_unknown_hours(self, intervals: _Intervals) -> Mask:
        calendar = self.grid.calendar
        if calendar is None:
            return np.zeros(len(intervals.date), dtype=bool)
        return intervals.date >= calendar.known_until_day

    def _reasons(
        self, window: Window, intervals: _Intervals, traded_dates: Integers, judged: JudgedRuns | None
    ) -> Words:
        starts, ends = intervals.start_ns, intervals.end_ns
        is_halted = self.halts.covers(starts, ends, window=window, hours=self.grid.hours)
        is_quiet = np.isin(intervals.date, traded_dates) & ~self._is_unexplained(window, intervals)
        if self.evidence is None:
            is_quiet[:] = False
        else:
            if judged is not None:
                is_quiet &= ~judged[judged.is_gap].touch(starts, ends)
            is_quiet |= self.filled.cover(starts, ends)
        return np.select(
            [
                ends > self.over_until_ns,
                ~intervals.is_open,
                (ends <= self.listing_window.start_ns) | (starts >= self.listing_window.end_ns),
                self._has_unknown_hours(intervals),
                is_halted,
                is_quiet,
                self.pending.cover(starts, ends),
            ],
            ["not_yet", "closed", "unlisted", "unknown_hours", "halted", "no_trades", "pending"],
            "gap",
        )


def _with_closed(days: _Intervals, closed: Integers, starts: Integers, ends: Integers) -> _Intervals:
    """Return the days and the closed dates, ordered by date."""
    no_label, is_open = np.full(len(closed), -1, dtype=np.int64), np.zeros(len(closed), dtype=bool)
    order = np.argsort(np.append(days.date, closed))
    return _Intervals(
        label=np.append(days.label, no_label)[order],
        start_ns=np.append(days.start_ns, starts)[order],
        end_ns=np.append(days.end_ns, ends)[order],
        date=np.append(days.date, closed)[order],
        is_open=np.append(days.is_open, is_open)[order],
    )


def _runs(intervals: _Intervals, missing: Integers, reasons: Words) -> Iterator[dict[str, str]]:
    """Yield `start`, `end` and `reason` of each run of consecutive intervals with the same reason.

    missing: the indices of the intervals without a bar. reasons: the reason for each of them.
    """
    if not len(missing):
        return
    is_first = np.append(True, (np.diff(missing) > 1) | (reasons[1:] != reasons[:-1]))
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(missing)) - 1
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        yield {
            "start": format_timestamp(int(intervals.start_ns[missing[start]])),
            "end": format_timestamp(int(intervals.end_ns[missing[end]])),
            "reason": str(reasons[start]),
        }
