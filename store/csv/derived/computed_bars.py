"""Bars of a level (interval length) without rollups, computed from a segment's rows and cached."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.bar_policies import BarPolicy
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of, joined_bars
from store.bars.prints import prints_of
from store.csv.derived.arrow_files import PRINT_COLUMNS, plain_rows
from store.datasets import TRADES

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _BarRange:
    """The bars of the rows `[start, end)`, which make up whole intervals."""

    start: int
    end: int
    bars: Bars


class ComputedBars:
    """The bars of one segment under one policy at one level, computed for the windows that were read.

    Each time the computed range grows at an end, it grows by at least its own length. So no row is aggregated
    twice, and each bar is copied only a few times.
    """

    def __init__(self, rows: pa.RecordBatch, times: Times, policy: BarPolicy, level_ns: int) -> None:
        self._rows = rows
        self._times = times
        self._policy = policy
        self._level_ns = level_ns
        self._made: _BarRange | None = None
        self._has_unfinished = False

    @property
    def nbytes(self) -> int:
        """The size of the bars in memory."""
        return self._made.bars.nbytes if self._made else 0

    def over(self, start_ns: int, end_ns: int) -> Bars | None:
        """Return bars of an aligned window, and others; None if volume must be credited across intervals.

        The interval after the window is computed, too: if it has volume without a price, that volume belongs
        to the last bar.
        """
        if self._has_unfinished:
            return None
        first, behind = self._times.searchsorted((start_ns, end_ns)).tolist()
        made, end = self._made, self._interval_end(behind)
        if made is None or first < made.start or end > made.end:
            made = self._grown(made, first, end)
            self._made, self._has_unfinished = made, made is None
        return made.bars if made else None

    def _grown(self, made: _BarRange | None, first: int, end: int) -> _BarRange | None:
        if made is None:
            bars = self._bars(first, end)
            return _BarRange(first, end, _frozen(bars)) if bars is not None else None
        start, held = made.start, made.end - made.start
        if first < start:
            start = self._interval_start(max(min(first, start - held), 0))
        end = self._interval_end(max(end, made.end + held)) if end > made.end else made.end
        parts = [self._bars(start, made.start), made.bars, self._bars(made.end, end)]
        finished = [part for part in parts if part is not None]
        return _BarRange(start, end, _frozen(joined_bars(finished))) if len(finished) == len(parts) else None

    def _bars(self, start: int, end: int) -> Bars | None:
        """Return the bars of rows; None if an interval has no price."""
        rows = plain_rows(TRADES, self._rows.slice(start, end - start), PRINT_COLUMNS)
        aggregates = aggregate_prints(prints_of(rows, self._policy), self._level_ns)
        return bars_of(aggregates) if bool((aggregates.price_count > 0).all()) else None

    def _interval_start(self, row: int) -> int:
        """Return the first row in the interval of a row."""
        start_ns = self._times[row] // self._level_ns * self._level_ns
        return int(self._times.searchsorted(start_ns))

    def _interval_end(self, row: int) -> int:
        """Return the first row after the interval of a row; the number of rows if there is none."""
        if row >= len(self._times):
            return len(self._times)
        end_ns = (self._times[row] // self._level_ns + 1) * self._level_ns
        return int(self._times.searchsorted(end_ns))


def _frozen(bars: Bars) -> Bars:
    """Return the bars with read-only columns, so that they can be shared."""
    for name in Bars.__slots__:
        getattr(bars, name).flags.writeable = False
    return bars
