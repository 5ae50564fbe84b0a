"""Rows as they were stored, in the tree: `/trades`, `/open-interest`, and `/quotes` without a resolution."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.grids import grid_of
from stats.market_data.intervals.ranges import NOTHING, tick_range, tick_window
from stats.market_data.pinning.plan import Asked, KeyParts, Plan, check_known, reason_for_none
from stats.market_data.queries.query import DatasetForm
from stats.market_data.sources.rows import WindowedSource
from stats.market_data.ticks.rows import AddedColumn, TickReader, out_columns
from stats.rendering.table import OutColumn, Role
from stats.sessions.spans import Hours
from store.arrays import Integers, Mask
from store.datasets import OPEN_INTEREST, TRADES
from store.declarations import Dataset
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import SECOND_NS

TRADE_TICKS = DatasetForm(
    name="trades",
    rows_name="trades",
    own=("hours",),
    resolution=Resolution.TICK,
    columns=out_columns(TRADES, whole=True),
)
OPEN_INTEREST_REPORTS = DatasetForm(
    name="open-interest",
    rows_name="open_interest",
    own=(),
    resolution=Resolution.DAY,
    columns=out_columns(OPEN_INTEREST, whole=True),
    of_instants=True,
)


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The rows of one dataset."""

    form: DatasetForm
    dataset: Dataset
    log_count: int = 1

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        return tick_plan(asked, self.dataset)


def tick_plan(asked: Asked, dataset: Dataset, added: tuple[AddedColumn, ...] = ()) -> Plan:
    """The plan for a dataset's rows as they are. Raises `UnknownSymbol`, `NoExchange`, `RangeTooLarge`."""
    log = asked.snapshot.log(dataset, asked.symbol, 0)
    if log.is_empty:
        check_known(asked.symbol)
    grid = grid_of(asked)
    asked_for = tick_range(asked)
    log = asked.snapshot.narrowed(log, tick_window(asked_for, (log,)))
    window = tick_window(asked_for, (log,))
    within = None if grid.hours is Hours.ALL else WithinHours(grid)
    reader = TickReader(log, window, asked.is_whole, within, added)
    # Behind the last row nothing changes as time goes on.
    end_ns = asked_for.end_ns if window is NOTHING else window.end_ns
    key: KeyParts = (("start", asked_for.start_ns), ("end", end_ns), ("grid", grid.key))
    return Plan(
        logs=(log,),
        source=WindowedSource(reader),
        key=key,
        reason=reason_for_none(asked),
        begun_ns=min(end_ns, asked.now_ns // SECOND_NS * SECOND_NS + SECOND_NS - 1),
    )


@dataclass(frozen=True, slots=True)
class WithinHours:
    """Which instants, ascending, lie in the hours asked for."""

    grid: BarGrid

    def __call__(self, time_ns: Integers) -> Mask:
        """Of each instant whether it does."""
        if not len(time_ns):
            return np.zeros(0, dtype=bool)
        spans = self.grid.hours_in(Window(int(time_ns[0]), int(time_ns[-1]) + 1))
        if not len(spans.start_ns):
            return np.zeros(len(time_ns), dtype=bool)
        place = np.searchsorted(spans.start_ns, time_ns, side="right") - 1
        return (place >= 0) & (time_ns < spans.end_ns[place])


def _state(rows: pa.Table) -> pa.Array:
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    lacks_side = np.isnan(bid) | np.isnan(ask)
    words = np.where(bid == ask, "locked", np.where(bid > ask, "crossed", "normal"))
    return pa.array(np.where(lacks_side, "one_sided", words))


# What can be seen in a quote, said in a word.
QUOTE_STATE = AddedColumn(OutColumn("state", Role.TEXT), _state)
