"""The dataset `/quotes`: quotes as stored, or bars of bid and ask."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant
from stats.market_data.intervals.finality import finality_of
from stats.market_data.intervals.windows import (
    bar_range,
    bar_window,
    grid_of,
    next_change_ns_of,
    part_in_memory,
)
from stats.market_data.plan import Plan, SymbolQuery, reason_for_none, rows_left, walk_now_ns
from stats.market_data.query import QUOTED, MarketDataset
from stats.market_data.rows import Rows, WindowedSource
from stats.market_data.ticks import QUOTE_STATE, out_columns, tick_plan
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.datasets import QUOTES
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView
from store.log_views.quote_windows import quote_bars_by_exchange
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution

_PRICES = tuple(f"{side}_{what}" for side in ("bid", "ask") for what in ("open", "high", "low", "close"))
_SIZES = ("bid_size", "ask_size")


@dataclass(frozen=True, slots=True)
class QuoteBarReader:
    """Reads quote bars on a grid, one series per exchange. A bar opens at the last quote before its interval.

    window: the part of the range that may have bars. has_integer_volume: whether sizes are integers.
    final_until_ns: bars that end later are not final.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    grid: BarGrid
    has_integer_volume: bool
    final_until_ns: Annotated[int, DIFFERS_BY_PAGE]

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
        series = list(quote_bars_by_exchange(self.log, window, self.grid))
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


@dataclass(frozen=True, slots=True)
class QuoteOptions:
    """Which quotes are read. two_sided: only those with bid and ask."""

    two_sided: bool = False


def _quotes_plan(symbol_query: SymbolQuery) -> Plan:
    if symbol_query.query.resolution.is_tick:
        needed = ("bid", "ask") if symbol_query.query.options_of(QuoteOptions).two_sided else ()
        return tick_plan(symbol_query, (QUOTE_STATE,), needed)
    (log,) = symbol_query.logs
    if log.is_empty:
        symbol_query.check_known()
    grid = grid_of(symbol_query)
    query_range = bar_range(symbol_query, grid)
    window = bar_window(rows_left(query_range, log), grid, (log,))
    finality = finality_of(symbol_query, grid, query_range, log)
    # A bar opens at a quote from the last ten dates with quotes. These dates may be arbitrarily old, so the view must
    # have every commit that touches a date before the window.
    log = symbol_query.limited_to(log, Window(min(ALL_TIME.start_ns, window.start_ns), window.end_ns))
    next_change_ns = next_change_ns_of(symbol_query, grid, query_range)
    has_integer_volume = symbol_query.instrument.has_integer_volume
    reader = QuoteBarReader(log, window, grid, has_integer_volume, finality.until_ns)
    return Plan(
        source=WindowedSource(reader),
        range=query_range,
        reason=reason_for_none(symbol_query),
        logs=(log,),
        walk_now_ns=walk_now_ns(next_change_ns, query_range.end_ns),
        expires_ns=symbol_query.expires_ns(next_change_ns, finality.expires_ns),
        head=(("resolution", grid.resolution.value),),
        final_until_ns=finality.until_ns,
    )


QUOTE_TICK_COLUMNS = (*out_columns(QUOTES, has_integer_volume=True), QUOTE_STATE.column)

QUOTE_ROWS = MarketDataset(
    name="quotes",
    rows_name="quotes",
    classes=QUOTED,
    has_stream=True,
    own=("resolution", "session", "hours", "anchor", "partial"),
    resolution=Resolution.TICK,
    columns=tuple(
        dict.fromkeys((*QUOTE_TICK_COLUMNS, *quote_bar_columns(has_integer_volume=True, with_date=True)))
    ),
    plan=_quotes_plan,
    logs_of=lambda query: (query.market_class.quotes,),
)
