"""The dataset `/quotes`: quotes as stored, or bars of bid and ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant
from stats.market_data.best_quotes import best_columns, best_quotes_plan
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.finality import finality_of
from stats.market_data.intervals.knowledge_counts import BarKnowledge
from stats.market_data.intervals.windows import (
    bar_range,
    bar_window,
    grid_of,
    next_change_ns_of,
    part_in_memory,
)
from stats.market_data.plan import MarketDataset, Plan, SymbolQuery, reason_for_none
from stats.market_data.query import DatasetForm
from stats.market_data.query_parameters import BEST_PARAMETERS
from stats.market_data.rows import Rows, WindowedSource
from stats.market_data.ticks import QUOTE_STATE, out_columns, tick_plan
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers
from store.bar_policies import EVERY_PRINT
from store.bars.quote_bars import QuoteBars, quote_bars_of
from store.datasets import QUOTES
from store.lazy_imports import compute as pc
from store.log_views.grids import OUTSIDE
from store.log_views.known_bars import KnownLog
from store.log_views.known_quotes import known_quote_bars
from store.log_views.log_view import LogView
from store.log_views.quote_windows import carried_quotes, rows_of_exchange
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution

_PRICES = tuple(f"{side}_{what}" for side in ("bid", "ask") for what in ("open", "high", "low", "close"))
_SIZES = ("bid_size", "ask_size")


@dataclass(frozen=True, slots=True)
class QuoteBarReader:
    """Reads quote bars on a grid, one series per exchange. A bar opens at the last quote before its interval.

    window: the part of the range that may have bars. has_integer_volume: whether sizes are integers.
    final_until_ns: bars that end later are not final. settle_ns: each bar is as it was known at its end plus this;
    None for bars as they are known now.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    grid: BarGrid
    has_integer_volume: bool
    final_until_ns: Annotated[int, DIFFERS_BY_PAGE]
    settle_ns: int | None = None

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return quote_bar_columns(
            has_integer_volume=self.has_integer_volume, with_date=self.grid.resolution.is_period
        )

    def floor(self, time_ns: int) -> int:
        return self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return part_in_memory(self.log, self.grid, window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        series = list(self._by_exchange(window))
        time_ns = np.concatenate([np.empty(0, np.int64), *(bars.time_ns for _, bars in series)])
        order = np.argsort(time_ns, kind="stable")
        ends_ns, dates = self.grid.ends_and_dates(time_ns, window)
        values = {
            "timestamp": time_ns,
            "exchange": [exchange for exchange, bars in series for _ in range(len(bars))],
            **{
                name: np.concatenate([np.empty(0), *(getattr(bars, name) for _, bars in series)])
                for name in (*_PRICES, *_SIZES)
            },
            "quote_count": np.concatenate([np.empty(0, np.int64), *(bars.quote_count for _, bars in series)]),
            "final": ends_ns <= self.final_until_ns,
            "date": dates,
        }
        table = Table.of(self.columns, values)
        return Rows.of(Table(table.columns, table.data.take(order)), time_ns[order])

    def total_estimate(self) -> int:
        return self.log.row_bound(self.window)

    def _by_exchange(self, window: Window) -> Iterator[tuple[str | None, QuoteBars]]:
        """Yield each exchange's name and bars, ordered by name. Quotes without an exchange have the name None.

        Quotes outside the query's hours are labelled `OUTSIDE`. They make no bar, but the next bar opens at the
        last of them.
        """
        if self.settle_ns is not None:
            yield from self._as_known(window, self.settle_ns)
            return
        quotes = self.log.rows(window)
        if not len(quotes):
            return
        labels = self.grid.labels_of(quotes.column("timestamp").to_numpy(), window)
        quotes = quotes.set_column(0, "timestamp", pa.array(labels))
        exchange = quotes.column("exchange")
        names = _names(quotes)
        carried = carried_quotes(self.log, window.start_ns, names)
        for name in names:
            own = pc.fill_null(pc.equal(exchange, name), False) if name else pc.is_null(exchange)
            bars = quote_bars_of(quotes.filter(own), 1, carried[name])
            yield name, _merged(bars[bars.time_ns != OUTSIDE])

    def _as_known(self, window: Window, settle_ns: int) -> Iterator[tuple[str | None, QuoteBars]]:
        log, versions = KnownLog(self.log, self.grid, EVERY_PRINT, settle_ns), self.log.versions(window)
        for name in _names(versions):
            yield name, _merged(known_quote_bars(log, versions, window, rows_of_exchange, name))


def _names(quotes: pa.Table) -> list[str | None]:
    """Return the exchanges of quotes, ordered; None for quotes without one is first."""
    return sorted(pc.unique(quotes.column("exchange")).to_pylist(), key=lambda each: each or "")


def _merged(bars: QuoteBars) -> QuoteBars:
    """Merge consecutive bars with the same label, such as the sessions of a week."""
    starts = np.flatnonzero(np.diff(bars.time_ns, prepend=OUTSIDE))
    if len(starts) == len(bars):
        return bars
    ends = np.append(starts[1:], len(bars)) - 1
    sides = {
        f"{side}_{what}": merge(getattr(bars, f"{side}_{what}"))
        for side in ("bid", "ask")
        for what, merge in (
            ("open", lambda values: _first_known(values, starts)),
            ("high", lambda values: np.fmax.reduceat(values, starts)),
            ("low", lambda values: np.fmin.reduceat(values, starts)),
            ("close", lambda values: values[ends]),
            ("size", lambda values: values[ends]),
        )
    }
    return QuoteBars(
        time_ns=bars.time_ns[starts], quote_count=np.add.reduceat(bars.quote_count, starts), **sides
    )


def _first_known(values: Floats, starts: Integers) -> Floats:
    """Return the first value of each slice that is not NaN; NaN if there is none."""
    indices = np.where(np.isnan(values), len(values), np.arange(len(values)))
    return np.append(values, np.nan)[np.minimum.reduceat(indices, starts)]


def quote_bar_columns(*, has_integer_volume: bool, with_date: bool) -> tuple[OutColumn, ...]:
    """Return the columns of quote bars. Sizes are those at the close."""
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        OutColumn("exchange", ColumnRole.TEXT),
        *(OutColumn(name, ColumnRole.NUMBER) for name in _PRICES),
        *(OutColumn(name, ColumnRole.VOLUME, has_integer_volume) for name in _SIZES),
        OutColumn("quote_count", ColumnRole.INTEGER),
        OutColumn("final", ColumnRole.FLAG),
        *((OutColumn("date", ColumnRole.DATE),) if with_date else ()),
    )


