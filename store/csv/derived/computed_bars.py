"""Bars of a level (interval length) that has no rollups: computed from a segment's rows and cached."""

import threading
from dataclasses import dataclass
from pathlib import Path

from cachetools import LRUCache

from store.bar_policies import BarPolicy
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of, joined_bars, read_only
from store.bars.prints import prints_of
from store.csv.derived.segment_rows import PRINT_COLUMNS, SegmentRows, plain_rows
from store.datasets import TRADES
from store.protocol import Window

BARS_BYTES = 16 * 2**20
# The memory of a cache entry without its bars.
_ENTRY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _BarRange:
    """The bars of a segment's rows `[start, end)`. The range has all rows of an interval, or none."""

    start: int
    end: int
    bars: Bars


class ComputedBars:
    """The bars of one segment under one policy at one level, computed for the windows that were read.

    When the range of computed bars must grow at one end, it grows by at least its own length. So each bar is
    copied only a few times. No row is aggregated twice.
    """

    def __init__(self, policy: BarPolicy, level_ns: int) -> None:
        self._policy = policy
        self._level_ns = level_ns
        self._computed: _BarRange | None = None
        self._has_unfinished = False

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return _ENTRY_BYTES + (self._computed.bars.nbytes if self._computed else 0)

    def over(self, rows: SegmentRows, start_ns: int, end_ns: int) -> Bars | None:
        """Return the bars of an aligned window, and of other intervals around it that were computed.

        Return None if an interval has no price, because its volume may be credited to a bar before it. The next
        interval with rows after the window is computed, too: its volume may be credited to the window's last bar.
        """
        if self._has_unfinished:
            return None
        start, last = rows.times.searchsorted((start_ns, end_ns)).tolist()
        computed, end = self._computed, self._interval_end(rows, last)
        if computed is None or start < computed.start or end > computed.end:
            computed = self._grown(rows, computed, start, end)
            self._computed, self._has_unfinished = computed, computed is None
        return computed.bars if computed else None

    def _grown(self, rows: SegmentRows, computed: _BarRange | None, start: int, end: int) -> _BarRange | None:
        if computed is None:
            bars = self._bars(rows, start, end)
            return _BarRange(start, end, read_only(bars)) if bars is not None else None
        new_start, new_end, length = computed.start, computed.end, computed.end - computed.start
        if start < new_start:
            new_start = self._interval_start(rows, max(min(start, new_start - length), 0))
        if end > new_end:
            new_end = self._interval_end(rows, max(end, new_end + length))
        before = self._bars(rows, new_start, computed.start)
        after = self._bars(rows, computed.end, new_end)
        if before is None or after is None:
            return None
        return _BarRange(new_start, new_end, read_only(joined_bars([before, computed.bars, after])))

    def _bars(self, rows: SegmentRows, start: int, end: int) -> Bars | None:
        """Return the bars of the rows `[start, end)`; None if an interval has no price."""
        batch = rows.batch(start, end, PRINT_COLUMNS)
        prints = prints_of(plain_rows(TRADES, batch, PRINT_COLUMNS), self._policy)
        aggregates = aggregate_prints(prints, self._level_ns)
        return bars_of(aggregates) if bool((aggregates.price_count > 0).all()) else None

    def _interval_start(self, rows: SegmentRows, row: int) -> int:
        """Return the index of the first row in the same interval as a row."""
        start_ns = rows.times[row] // self._level_ns * self._level_ns
        return int(rows.times.searchsorted(start_ns))

    def _interval_end(self, rows: SegmentRows, row: int) -> int:
        """Return the index of the first row after a row's interval; the number of rows if there is none."""
        if row >= len(rows.times):
            return len(rows.times)
        end_ns = (rows.times[row] // self._level_ns + 1) * self._level_ns
        return int(rows.times.searchsorted(end_ns))


class ComputedBarsCache:
    """LRU cache of the computed bars of a store's segments: at most `maxsize` bytes. Thread-safe."""

    def __init__(self, maxsize: int = BARS_BYTES) -> None:
        self.lru: LRUCache[tuple[Path, str, int], ComputedBars] = LRUCache(
            maxsize, getsizeof=lambda computed: computed.nbytes
        )
        self._mutex = threading.Lock()

    def bars(
        self, path: Path, rows: SegmentRows, policy: BarPolicy, level_ns: int, window: Window
    ) -> Bars | None:
        """See `ComputedBars.over`. path: of the rows' file; no two files have the same path."""
        key = (path, policy.key, level_ns)
        with self._mutex:
            computed = self.lru.get(key)
        if computed is None:
            computed = ComputedBars(policy, level_ns)
        bars = computed.over(rows, window.start_ns, window.end_ns)
        with self._mutex:
            if computed.nbytes <= self.lru.maxsize:
                self.lru[key] = computed  # the cache must count its new size
            else:
                self.lru.pop(key, None)
        return bars
