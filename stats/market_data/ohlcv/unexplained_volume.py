"""Finds stored bars with more volume than the finer bars in them: the times of some of their trades are unknown."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calendars.trading_calendar import trading_date_of
from store.arrays import Floats, Integers, Mask
from store.lazy_imports import compute as pc
from store.log_views.bar_grid import BarGrid, utc_grid
from store.log_views.log_view import LogView
from store.log_views.stored_bars import resolutions_in, stored_bars_window
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution


@dataclass(frozen=True, slots=True)
class UnexplainedVolume:
    """Compares stored bars, coarser than an intraday grid and at most daily, with the finer bars in them.

    maker_of: returns the maker of a resolution's bars, with all hours. day_grid: the grid of daily bars, with
    all hours.
    """

    stored_bars: LogView
    grid: BarGrid
    maker_of: Callable[[Resolution], BarMaker]
    day_grid: BarGrid

    def is_unexplained(self, window: Window, starts: Integers, ends: Integers, dates: Integers) -> Mask:
        """Return which intervals overlap a coarser stored bar with more volume than the finer bars within it.

        starts, ends, dates: the start and the end of each interval, and its date in days since 1970.
        """
        mask = np.zeros(len(starts), dtype=bool)
        if self.stored_bars.is_empty or not len(starts):
            return mask
        days = self.day_grid.aligned(window.start_ns, window.end_ns)
        rows = self.stored_bars.rows(stored_bars_window(days, self.day_grid))
        for resolution in resolutions_in(rows):
            if not self.grid.resolution < resolution <= Resolution.DAY:
                continue
            coarser = rows.filter(pc.equal(rows.column("resolution"), resolution.value))
            # Aligned, so that no coarser bar lacks some of its finer bars.
            finer_window = utc_grid(resolution).aligned(days.start_ns, days.end_ns)
            common = Resolution.of_length(math.gcd(self.grid.resolution.length_ns, resolution.length_ns))
            finer = self.maker_of(common).bars(finer_window)
            time_ns, volume = (coarser.column(name).to_numpy() for name in ("timestamp", "volume"))
            if resolution == Resolution.DAY:
                keys = self.day_grid.dates_of_rows(time_ns)
                finer_keys = trading_date_of(finer.time_ns, self.day_grid.period_calendar)
                interval_keys = [dates]
            else:
                length = resolution.length_ns
                keys, finer_keys = time_ns // length, finer.time_ns // length
                interval_keys = [starts // length, (ends - 1) // length]
            unexplained_keys = _unexplained_keys(keys, volume, finer_keys, finer.volume)
            mask |= np.isin(interval_keys, unexplained_keys).any(axis=0)
        return mask


def _unexplained_keys(keys: Integers, volume: Floats, finer_keys: Integers, finer_volume: Floats) -> Integers:
    """Return the keys whose volume exceeds the volume of the finer bars with the same key."""
    distinct, key_index = np.unique(keys, return_inverse=True)
    total = np.bincount(key_index, volume, len(distinct))
    has_key = np.isin(finer_keys, distinct)
    finer_index = np.searchsorted(distinct, finer_keys[has_key])
    finer_total = np.bincount(finer_index, finer_volume[has_key], len(distinct))
    # The tolerance is for rounding errors in sums of decimal fractions.
    return distinct[total - finer_total > 1e-9 * total]
