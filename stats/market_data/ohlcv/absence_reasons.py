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
- `pending`: a gap for which a backfill is queued or runs.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import numpy as np

from calendars.trading_calendar import trading_date_of
from stats.market_data.documents import AbsenceDocument, Reason
from stats.market_data.ohlcv.closed_dates import closed_dates
from stats.market_data.ohlcv.found_gaps import (
    NO_TRADES,
    Gap,
    Intervals,
    Words,
    expected_numbers,
    found_gaps,
    missing_numbers,
    runs_of,
    with_closed_numbers,
)
from stats.market_data.ohlcv.gap_evidence import GapEvidence, JudgedRuns
from stats.market_data.ohlcv.halts import Halts
from stats.market_data.ohlcv.periods import Periods
from stats.market_data.ohlcv.session_activity import blocks_of
from stats.market_data.ohlcv.unexplained_volume import UnexplainedVolume
from store.arrays import Integers, Mask
from store.log_views.bar_grid import BarGrid
from store.log_views.session_spans import SessionGrid, expected_intervals
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, format_timestamp

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Missing:
    """Intervals without a bar, and why. traded_dates: those with a bar, days since 1970. judged: see `_judged`."""

    intervals: Intervals
    reason: Words
    traded_dates: Integers
    judged: JudgedRuns | None


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

    def runs(self, window: Window, dates: range) -> list[AbsenceDocument]:
        """Return each run of intervals without a bar, ascending.

        window: aligned to the grid. dates: days since 1970; for daily bars, the runs also include the
        closed dates among them.
        """
        missing = self._missing(window, dates)
        starts, ends = missing.intervals.start_ns, missing.intervals.end_ns
        return [
            AbsenceDocument(
                format_timestamp(int(starts[first])),
                format_timestamp(int(ends[behind - 1])),
                cast("Reason", str(missing.reason[first])),
            )
            for first, behind in runs_of(missing.intervals.order, missing.reason)
        ]

    def gaps(self, window: Window, reasons: Collection[str]) -> list[Gap]:
        """Return the runs of expected intervals without a bar that have one of the reasons, ascending.

        window: aligned to the grid. Runs with only closed time between them are one.
        """
        if window.start_ns >= window.end_ns:
            return []
        missing = self._missing(window, None, with_quiet=NO_TRADES in reasons)
        wanted = np.flatnonzero(np.isin(missing.reason, list(reasons)))
        return found_gaps(
            missing.intervals[wanted], missing.reason[wanted], missing.traded_dates, missing.judged
        )

    def _missing(self, window: Window, dates: range | None, *, with_quiet: bool = False) -> _Missing:
        """Return the intervals of a window that have no bar, with their reasons.

        dates: None for the expected intervals alone; otherwise those in which the exchange is closed are among them, also
        the closed ones of these dates. with_quiet: see `GapEvidence.judged`.
        """
        judged = self._judged(window, with_quiet=with_quiet)
        if self.grid.resolution.is_period:
            intervals, traded_dates = self._missing_periods(window, dates)
        elif window.start_ns >= window.end_ns:
            intervals, traded_dates = Intervals.none(), _NONE
        else:
            intervals, traded_dates = self._missing_intraday(window, judged, with_closed=dates is not None)
        reason = self._reasons(window, intervals, traded_dates, judged)
        return _Missing(intervals, reason, traded_dates, judged)

    def _missing_periods(self, window: Window, dates: range | None) -> tuple[Intervals, Integers]:
        """Return the days, weeks or months without a bar, and the dates that have bars."""
        periods, is_empty = self._periods(window, dates), window.start_ns >= window.end_ns
        labels = _NONE if is_empty else self.bar_maker.bars(window).time_ns
        traded_dates = _NONE if is_empty else self._daily_dates(window)
        return periods[np.flatnonzero(~np.isin(periods.label, labels))], traded_dates

    def _missing_intraday(
        self, window: Window, judged: JudgedRuns | None, *, with_closed: bool
    ) -> tuple[Intervals, Integers]:
        """Return the intervals without a bar, and the dates that have bars."""
        grid, calendar = self.grid, self.day_grid.period_calendar
        intervals = grid.intervals(window)
        first, behind = expected_numbers(intervals, window, grid.calendar, grid.hours)
        is_open = np.ones(len(first), dtype=bool)
        if with_closed:
            first, behind, is_open = with_closed_numbers(
                first, behind, *intervals.number_of(np.array([window.start_ns, window.end_ns]))
            )
            # The judged bars are of all hours, but not of the time after the last session.
            judged = None
        missing = missing_numbers(first, behind, self._numbered_blocks(intervals, window, judged))
        starts, ends = (intervals.start_ns(missing.number + after) for after in (0, 1))
        dates = trading_date_of(intervals.start_ns(first), calendar)
        traded_dates = self._traded(window, dates[is_open], dates[missing.has_bars & is_open])
        columns = starts, ends, trading_date_of(starts, calendar), is_open[missing.range_index], missing.place
        return Intervals(starts, *columns), traded_dates

    def _numbered_blocks(
        self, intervals: Resolution | SessionGrid, window: Window, judged: JudgedRuns | None
    ) -> tuple[Integers, Integers]:
        """Return the blocks that the window's bars make, as numbers of intervals. Others may be outside of the hours."""
        evidence, resolution = self.evidence, self.grid.resolution
        if judged is not None and evidence is not None and evidence.bar_grid.resolution == resolution:
            starts, ends = judged.bar_blocks
        else:
            times = self.bar_maker.bars(window).time_ns
            if not isinstance(intervals, Resolution):
                return blocks_of(intervals.number_of(times), 1)
            starts, ends = blocks_of(times, resolution.length_ns)
        return intervals.number_of(starts), intervals.number_of(ends - 1) + 1

    def _traded(self, window: Window, dates: Integers, traded: Integers) -> Integers:
        """Return which dates have a bar. dates: ascending. traded: those that have an intraday bar in the window."""
        others = dates[~np.isin(dates, traded)]
        if not len(others):
            return traded
        first_ns, last_ns = (
            self.day_grid.date_start(int(day) * DAY_NS) for day in (others[0], others[-1] + 1)
        )
        around = Window(max(first_ns, window.start_ns), min(last_ns, window.end_ns))
        return np.append(traded, self._daily_dates(around))

    def _judged(self, window: Window, *, with_quiet: bool) -> JudgedRuns | None:
        """Return the judged runs of empty minutes of a window; None without evidence, and for days and longer."""
        is_judged = not self.grid.resolution.is_period and window.start_ns < window.end_ns
        if not is_judged or self.evidence is None:
            return None
        return self.evidence.judged(window, with_quiet=with_quiet)

    def _daily_dates(self, window: Window) -> Integers:
        """Return the dates of the daily bars of a window."""
        days_window = self.day_grid.aligned(window.start_ns, window.end_ns)
        _, dates = self.day_grid.ends_and_dates(self.daily_bar_maker.bars(days_window).time_ns, days_window)
        return dates

    def _is_unexplained(self, window: Window, intervals: Intervals) -> Mask:
        if self.grid.resolution.is_period:
            return np.zeros(len(intervals.label), dtype=bool)
        return self.unexplained_volume.is_unexplained(
            window, intervals.start_ns, intervals.end_ns, intervals.date
        )

    def _periods(self, window: Window, dates: range | None) -> Intervals:
        """Return the window's days, weeks or months. dates: see `_missing`; only days can be closed."""
        periods = self._open_periods(window)
        if dates is None:
            return periods
        if self.grid.resolution != Resolution.DAY:
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

    def _open_periods(self, window: Window) -> Intervals:
        if window.start_ns >= window.end_ns:
            return Intervals.none()
        periods = self.grid.periods(window)
        count = len(periods.labels)
        columns = periods.labels, periods.labels, periods.ends_ns, periods.dates
        return Intervals(*columns, np.ones(count, dtype=bool), np.arange(count))

    def _utc_days(self, open_days: Intervals, window: Window) -> Intervals:
        """Return all UTC days of the window. A day with sessions ends with its last session."""
        starts = np.arange(window.start_ns, window.end_ns, DAY_NS)
        ends = starts + DAY_NS
        ends[np.searchsorted(starts, open_days.label)] = open_days.end_ns
        grid = self.grid
        expected = expected_intervals(grid.intervals(window), window, grid.calendar, grid.hours)
        columns = starts, starts, ends, starts // DAY_NS
        return Intervals(*columns, np.isin(starts, expected), np.arange(len(starts)))

    def _has_unknown_hours(self, intervals: Intervals) -> Mask:
        calendar = self.grid.calendar
        if calendar is None:
            return np.zeros(len(intervals.date), dtype=bool)
        return intervals.date >= calendar.known_until_day

    def _reasons(
        self, window: Window, intervals: Intervals, traded_dates: Integers, judged: JudgedRuns | None
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


def _with_closed(days: Intervals, closed: Integers, starts: Integers, ends: Integers) -> Intervals:
    """Return the days and the closed dates, ordered by date."""
    no_label, is_open = np.full(len(closed), -1, dtype=np.int64), np.zeros(len(closed), dtype=bool)
    order = np.argsort(np.append(days.date, closed))
    return Intervals(
        label=np.append(days.label, no_label)[order],
        start_ns=np.append(days.start_ns, starts)[order],
        end_ns=np.append(days.end_ns, ends)[order],
        date=np.append(days.date, closed)[order],
        is_open=np.append(days.is_open, is_open)[order],
        order=np.arange(len(order)),
    )
