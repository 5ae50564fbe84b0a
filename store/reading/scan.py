"""A scan yields the bars of many symbols in order of time, in bounded memory, for backtests."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from store.arrays import Floats, Integers
from store.bars.bars import Bars
from store.protocol import Window
from store.reading.arguments import IntervalArgument, interval_ns, resolution_of
from store.reading.exchange_grids import is_long
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS

Indices = npt.NDArray[np.int32]

# The maximum number of bars in memory. A bar takes 60 bytes, 60 more during sorting, and 200 more as Python
# numbers if `Slice.rows` is used.
BARS_AT_ONCE = 1 << 18
# The maximum number of units per part: numpy sorts numbers of 16 bits by radix sort, which is fast.
_UNITS_AT_ONCE = 1 << 16
_LONGEST_NS = 366 * DAY_NS

# Returns the bars of the symbol with this index in the universe.
BarsOf: TypeAlias = Callable[[int, Window], Bars]


_COLUMNS = ("open", "high", "low", "close", "volume", "trade_count")
# The columns of one symbol's bars: the start of the interval, then `_COLUMNS`.
_SymbolColumns: TypeAlias = list[npt.NDArray[Any]]


class MergedBars:
    """Bars of many symbols as equally long columns, sorted by (interval, index of the symbol in the universe)."""

    __slots__ = ("_lists", "columns", "place")

    def __init__(self, place: Indices, columns: list[npt.NDArray[Any]]) -> None:
        self.place = place
        self.columns = columns
        self._lists: list[list[Any]] = []
        for column in (place, *columns):
            column.flags.writeable = False

    def lists(self) -> list[list[Any]]:
        """Return place, open, high, low, close, volume as lists. They are made once, for all slices."""
        if not self._lists:
            self._lists = [column.tolist() for column in (self.place, *self.columns[:-1])]
        return self._lists


class Slice:
    """The bars of one interval: equally long read-only columns, one row per symbol with a bar.

    `place` is the symbol's index in `universe`, ascending. A filled bar has the `trade_count` 0.
    """

    __slots__ = ("_begin", "_end", "_merged", "universe")

    def __init__(self, universe: tuple[str, ...], merged: MergedBars, begin: int, end: int) -> None:
        self.universe = universe
        self._merged = merged
        self._begin = begin
        self._end = end

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def place(self) -> Indices:
        return self._merged.place[self._begin : self._end]

    @property
    def open(self) -> Floats:
        return self._merged.columns[0][self._begin : self._end]

    @property
    def high(self) -> Floats:
        return self._merged.columns[1][self._begin : self._end]

    @property
    def low(self) -> Floats:
        return self._merged.columns[2][self._begin : self._end]

    @property
    def close(self) -> Floats:
        return self._merged.columns[3][self._begin : self._end]

    @property
    def volume(self) -> Floats:
        return self._merged.columns[4][self._begin : self._end]

    @property
    def trade_count(self) -> Integers:
        return self._merged.columns[5][self._begin : self._end]

    @property
    def symbols(self) -> list[str]:
        """The symbols with a bar."""
        return [self.universe[place] for place in self.place.tolist()]

    def rows(self) -> Iterator[tuple[int, float, float, float, float, float]]:
        """Yield (place, open, high, low, close, volume) of each bar as Python numbers; fastest for few bars."""
        begin, end = self._begin, self._end
        place, open_, high, low, close, volume = self._merged.lists()
        return zip(  # the lists are equally long
            place[begin:end],
            open_[begin:end],
            high[begin:end],
            low[begin:end],
            close[begin:end],
            volume[begin:end],
            strict=False,
        )


@dataclass(frozen=True, slots=True)
class ScanIntervals:
    """The intervals of a scan, in UTC.

    length_ns: their length; the longest one of weeks or months. unit_ns: all begin at multiples of it. periods: the
    weeks or months; None for others.
    """

    length_ns: int
    unit_ns: int
    periods: Resolution | None = None

    @property
    def may_overlap(self) -> bool:
        """Whether an interval may begin in one part of the scan and end in the next; each exchange has its own."""
        return self.periods is None and self.unit_ns != self.length_ns

    def aligned(self, window: Window) -> Window:
        """Return the window, extended to whole intervals; unchanged if these differ between symbols."""
        if self.may_overlap:
            return window
        return Window(
            self._start_of(self._number_of(window.start_ns)),
            self._start_of(self._number_of(window.end_ns - 1) + 1),
        )

    def parts(self, window: Window, symbols: int) -> Iterator[Window]:
        """Yield an aligned window in parts of whole intervals, each with at most `BARS_AT_ONCE` bars if possible."""
        units = self.length_ns // self.unit_ns
        most = min(_UNITS_AT_ONCE // units - 1, _LONGEST_NS // self.length_ns)
        count = max(1, min(BARS_AT_ONCE // max(1, symbols), most))
        if self.may_overlap:
            for start_ns in range(window.start_ns, window.end_ns, count * self.length_ns):
                yield Window(start_ns, min(start_ns + count * self.length_ns, window.end_ns))
            return
        behind = self._number_of(window.end_ns - 1) + 1
        for number in range(self._number_of(window.start_ns), behind, count):
            yield Window(self._start_of(number), self._start_of(min(number + count, behind)))

    def _number_of(self, instant_ns: int) -> int:
        """Return the number of the interval that contains an instant, counted from 1970."""
        if self.periods is None:
            return instant_ns // self.length_ns
        return int(self.periods.number_of(np.array([instant_ns]))[0])

    def _start_of(self, number: int) -> int:
        if self.periods is None:
            return number * self.length_ns
        return int(self.periods.start_ns(np.array([number]))[0])


def scan_intervals(interval: IntervalArgument, *, from_open: bool) -> ScanIntervals:
    """Return the intervals of a scan. from_open: whether they begin at the opens of exchanges, at whole minutes.

    Raises `InvalidInterval`.
    """
    if is_long(interval):
        resolution = resolution_of(interval)
        return ScanIntervals(resolution.length_ns, DAY_NS, resolution)
    length = interval_ns(interval)
    return ScanIntervals(length, min(length, MINUTE_NS) if from_open and length < DAY_NS else length)


def merged_slices(
    universe: tuple[str, ...],
    window: Window,
    intervals: ScanIntervals,
    bars_of: BarsOf,
    *,
    last_close: list[float] | None,
) -> Iterator[tuple[int, Slice]]:
    """Yield (start of the interval, its slice) for each interval with a bar of any symbol, ascending.

    last_close: each symbol's close before the window, NaN for none; every slice then has a bar of each symbol that has
    had one: its last close, with volume 0. None: slices have the bars that there are.
    """
    indices: Sequence[int] = range(len(universe))
    for part in intervals.parts(window, len(universe)):
        # The first part also has the intervals that overlap its start.
        is_cut = intervals.may_overlap and part.start_ns > window.start_ns
        columns = {}
        for index in indices:
            bars = bars_of(index, part)
            bars = bars.between(part.start_ns, part.end_ns) if is_cut else bars
            if len(bars):
                columns[index] = _columns(bars)
        indices = indices[::-1]  # reversed, because the logs read last are still cached
        if not columns:
            continue
        if last_close is not None:
            columns = _filled(columns, last_close)
        times, edges, merged = _merge(columns, intervals.unit_ns)
        for time_ns, begin, end in zip(times, edges, edges[1:], strict=False):
            yield time_ns, Slice(universe, merged, begin, end)


def _columns(bars: Bars) -> _SymbolColumns:
    return [bars.time_ns, *(getattr(bars, name) for name in _COLUMNS)]


def _merge(by_symbol: dict[int, _SymbolColumns], unit_ns: int) -> tuple[list[int], list[int], MergedBars]:
    """Return the times of intervals with bars, the index of each interval's first bar, and the bars.

    The last index is the number of bars.
    """
    indices, start_ns = sorted(by_symbol), min(int(columns[0][0]) for columns in by_symbol.values())
    time, *columns = (
        np.concatenate(column) for column in zip(*(by_symbol[index] for index in indices), strict=True)
    )
    interval = (time - start_ns) // unit_ns
    order = np.argsort(interval.astype(np.uint16), kind="stable")
    counts = np.bincount(interval)
    present = np.flatnonzero(counts)
    place = np.repeat(np.array(indices, np.int32), [len(by_symbol[index][0]) for index in indices])
    edges = np.concatenate(([0], np.cumsum(counts[present])))
    merged = MergedBars(place[order], [column[order] for column in columns])
    return (start_ns + present * unit_ns).tolist(), edges.tolist(), merged


_CLOSE = 1 + _COLUMNS.index("close")
_NO_BARS: _SymbolColumns = [np.empty(0, np.int64), *(np.empty(0) for _ in _COLUMNS)]


def _filled(by_symbol: dict[int, _SymbolColumns], last_close: list[float]) -> dict[int, _SymbolColumns]:
    """Return, for each interval with a bar of any symbol, a bar of every symbol that has had one so far.

    last_close: each symbol's last close, NaN before its first bar; it is updated.
    """
    times = np.unique(np.concatenate([columns[0] for columns in by_symbol.values()]))
    filled = {}
    for index, close in enumerate(last_close):
        if index in by_symbol or not math.isnan(close):
            filled[index] = _filled_columns(by_symbol.get(index, _NO_BARS), times, close)
            last_close[index] = float(filled[index][_CLOSE][-1])
    return filled


def _filled_columns(columns: _SymbolColumns, times: Integers, last_close: float) -> _SymbolColumns:
    """Return one symbol's bars at all times since its first bar."""
    own_times, *own = columns
    close = np.append(last_close, columns[_CLOSE])[np.searchsorted(own_times, times, side="right")]
    begin = int(np.isnan(close).sum())
    zeros = np.zeros(len(times))
    filled = [close.copy(), close.copy(), close.copy(), close, zeros, zeros.astype(np.int64)]
    rows = np.searchsorted(times, own_times)
    for column, values in zip(filled, own, strict=True):
        column[rows] = values
    return [times[begin:], *(column[begin:] for column in filled)]
