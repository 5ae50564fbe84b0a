"""Datasets whose rows are returned as stored, such as trades and open interest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calendars.schedule import Hours
from stats.caching.keys import Irrelevant
from stats.market_data.intervals.windows import NOTHING, grid_of, tick_range, tick_window
from stats.market_data.plan import NO_START_NS, Plan, SymbolQuery, reason_for_none, rows_left, walk_now_ns
from stats.market_data.query import QUOTED, TRADED, MarketDataset
from stats.market_data.query_parameters import Parameters
from stats.market_data.rows import Rows, WindowedSource, WindowReader
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.datasets import (
    BARS,
    CORPORATE_ACTIONS,
    OPEN_INTEREST,
    TRADES,
    TRADING_STATUS,
    UNIVERSE_CHANGES,
)
from store.declarations import Column, ColumnForm, ColumnKind, Dataset
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS

_ROLES = {
    ColumnKind.TIME: ColumnRole.TIME,
    ColumnKind.NUMBER: ColumnRole.NUMBER,
    ColumnKind.INTEGER: ColumnRole.INTEGER,
    ColumnKind.TEXT: ColumnRole.TEXT,
    ColumnKind.BOOLEAN: ColumnRole.FLAG,
}
_FORM_ROLES = {ColumnForm.DATE: ColumnRole.DATE, ColumnForm.WORDS: ColumnRole.WORDS}
# Columns of quantities. Whether they are integers depends on the instrument.
_VOLUMES = frozenset({"volume", "bid_size", "ask_size", "open_interest"})


def out_column(column: Column, *, has_integer_volume: bool) -> OutColumn:
    """Return the answer's column for a stored column. has_integer_volume: whether volumes are integers."""
    if column.name in _VOLUMES:
        return OutColumn(column.name, ColumnRole.VOLUME, has_integer_volume)
    return OutColumn(column.name, _FORM_ROLES.get(column.form, _ROLES[column.kind]))


