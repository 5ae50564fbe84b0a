"""Finds expected intervals without a bar, and merges those with one reason into gaps."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from stats.market_data.ohlcv.gap_evidence import JudgedRuns
from stats.market_data.ohlcv.session_activity import uncovered
from store.arrays import Integers, Mask
from store.log_views.session_spans import SessionGrid, UtcIntervals, open_windows
from store.protocol import Window
from store.timestamps import DAY_NS

GAP, NO_TRADES, PENDING = "gap", "no_trades", "pending"
Figures = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class FoundGap:
    """A run of expected intervals without a bar, for one reason.

    expected_bars: the number of these intervals. figures: by which it was judged: `minutes`, `expected_trades`, `longest_empty_minutes` and
    `history_dates` as in `JudgedRuns`; `empty_dates`, the number of dates without any bar.
    """

    start_ns: int
    end_ns: int
    expected_bars: int
    reason: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class IntervalColumns:
    """Intervals without a bar, ascending. date: days since 1970. order: the place among all expected intervals."""

    start_ns: Integers
    end_ns: Integers
    date: Integers
    order: Integers
    reason: npt.NDArray[np.str_]

    def __getitem__(self, rows: Integers) -> "IntervalColumns":
        return IntervalColumns(*(getattr(self, name)[rows] for name in self.__slots__))


def expected_numbers(
    grid: UtcIntervals | SessionGrid, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> tuple[Integers, Integers]:
    """Return the expected intervals of a window, as ranges of their numbers: the first, and the one behind the last.

    The same intervals as `expected_intervals` returns. No range has two dates, unless an interval has.
    """
    if calendar is None:
        midnights = np.arange((window.start_ns // DAY_NS + 1) * DAY_NS, window.end_ns, DAY_NS)
        starts, ends = np.append(window.start_ns, midnights), np.append(midnights, window.end_ns)
    else:
        starts, ends = open_windows(window, calendar=calendar, hours=hours)
    first, behind = grid.number_of(starts), grid.number_of(ends - 1) + 1
    # Two sessions may touch the same interval.
    first[1:] = np.maximum(first[1:], behind[:-1])
    return first[first < behind], behind[first < behind]


@dataclass(frozen=True, slots=True)
class MissingNumbers:
    """The expected numbers without a bar. place: of each among all expected ones. has_bars: of each range of numbers."""

    number: Integers
    place: Integers
    has_bars: Mask


def missing_numbers(first: Integers, behind: Integers, blocks: tuple[Integers, Integers]) -> MissingNumbers:
    """Return the numbers in the ranges that no block covers. blocks: their first numbers, and those behind their last."""
    starts, ends, index = uncovered(first, behind, *blocks)
    lengths, sizes = ends - starts, behind - first
    before = np.cumsum(lengths) - lengths
    numbers = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    places = (np.cumsum(sizes) - sizes - first)[index]
    has_bars = np.bincount(index, lengths, len(first)) < sizes
    return MissingNumbers(numbers, numbers + np.repeat(places, lengths), has_bars)


def found_gaps(
    intervals: IntervalColumns, traded_dates: Integers, judged: JudgedRuns | None
) -> list[FoundGap]:
    """Merge neighbours with one reason. traded_dates: those with a bar, days since 1970."""
    count = len(intervals.order)
    if not count:
        return []
    reasons = intervals.reason
    is_first = np.append(True, (np.diff(intervals.order) > 1) | (reasons[1:] != reasons[:-1]))
    first = np.flatnonzero(is_first)
    behind = np.append(first[1:], count)
    starts, ends = intervals.start_ns[first], intervals.end_ns[behind - 1]
    is_empty_date = ~np.isin(intervals.date, traded_dates)
    return [
        FoundGap(
            start,
            end,
            last - begin,
            str(reasons[begin]),
            _figures(intervals.date[begin:last][is_empty_date[begin:last]])
            | _judged_figures(judged, start, end, is_gap=str(reasons[begin]) != NO_TRADES),
        )
        for begin, last, start, end in zip(
            *(column.tolist() for column in (first, behind, starts, ends)), strict=True
        )
    ]


def _figures(empty_dates: Integers) -> Figures:
    return {"empty_dates": len(np.unique(empty_dates))} if len(empty_dates) else {}


def _judged_figures(judged: JudgedRuns | None, start_ns: int, end_ns: int, *, is_gap: bool) -> Figures:
    """Return the figures of the runs that overlap a gap: sums of minutes and trades, the extremes of the others."""
    if judged is None:
        return {}
    runs = judged.overlapping(start_ns, end_ns)
    runs = runs[runs.is_gap == is_gap]
    if not len(runs.start_ns):
        return {}
    return {
        "minutes": int(runs.minutes.sum()),
        "expected_trades": round(float(runs.expected.sum()), 3),
        "longest_empty_minutes": int(runs.longest.max()),
        "history_dates": int(runs.history.min()),
    }
