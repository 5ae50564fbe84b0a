"""Rows as they were stored, in the tree: `/trades`, `/open-interest`, and `/quotes` without a resolution."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.intervals.grids import grid_of
from stats.market_data.intervals.ranges import NOTHING, tick_range, tick_window
from stats.market_data.pinning.plan import Asked, Plan, Range, check_known, reason_for_none
from stats.market_data.queries.query import DatasetForm, MarketDataQuery
from stats.market_data.sources.rows import WindowedSource
from stats.market_data.ticks.rows import AddedColumn, TickReader, WithinHours, out_columns
from stats.rendering.table import OutColumn, Role
from stats.sessions.spans import Hours
from store.datasets import OPEN_INTEREST, TRADES
from store.declarations import Dataset
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

    def declared_logs(self, _query: MarketDataQuery) -> tuple[Dataset, ...]:
        """See `MarketDataset.declared_logs`."""
        return (self.dataset,)

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        return tick_plan(asked)


def tick_plan(asked: Asked, added: tuple[AddedColumn, ...] = ()) -> Plan:
    """The plan for a dataset's rows as they are. Raises `UnknownSymbol`, `NoExchange`, `RangeTooLarge`."""
    (log,) = asked.logs
    if log.is_empty:
        check_known(asked.symbol)
    grid = grid_of(asked)
    asked_for = tick_range(asked)
    log = asked.snapshot.narrowed(log, tick_window(asked_for, (log,)))
    window = tick_window(asked_for, (log,))
    within = None if grid.hours is Hours.ALL else WithinHours(grid)
    # Behind the last row nothing changes as time goes on.
    end_ns = asked_for.end_ns if window is NOTHING else window.end_ns
    next_second_ns = (asked.now_ns // SECOND_NS + 1) * SECOND_NS
    is_open = asked.query.end_ns is None and end_ns == asked_for.end_ns
    return Plan(
        source=WindowedSource(TickReader(log, window, asked.instrument.has_whole_volume, within, added)),
        range=Range(asked_for.start_ns, end_ns),
        reason=reason_for_none(asked),
        logs=(log,),
        begun_ns=min(end_ns, next_second_ns - 1) if is_open else end_ns,
        valid_until_ns=asked.valid_until(next_second_ns if is_open else None),
    )


def _state(rows: pa.Table) -> pa.Array:
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    lacks_side = np.isnan(bid) | np.isnan(ask)
    words = np.where(bid == ask, "locked", np.where(bid > ask, "crossed", "normal"))
    return pa.array(np.where(lacks_side, "one_sided", words))


# What can be seen in a quote, said in a word.
QUOTE_STATE = AddedColumn(OutColumn("state", Role.TEXT), _state)
