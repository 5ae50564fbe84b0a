"""Finds expected intervals without a bar, and merges those with one reason into gaps."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from stats.market_data.ohlcv.gap_evidence import JudgedRuns
from stats.market_data.ohlcv.session_activity import uncovered
from store.arrays import Integers, Mask
from store.log_views.session_spans import SessionGrid, open_windows
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

GAP, NO_TRADES, PENDING = "gap", "no_trades", "pending"
Figures = dict[str, int | float]
Words = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Gap:
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
class Intervals:
    """Intervals as columns of equal length, ascending.

    label: the timestamp of the interval's bar; -1 for a closed date. date: the trading date, days since 1970. is_open:
    whether the exchange was open. order: the place among all intervals that were enumerated.
    """

    label: Integers
    start_ns: Integers
    end_ns: Integers
    date: Integers
    is_open: Mask
    order: Integers

    @classmethod
    def none(cls) -> Self:
        """Return no intervals."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, none, none.astype(bool), none)

    def __getitem__(self, rows: Integers) -> "Intervals":
        return Intervals(*(getattr(self, name)[rows] for name in self.__slots__))


def expected_numbers(
    grid: Resolution | SessionGrid, window: Window, calendar: TradingCalendar | None, hours: Hours
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


def with_closed_numbers(
    first: Integers, behind: Integers, start: int, end: int
) -> tuple[Integers, Integers, Mask]:
    """Return ranges of numbers with the ranges between them, from `start` to `end`, and which are those that were given."""
    edges = np.concatenate([[start], np.column_stack([first, behind]).ravel(), [end]])
    is_given = np.arange(len(edges) - 1) % 2 == 1
    is_range = edges[:-1] < edges[1:]
    return edges[:-1][is_range], edges[1:][is_range], is_given[is_range]


@dataclass(frozen=True, slots=True)
class MissingNumbers:
    """The numbers in ranges without a bar. range_index: of each. place: among all numbers of the ranges. has_bars: of each range."""

    number: Integers
    range_index: Integers
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
    return MissingNumbers(numbers, np.repeat(index, lengths), numbers + np.repeat(places, lengths), has_bars)


def runs_of(order: Integers, reasons: Words) -> list[tuple[int, int]]:
    """Return the runs of neighbours with one reason: the index of the first, and the one behind the last."""
    count = len(order)
    is_first = np.append(True, (np.diff(order) > 1) | (reasons[1:] != reasons[:-1]))[:count]
    first = np.flatnonzero(is_first).tolist()
    return list(zip(first, [*first[1:], count], strict=False))


def found_gaps(
    intervals: Intervals, reasons: Words, traded_dates: Integers, judged: JudgedRuns | None
) -> list[Gap]:
    """Merge neighbours with one reason. traded_dates: those with a bar, days since 1970."""
    is_empty_date = ~np.isin(intervals.date, traded_dates)
    gaps = []
    for first, behind in runs_of(intervals.order, reasons):
        start_ns, end_ns = int(intervals.start_ns[first]), int(intervals.end_ns[behind - 1])
        reason = str(reasons[first])
        figures = _figures(intervals.date[first:behind][is_empty_date[first:behind]])
        figures |= _judged_figures(judged, start_ns, end_ns, is_gap=reason != NO_TRADES)
        gaps.append(Gap(start_ns, end_ns, behind - first, reason, figures))
    return gaps


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
