"""Judges runs of empty minutes: whether trades are missing, by what was traded on the dates before.

A run is a gap if it is longer than every empty run in the same half hours of the 20 clean trading dates before it,
and if as many minutes without a trade have a probability below 1e-6. Trades are taken as a Poisson process, with the
lower decile of those dates' trades a minute. A date is clean if it has trades, no halt and no gap.
"""

import math
from dataclasses import dataclass

import numpy as np

from calendars.trading_calendar import TradingCalendar
from stats.market_data.ohlcv.halts import Halts
from stats.market_data.ohlcv.session_activity import (
    Activity,
    DatedSessions,
    Runs,
    blocks_of,
    sessions_around,
)
from store.arrays import Floats, Integers, Mask
from store.bars.bars import Bars
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView, stored_times
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.timestamps import MINUTE_NS

HISTORY_DATES = 20
# The clean dates must be among this many trading dates before.
_REACH = 40
# Whether a date is clean is judged by the dates before it, and so on. This many judgements follow one another.
_JUDGEMENTS = 3
LEAST_EXPECTED = -math.log(1e-6)
# The lower decile of 20 dates is the second smallest of them.
_DECILE = 1


@dataclass(frozen=True, slots=True)
class JudgedRuns:
    """Runs of empty minutes, ascending, and what they were judged by.

    expected: how many trades as many minutes had on the dates before, at the least; see `GapEvidence.judged`. longest:
    the minutes of the longest empty run of those dates. history: the number of those dates, at most 20. is_gap: the
    judgement. bar_blocks: the starts and ends of the blocks that the bars make.
    """

    start_ns: Integers
    end_ns: Integers
    expected: Floats
    longest: Integers
    history: Integers
    is_gap: Mask
    bar_blocks: tuple[Integers, Integers]

    def __getitem__(self, rows: Integers | Mask | slice) -> "JudgedRuns":
        columns = {name: getattr(self, name)[rows] for name in self.__slots__[:-1]}
        return JudgedRuns(**columns, bar_blocks=self.bar_blocks)

    @property
    def minutes(self) -> Integers:
        """The length of each run."""
        return (self.end_ns - self.start_ns) // MINUTE_NS

    def overlapping(self, start_ns: int, end_ns: int) -> "JudgedRuns":
        """Return the runs that overlap a window."""
        first, behind = (
            np.searchsorted(self.end_ns, start_ns, side="right"),
            np.searchsorted(self.start_ns, end_ns),
        )
        return self[int(first) : int(behind)]

    def touch(self, starts_ns: Integers, ends_ns: Integers) -> Mask:
        """Return which intervals overlap one of the runs."""
        following = np.searchsorted(self.end_ns, starts_ns, side="right")
        first_ns = np.append(self.start_ns, np.iinfo(np.int64).max)[following]
        touches: Mask = first_ns < ends_ns
        return touches


