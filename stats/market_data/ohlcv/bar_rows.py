"""Bars as rows of the tree."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.whole_parts import part_over_gaps
from stats.market_data.pinning.logs import PinnedLog
from stats.market_data.sources.rows import Rows
from stats.rendering.table import OutColumn, Role, Table
from store.arrays import Floats
from store.bars.bars import Bars
from store.log_views.trade_bars import BarMaker
from store.protocol import Window


@dataclass(frozen=True, slots=True)
class BarReader:
    """Bars on a grid, as rows.

    logs: what the bars are made of. every_print: whether every print counts in everything. settled_ns: bars
    whose interval ends later are not final. bound: there are not more of them, if that is asked for.
    """

    logs: tuple[PinnedLog, ...]
    window: Window
    grid: BarGrid
    maker: BarMaker
    whole: bool
    every_print: bool
    settled_ns: int
    bound: Callable[[], int]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return bar_columns(whole=self.whole, with_date=self.grid.resolution.is_period)

    def floor(self, time_ns: int) -> int:
        return self.grid.whole(time_ns, time_ns + 1).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return part_over_gaps(self.logs, self.grid, window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        bars = self.maker.bars(window)
        ends_ns, dates = self.grid.ends_and_dates(bars.time_ns, window)
        values = {
            "timestamp": bars.time_ns,
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "volume": bars.volume,
            "vwap": vwap_of(bars, every_print=self.every_print),
            "trade_count": pa.array(bars.trade_count, mask=bars.trade_count < 0),
            "final": ends_ns <= self.settled_ns,
            "date": dates,
        }
        return Rows.of(Table.of(self.columns, values), bars.time_ns)

    def total_estimate(self) -> int:
        return self.bound()


@cache
def bar_columns(*, whole: bool, with_date: bool) -> tuple[OutColumn, ...]:
    """The columns of bars."""
    prices = (OutColumn(name, Role.NUMBER) for name in ("open", "high", "low", "close"))
    return (
        OutColumn("timestamp", Role.TIME, whole=True),
        *prices,
        OutColumn("volume", Role.VOLUME, whole),
        OutColumn("vwap", Role.NUMBER),
        OutColumn("trade_count", Role.INTEGER),
        OutColumn("final", Role.FLAG),
        *((OutColumn("date", Role.DATE),) if with_date else ()),
    )


def vwap_of(bars: Bars, *, every_print: bool) -> Floats:
    """Notional over volume, each an exact sum rounded once; NaN at zero volume, and where the notional is not known.

    Where the prints that set high and low are the ones that count, it lies between them: of one print it is
    the price, though price * size / size may be its neighbour.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        vwap = np.where(bars.volume > 0, bars.notional / bars.volume, np.nan)
    return np.clip(vwap, bars.low, bars.high) if every_print else vwap