def _quotes_plan(symbol_query: SymbolQuery) -> Plan:
    if symbol_query.query.is_best:
        return best_quotes_plan(symbol_query)
    if symbol_query.query.resolution.is_tick:
        return tick_plan(symbol_query, (QUOTE_STATE,))
    (log,) = symbol_query.logs
    if log.is_empty:
        symbol_query.check_known()
    grid = grid_of(symbol_query)
    query_range = bar_range(symbol_query, grid)
    window = bar_window(query_range, grid, (log,))
    finality = finality_of(symbol_query, grid, query_range, log)
    # A bar opens at a quote from the last ten dates with quotes. These dates may be arbitrarily old, so the view must
    # have every commit that touches a date before the window.
    log = symbol_query.read_point.limited_to(
        log, Window(min(ALL_TIME.start_ns, window.start_ns), window.end_ns)
    )
    next_change_ns = next_change_ns_of(symbol_query, grid, query_range)
    settle_ns, has_integer_volume = symbol_query.settle_ns, symbol_query.instrument.has_integer_volume
    return Plan(
        source=WindowedSource(
            QuoteBarReader(log, window, grid, has_integer_volume, finality.until_ns, settle_ns)
        ),
        range=query_range,
        reason=reason_for_none(symbol_query),
        logs=(log,),
        validity=symbol_query.validity(next_change_ns, query_range.end_ns).until(finality.expires_ns),
        head=(("resolution", grid.resolution.value),),
        final_until_ns=finality.until_ns,
        knowledge=None if settle_ns is None else BarKnowledge((log,), grid, EVERY_PRINT, settle_ns),
    )


# Quotes as stored, or the best of them.
QUOTE_TICK_COLUMNS = tuple(
    dict.fromkeys(
        (
            *out_columns(QUOTES, has_integer_volume=True),
            QUOTE_STATE.column,
            *best_columns(has_integer_volume=True),
        )
    )
)

QUOTE_ROWS = MarketDataset(
    form=DatasetForm(
        name="quotes",
        rows_name="quotes",
        own=("resolution", "session", "hours", "anchor", "knowledge", "partial", *BEST_PARAMETERS),
        resolution=Resolution.TICK,
        columns=tuple(
            dict.fromkeys((*QUOTE_TICK_COLUMNS, *quote_bar_columns(has_integer_volume=True, with_date=True)))
        ),
    ),
    plan=_quotes_plan,
    logs_of=lambda query: (query.market_class.quotes,),
)
