"""Trading that is known of, but not as finely as it is asked for: of it only coarser bars are stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from stats.market_data.intervals.bar_grid import BarGrid
from stats.sessions.spans import Hours, trading_date_of
from store.arrays import Floats, Integers, Mask
from store.lazy_imports import compute as pc
from store.log_views.log_view import LogView
from store.log_views.stored_bars import around, date_of_stored, resolutions_in
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution


@dataclass(frozen=True, slots=True)
class Untold:
    """Stored bars that are coarser than a grid of intraday intervals, up to days.

    maker_of: what makes the bars of a resolution in all hours. day_grid: the days that the grid's intervals
    belong to.
    """

    stored: LogView
    grid: BarGrid
    maker_of: Callable[[Resolution], BarMaker]
    day_grid: BarGrid

    def of(self, window: Window, starts: Integers, dates: Integers) -> Mask:
        """Which intervals of a window touch a coarser bar that has more volume than its finer bars together.

        starts, dates: when each interval begins, and its date in days since 1970.
        """
        untold = np.zeros(len(starts), dtype=bool)
        if self.stored.is_empty or not len(starts):
            return untold
        days = self.day_grid.aligned(window.start_ns, window.end_ns)
        rows = self.stored.rows(around(days, self.day_grid))
        coarser = [each for each in resolutions_in(rows) if self._is_coarser(each)]
        if not coarser:
            return untold
        whole = replace(self.grid, resolution=Resolution.TWELVE_HOURS, hours=Hours.ALL)
        for resolution in coarser:
            of_one = rows.filter(pc.equal(rows.column("resolution"), resolution.value))
            finer = self.maker_of(self._within_both(resolution)).bars(
                whole.aligned(days.start_ns, days.end_ns)
            )
            if resolution is Resolution.DAY:
                finer_dates = trading_date_of(finer.time_ns, self.day_grid.cut_by)
                keys = _untold_keys(*self._told(of_one, resolution), finer_dates, finer.volume)
                untold |= np.isin(dates, keys)
            else:
                finer_keys = finer.time_ns // resolution.length_ns
                keys = _untold_keys(*self._told(of_one, resolution), finer_keys, finer.volume)
                last = starts + self.grid.resolution.length_ns - 1
                untold |= np.isin(starts // resolution.length_ns, keys)
                untold |= np.isin(last // resolution.length_ns, keys)
        return untold

    def _within_both(self, coarser: Resolution) -> Resolution:
        """The coarsest resolution whose bars lie whole in the grid's intervals and in the coarser ones: of 2m and 3m it is 1m."""
        lengths = (self.grid.resolution.length_ns, coarser.length_ns)
        fitting = [each for each in Resolution if not any(length % each.length_ns for length in lengths)]
        return max(fitting, key=lambda each: each.length_ns)

    def _is_coarser(self, resolution: Resolution) -> bool:
        return self.grid.resolution.rank < resolution.rank <= Resolution.DAY.rank

    def _told(self, rows: pa.Table, resolution: Resolution) -> tuple[Integers, Floats]:
        """The numbers of the intervals, or the dates, of stored bars of one resolution, and their volumes."""
        time_ns, volume = (rows.column(name).to_numpy() for name in ("timestamp", "volume"))
        if resolution is not Resolution.DAY:
            return time_ns // resolution.length_ns, volume
        return date_of_stored(time_ns, self.day_grid), volume


def _untold_keys(keys: Integers, volume: Floats, finer: Integers, finer_volume: Floats) -> Integers:
    """The keys that have more volume than the finer bars of the same key."""
    distinct, place = np.unique(keys, return_inverse=True)
    told = np.bincount(place, volume, len(distinct))
    at = np.searchsorted(distinct, finer)
    at[at == len(distinct)] = 0
    is_told = distinct[at] == finer if len(distinct) else np.zeros(len(finer), dtype=bool)
    told -= np.bincount(at[is_told], finer_volume[is_told], len(distinct))
    # Sums of decimal fractions differ in their last digits.
    return distinct[told > 1e-9 * np.bincount(place, volume, len(distinct))]