@cache
def out_columns(dataset: Dataset, *, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the answer's columns for all columns of a stored dataset, in order."""
    return tuple(out_column(column, has_integer_volume=has_integer_volume) for column in dataset.columns)


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A column computed from a dataset's rows. of_rows: returns its values."""

    column: OutColumn
    of_rows: Callable[[pa.Table], object]

    @property
    def key(self) -> str:
        """The text that stands for the column in cache keys."""
        return self.column.name


def tick_table(
    rows: pa.Table | pa.RecordBatch, columns: Sequence[OutColumn], added: Sequence[AddedColumn] = ()
) -> Table:
    """Return stored rows as an answer's table. columns: those of the rows' dataset (`out_columns`), and the added ones."""
    values = {name: rows.column(name) for name in rows.schema.names}
    for column in columns:
        if column.role is ColumnRole.DATE:
            values[column.name] = np.floor_divide(rows.column(column.name).to_numpy(), DAY_NS)
    values |= {each.column.name: each.of_rows(rows) for each in added}
    return Table.of(columns, values)


@dataclass(frozen=True, slots=True)
class TickReader:
    """Reads the rows of a log.

    window: the part of the range that may have rows. has_integer_volume: whether volumes are integers.
    hours_grid: a grid whose hours are the query's; None for all hours. added: computed columns. only: a column, and
    the value that it has in the rows; None for all rows. needed: numbers that rows must have.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    has_integer_volume: bool
    hours_grid: BarGrid | None
    added: tuple[AddedColumn, ...]
    only: tuple[str, str] | None = None
    needed: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return (
            *out_columns(self.log.dataset, has_integer_volume=self.has_integer_volume),
            *(each.column for each in self.added),
        )

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.log.take_window(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        rows = self.log.rows(window, coded_texts=True)
        if self.only is not None:
            name, value = self.only
            rows = rows.filter(pc.equal(rows.column(name), value))
        for name in self.needed:
            rows = rows.filter(pa.array(~np.isnan(rows.column(name).to_numpy())))
        time_ns = rows.column(0).to_numpy()
        if self.hours_grid is not None:
            inside = self.hours_grid.within_hours(time_ns)
            rows, time_ns = rows.filter(pa.array(inside)), time_ns[inside]
        return Rows.of(tick_table(rows, self.columns, self.added), time_ns)

    def total_estimate(self) -> int:
        return self.log.row_bound(self.window)


def tick_plan(
    symbol_query: SymbolQuery, added: tuple[AddedColumn, ...] = (), needed: tuple[str, ...] = ()
) -> Plan:
    """Make the plan for rows of the query's first log as stored. added, needed: see `TickReader`.

    Raises `UnknownSymbol`, `NoExchange`, `RangeTooLarge`, `Expired`.
    """
    log = symbol_query.logs[0]
    if log.is_empty:
        symbol_query.check_known()
    hours_grid = hours_grid_of(symbol_query)
    query_range = _settled_range(symbol_query, log) or tick_range(symbol_query)
    left = rows_left(query_range, log)
    log = symbol_query.limited_to(log, tick_window(left, (log,)))
    window = tick_window(left, (log,))
    # Bars of several resolutions are stored in one log.
    only = ("resolution", symbol_query.query.resolution.value) if log.dataset is BARS else None
    reader = TickReader(
        log, window, symbol_query.instrument.has_integer_volume, hours_grid, added, only, needed
    )
    return row_plan(symbol_query, log, reader, query_range)


def hours_grid_of(symbol_query: SymbolQuery) -> BarGrid | None:
    """Return a grid whose hours are the query's; None for all hours. Raises the errors of `grid_of`."""
    # The default hours of days are those of bars.
    if symbol_query.query.hours is None and symbol_query.query.session is None:
        return None
    grid = grid_of(symbol_query)
    return None if symbol_query.query.hours is None or grid.hours is Hours.ALL else grid


def row_plan(symbol_query: SymbolQuery, log: LogView, reader: WindowReader, query_range: Window) -> Plan:
    """Return the plan for the rows of a reader of one log. reader: its window is the part of the range that may have rows.

    All ranges that end after it have the same answer, so their plans have the same end.
    """
    end_ns = query_range.end_ns if reader.window is NOTHING else reader.window.end_ns
    is_open = symbol_query.query.end_ns is None and end_ns == query_range.end_ns < ALL_TIME.end_ns
    next_change_ns = (symbol_query.now_ns // SECOND_NS + 1) * SECOND_NS if is_open else None
    return Plan(
        source=WindowedSource(reader),
        range=Window(query_range.start_ns, end_ns),
        reason=reason_for_none(symbol_query),
        logs=(log,),
        walk_now_ns=walk_now_ns(next_change_ns, end_ns),
        expires_ns=symbol_query.expires_ns(next_change_ns),
    )


def _settled_range(symbol_query: SymbolQuery, log: LogView) -> Window | None:
    """Return the range without an end if it has the same rows as the range up to now, and keeps them until a write.

    Not for later pages, which must find the range of the first, nor for several symbols, whose pages share one "now".
    Not for a past instant, after which there may be rows that it hides. The range has no start, because `last`
    excludes `start`.
    """
    query = symbol_query.query
    is_newest = query.last is not None and query.end_ns is None and query.as_of_ns is None
    if not is_newest or query.several or symbol_query.seen is not None:
        return None
    later = tick_window(Window(tick_range(symbol_query).end_ns, ALL_TIME.end_ns), (log,))
    return None if log.row_bound(later) else Window(NO_START_NS, ALL_TIME.end_ns)


def _state(rows: pa.Table) -> pa.Array:
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    lacks_side = np.isnan(bid) | np.isnan(ask)
    words = np.where(bid == ask, "locked", np.where(bid > ask, "crossed", "normal"))
    return pa.array(np.where(lacks_side, "one_sided", words))


# The column `state` of quotes: normal, locked, crossed or one_sided.
QUOTE_STATE = AddedColumn(OutColumn("state", ColumnRole.TEXT), _state)


def _as_stored(
    dataset: Dataset,
    *,
    name: str,
    resolution: Resolution,
    classes: tuple[str, ...],
    own: Parameters = (),
    has_integer_volume: bool = False,
    has_future: bool = False,
    example: Mapping[str, Any] | None = None,
) -> MarketDataset:
    """Return the dataset of all rows of one stored dataset. The arguments are those of `MarketDataset`; example: of a row."""
    return MarketDataset(
        name=name,
        rows_name=name.replace("-", "_"),
        classes=classes,
        own=own,
        resolution=resolution,
        columns=out_columns(dataset, has_integer_volume=has_integer_volume),
        of_instants=True,
        has_future=has_future,
        example=example or {},
        plan=tick_plan,
        logs_of=lambda _query: (dataset,),
    )


TRADE_TICKS = MarketDataset(
    name="trades",
    rows_name="trades",
    classes=TRADED,
    has_stream=True,
    own=("hours",),
    resolution=Resolution.TICK,
    columns=out_columns(TRADES, has_integer_volume=True),
    plan=tick_plan,
    logs_of=lambda _query: (TRADES,),
)
DATASETS = (
    _as_stored(
        OPEN_INTEREST,
        name="open-interest",
        resolution=Resolution.DAY,
        classes=("futures", "options"),
        has_integer_volume=True,
    ),
    _as_stored(UNIVERSE_CHANGES, name="changes", resolution=Resolution.MONTH, classes=("universes",)),
    _as_stored(
        TRADING_STATUS,
        name="trading-status",
        resolution=Resolution.MONTH,
        classes=QUOTED,
        example={"status": "halted", "reason": "LUDP"},
    ),
    _as_stored(
        CORPORATE_ACTIONS,
        name="corporate-actions",
        resolution=Resolution.MONTH,
        classes=TRADED,
        has_future=True,
        example={"kind": "dividend", "ratio": None, "amount": 0.25, "currency": "USD"},
    ),
    # Without the bars that are made of trades.
    _as_stored(
        BARS,
        name="stored-bars",
        resolution=Resolution.DAY,
        classes=TRADED,
        own=("resolution",),
        example={"resolution": "1d"},
    ),
)
