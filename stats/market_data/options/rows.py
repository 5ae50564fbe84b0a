"""Reads an option's quotes, and the values that they imply, as rows of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from stats.caching.keys import Irrelevant
from stats.market_data.options.contract import OptionContract
from stats.market_data.options.market import OptionMarket
from stats.market_data.rows import Rows
from stats.options.inputs import ForwardSource, Inputs, mid_prices, words
from stats.options.pricing import Valuation, valuation
from stats.options.rates import RateSource
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers
from store.log_views.bar_grid import BarGrid
from store.log_views.last_rows import NEVER_NS
from store.log_views.log_view import LogView
from store.protocol import Window
from web.requests.work import WorkKind, count_work

GREEKS = ("delta", "gamma", "theta", "vega", "rho", "iv")
INPUTS = ("price", "spot", "forward", "forward_source", "rate", "dividend_yield", "dividends", "t")


def greek_columns(values: Valuation) -> dict[str, pa.Array]:
    """Return the columns of `GREEKS` by name. They are null in rows with a `reason`."""
    return {name: number_column(getattr(values, name)) for name in GREEKS}


def input_columns(inputs: Inputs, values: Valuation) -> dict[str, pa.Array]:
    """Return the columns of `INPUTS` and `reason` by name. Unknown values are null."""
    sources = pa.array([str(ForwardSource.SPOT), str(ForwardSource.PARITY)])
    is_unknown = ~np.isfinite(inputs.forward)
    numbers = {name: getattr(inputs, name) for name in INPUTS if name not in {"forward_source", "dividends"}}
    columns = {name: number_column(column) for name, column in numbers.items()}
    columns["dividends"] = number_column(inputs.dividends.total)
    columns["forward_source"] = sources.take(pa.array(inputs.by_parity.astype(np.int8), mask=is_unknown))
    return {**{name: columns[name] for name in INPUTS}, "reason": words(values.reason)}


def source_column(rate_source: RateSource, count: int) -> list[str]:
    """Return the column `rate_source` of `count` rows."""
    return [str(rate_source)] * count


def time_column(time_ns: Integers) -> pa.Array:
    """Return times as a column; null for `NEVER_NS`."""
    return pa.array(time_ns, mask=time_ns == NEVER_NS)


def number_column(values: Floats) -> pa.Array:
    """Return numbers as a column; null for NaN and infinity."""
    return pa.array(values, mask=~np.isfinite(values))


# The columns of the inputs. A spot and a rate are followed by where they come from.
INPUT_COLUMNS = (
    OutColumn("price", ColumnRole.NUMBER),
    OutColumn("spot", ColumnRole.NUMBER),
    OutColumn("spot_timestamp", ColumnRole.TIME),
    OutColumn("forward", ColumnRole.NUMBER),
    OutColumn("forward_source", ColumnRole.TEXT),
    OutColumn("rate", ColumnRole.NUMBER),
    OutColumn("rate_source", ColumnRole.TEXT),
    OutColumn("dividend_yield", ColumnRole.NUMBER),
    OutColumn("dividends", ColumnRole.NUMBER),
    OutColumn("t", ColumnRole.NUMBER),
)
REASON = OutColumn("reason", ColumnRole.TEXT)


@dataclass(frozen=True, slots=True)
class OptionRows:
    """The rows of an option: one for each quote.

    window: the part of the range that may have rows. hours_grid: a grid whose hours are the query's; None for all hours.
    names: the columns of `GREEKS` to return.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    hours_grid: BarGrid | None
    contract: OptionContract
    market: OptionMarket
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return option_columns(self.names)

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.log.take_window(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        quotes = self.log.rows(window)
        instants = quotes.column("timestamp").to_numpy()
        if self.hours_grid is not None:
            inside = self.hours_grid.within_hours(instants)
            quotes, instants = quotes.filter(pa.array(inside)), instants[inside]
        bid, ask = (quotes.column(name).to_numpy() for name in ("bid", "ask"))
        values = {"timestamp": instants, "bid": bid, "ask": ask, **self._implied(instants, bid, ask)}
        return Rows.of(Table.of(self.columns, values), instants)

    def total_estimate(self) -> int:
        return self.log.row_bound(self.window)

    def _implied(self, instants: Integers, bid: Floats, ask: Floats) -> dict[str, object]:
        price, quote_codes = mid_prices(bid, ask)
        inputs, spot = self.market.inputs(self.contract, instants, price)
        count_work(WorkKind.OPTIONS, len(instants))
        values = valuation(inputs, np.full(len(instants), self.contract.american), quote_codes)
        return {
            **greek_columns(values),
            **input_columns(inputs, values),
            "rate_source": source_column(self.market.rate_source, len(instants)),
            "spot_timestamp": pa.array(spot.time_ns, mask=~np.isfinite(spot.price)),
        }


def option_columns(names: Iterable[str]) -> tuple[OutColumn, ...]:
    """Return the columns of an option's rows. names: the columns of `GREEKS` to return."""
    return (
        OutColumn("timestamp", ColumnRole.TIME),
        OutColumn("bid", ColumnRole.NUMBER),
        OutColumn("ask", ColumnRole.NUMBER),
        *(OutColumn(name, ColumnRole.NUMBER) for name in names),
        *INPUT_COLUMNS,
        REASON,
    )
