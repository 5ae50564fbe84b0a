"""Finds volume of stored bars that finer bars lack: there were trades, but their times are unknown."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from stats.market_data.intervals.bar_grid import BarGrid
from stats.sessions.spans import Hours, trading_date_of
from store.arrays import Floats, Integers, Mask
from store.lazy_imports import compute as pc
from store.log_views.log_view import LogView
from store.log_views.stored_bars import resolutions_in, stored_bar_dates, stored_bars_window
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution


@dataclass(frozen=True, slots=True)
class UnexplainedVolume:
    """Compares stored bars that are coarser than an intraday grid, up to days, with the finer bars in them.

    maker_of: returns the maker of a resolution's bars, with all hours. day_grid: the grid of the intervals'
    days.
    """

    stored: LogView
    grid: BarGrid
    maker_of: Callable[[Resolution], BarMaker]
    day_grid: BarGrid

    def touched(self, window: Window, starts: Integers, dates: Integers) -> Mask:
        """Which intervals overlap a coarser stored bar that has more volume than the finer bars within it.

        starts, dates: the start of each interval, and its date in days since 1970.
        """
        found = np.zeros(len(starts), dtype=bool)
        if self.stored.is_empty or not len(starts):
            return found
        days = self.day_grid.aligned(window.start_ns, window.end_ns)
        rows = self.stored.rows(stored_bars_window(days, self.day_grid))
        coarser = [each for each in resolutions_in(rows) if self._is_coarser(each)]
        if not coarser:
            return found
        halves = replace(self.grid, resolution=Resolution.TWELVE_HOURS, hours=Hours.ALL)
        for resolution in coarser:
            of_one = rows.filter(pc.equal(rows.column("resolution"), resolution.value))
            finer = self.maker_of(self._common(resolution)).bars(halves.aligned(days.start_ns, days.end_ns))
            if resolution is Resolution.DAY:
                finer_dates = trading_date_of(finer.time_ns, self.day_grid.cut_by)
                keys = _unexplained_keys(
                    *self._keys_and_volumes(of_one, resolution), finer_dates, finer.volume
                )
                found |= np.isin(dates, keys)
            else:
                finer_keys = finer.time_ns // resolution.length_ns
                keys = _unexplained_keys(
                    *self._keys_and_volumes(of_one, resolution), finer_keys, finer.volume
                )
                last = starts + self.grid.resolution.length_ns - 1
                found |= np.isin(starts // resolution.length_ns, keys)
                found |= np.isin(last // resolution.length_ns, keys)
        return found

    def _common(self, coarser: Resolution) -> Resolution:
        """The longest resolution that divides both the grid's resolution and `coarser`: 1m for 2m and 3m."""
        lengths = (self.grid.resolution.length_ns, coarser.length_ns)
        fitting = [each for each in Resolution if not any(length % each.length_ns for length in lengths)]
        return max(fitting, key=lambda each: each.length_ns)

    def _is_coarser(self, resolution: Resolution) -> bool:
        return self.grid.resolution.rank < resolution.rank <= Resolution.DAY.rank

    def _keys_and_volumes(self, rows: pa.Table, resolution: Resolution) -> tuple[Integers, Floats]:
        """The key (date of a daily bar, else interval number) and the volume of each stored bar of a resolution."""
        time_ns, volume = (rows.column(name).to_numpy() for name in ("timestamp", "volume"))
        if resolution is not Resolution.DAY:
            return time_ns // resolution.length_ns, volume
        return stored_bar_dates(time_ns, self.day_grid), volume


def _unexplained_keys(keys: Integers, volume: Floats, finer: Integers, finer_volume: Floats) -> Integers:
    """The keys whose volume exceeds the volume of the finer bars with the same key."""
    distinct, number = np.unique(keys, return_inverse=True)
    rest = np.bincount(number, volume, len(distinct))
    index = np.searchsorted(distinct, finer)
    index[index == len(distinct)] = 0
    is_known = distinct[index] == finer if len(distinct) else np.zeros(len(finer), dtype=bool)
    rest -= np.bincount(index[is_known], finer_volume[is_known], len(distinct))
    # The tolerance is for rounding errors in sums of decimal fractions.
    return distinct[rest > 1e-9 * np.bincount(number, volume, len(distinct))]