@dataclass(frozen=True, slots=True)
class GapEvidence:
    """Judges the runs of empty minutes of one symbol.

    bar_maker: of bars of `bar_grid`, normally minutes, in all hours. trades: its rows show that the feed was up,
    also if they set no bar. complete_until_ns: the feed declared to have sent everything up to there, so that
    nothing before is a gap. listed_from_ns: the start of the date of the first row, which may be incomplete.
    until_ns: later minutes are not over. only_regular: whether only runs in regular sessions are returned.
    """

    calendar: TradingCalendar | None
    bar_maker: BarMaker
    bar_grid: BarGrid
    trades: LogView
    complete_until_ns: int
    listed_from_ns: int
    until_ns: int
    only_regular: bool
    halts: Halts

    def judged(self, window: Window, *, with_quiet: bool = False) -> JudgedRuns:
        """Return the judged runs of the trading dates of a window. They do not depend on where in a date it begins.

        with_quiet: compute `expected` also for runs that are too short to be gaps; otherwise theirs is 0.
        """
        activity = self.activity(window)
        runs = self._open_to_doubt(activity)
        clean, found = self._clean(activity, runs)
        first = np.searchsorted(activity.sessions.date_start_ns, window.start_ns, side="right") - 1
        wanted = (runs.date_index >= first) & (runs.is_regular | (not self.only_regular))
        wanted &= activity.has_bars[runs.date_index]
        runs, found = runs[wanted], found[wanted]
        pieces = self._split_at_rows(runs, found.is_gap)
        is_judged = pieces is runs and not with_quiet
        return found if is_judged else _judged(activity, clean, pieces, with_quiet=with_quiet)

    def expected(self, activity: Activity, runs: Runs) -> Floats:
        """Return how many trades runs of minutes would have, at the least, by the clean dates before each.

        0 without enough history, and for what is declared to be complete. activity: of a window that has the runs.
        """
        index = np.flatnonzero(self._clean(activity, self._open_to_doubt(activity))[0])
        before = np.searchsorted(index, runs.date_index)
        known = before - np.searchsorted(index, runs.date_index - _REACH) >= HISTORY_DATES
        known &= runs.end_ns > self.complete_until_ns
        expected = np.zeros(len(runs))
        if known.any():
            expected[known] = _expected(activity, index, runs[known], before[known] - HISTORY_DATES)
        return expected

    def activity(self, window: Window) -> Activity:
        """Return what was traded on the trading dates of a window, and on those by which they are judged."""
        sessions = sessions_around(window, self.calendar, _REACH * _JUDGEMENTS)
        length_ns, halts = self.bar_grid.resolution.length_ns, self.halts.spans
        return Activity(sessions, self._bars(sessions), length_ns, halts, self.until_ns)

    def _open_to_doubt(self, activity: Activity) -> Runs:
        """Return the empty runs. What is declared to be complete is no gap; a minute is once its end is."""
        complete_ns = self.complete_until_ns // MINUTE_NS * MINUTE_NS
        return activity.empty_runs.within(complete_ns, self.until_ns)

    def _clean(self, activity: Activity, runs: Runs) -> tuple[Mask, JudgedRuns]:
        """Return which dates are clean, and the runs as these dates judge them."""
        has_history = activity.is_whole & (activity.sessions.date_start_ns > self.listed_from_ns)
        clean, judged = has_history, _judged(activity, has_history, runs)
        for _ in range(_JUDGEMENTS - 1):
            before, clean = clean, has_history.copy()
            clean[runs.date_index[judged.is_gap]] = False
            if (clean == before).all():
                break
            judged = _judged(activity, clean, runs)
        return clean, judged

    def _bars(self, sessions: DatedSessions) -> Bars:
        if not len(sessions.start_ns):
            return Bars.joined([])
        end_ns = min(int(sessions.end_ns[-1]), self.until_ns)
        start_ns = int(sessions.start_ns[0])
        return self.bar_maker.bars(self.bar_grid.aligned(start_ns, max(start_ns + 1, end_ns)))

    def _split_at_rows(self, runs: Runs, is_gap: Mask) -> Runs:
        """Return the runs, without the minutes of gaps in which a row was stored."""
        windows = zip(runs.start_ns[is_gap].tolist(), runs.end_ns[is_gap].tolist(), strict=True)
        inside = [window for each in windows if self.trades.row_bound(window := Window(*each))]
        times = [stored_times(self.trades, window) for window in inside]
        if not times:
            return runs
        minutes = np.unique(np.concatenate(times) // MINUTE_NS) * MINUTE_NS
        return runs.without(*blocks_of(minutes, MINUTE_NS))


def _judged(activity: Activity, clean: Mask, runs: Runs, *, with_quiet: bool = False) -> JudgedRuns:
    """Judge runs by the clean dates before them. clean: of each date of the activity. with_quiet: see `judged`."""
    index, dates = np.flatnonzero(clean), np.arange(len(clean))
    before = np.searchsorted(index, dates)
    history = (before - np.searchsorted(index, dates - _REACH))[runs.date_index]
    longest, expected = np.zeros(len(runs), dtype=np.int64), np.zeros(len(runs))
    is_known = history >= HISTORY_DATES
    if is_known.any():
        history_from = np.maximum(before - HISTORY_DATES, 0)[runs.date_index]
        longest = np.where(is_known, _longest(activity, index, runs, history_from), 0)
        candidates = np.flatnonzero(is_known & ((longest < runs.minutes) | with_quiet))
        expected[candidates] = _expected(activity, index, runs[candidates], history_from[candidates])
    is_gap = (expected > LEAST_EXPECTED) & (runs.minutes > longest)
    history = np.minimum(history, HISTORY_DATES)
    columns = (runs.start_ns, runs.end_ns, expected, longest, history, is_gap)
    return JudgedRuns(*columns, activity.blocks)


def _longest(activity: Activity, index: Integers, runs: Runs, history_from: Integers) -> Integers:
    """Return the minutes of the longest empty run of the dates before each run, in the half hours that it touches.

    index: the clean dates. history_from: for each run the first of its 20 clean dates, as a position in `index`.
    """
    of_dates = activity.longest[index]
    # The maxima of 2, 4, 8, 16 and 20 dates, each from the maxima before it.
    for step in (1, 2, 4, 8, HISTORY_DATES - 16):
        of_dates = np.maximum(of_dates[:-step], of_dates[step:])
    parts = runs.half_hours
    cells = (history_from * of_dates.shape[1])[parts.run_index] + activity.column(parts.number)
    longest: Integers = np.maximum.reduceat(of_dates.ravel().take(cells), parts.first)
    return longest


def _expected(activity: Activity, index: Integers, runs: Runs, history_from: Integers) -> Floats:
    """Return how many trades each run would have at the lower decile of the dates before it. See `_longest`."""
    parts = runs.half_hours
    dates = index[history_from[parts.run_index][:, None] + np.arange(HISTORY_DATES)]
    rates = activity.rates(dates, activity.column(parts.number)[:, None])
    # NaN, of a date without this half hour, is sorted last.
    decile = np.nan_to_num(np.sort(rates, axis=1)[:, _DECILE])
    expected: Floats = np.bincount(parts.run_index, decile * parts.minutes, len(runs)).astype(np.float64)
    return expected
