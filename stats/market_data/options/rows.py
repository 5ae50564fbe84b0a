"""Reads an option's quotes, and the values that they imply, as rows of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from calendars.schedule import Hours
from stats.caching.keys import DIFFERS_BY_PAGE, Irrelevant
from stats.market_data.intervals.windows import part_in_memory
from stats.market_data.options.contract import OptionContract
from stats.market_data.options.market import OptionMarket
from stats.market_data.options.rate_curve import RateColumns
from stats.market_data.rows import Rows
from stats.options.inputs import ForwardSource, Inputs, mid_prices, words
from stats.options.pricing import Valuation, valuation
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers
from store.log_views.bar_grid import BarGrid
from store.log_views.last_rows import NEVER_NS
from store.log_views.log_view import LogView
from store.log_views.session_spans import OUTSIDE
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


def rate_columns(rates: RateColumns) -> dict[str, object]:
    """Return the columns `rate_source` and `rate_timestamp`, the time of the curve; null without a curve."""
    return {"rate_source": rates.sources, "rate_timestamp": time_column(rates.time_ns)}


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
    OutColumn("rate_timestamp", ColumnRole.TIME),
    OutColumn("dividend_yield", ColumnRole.NUMBER),
    OutColumn("dividends", ColumnRole.NUMBER),
    OutColumn("t", ColumnRole.NUMBER),
)
REASON = OutColumn("reason", ColumnRole.TEXT)


@dataclass(frozen=True, slots=True)
class OptionRows:
    """Rows of an option: each quote, or the last quote of each interval of a grid.

    window: the part of the range that may have rows. names: the columns of `GREEKS` to return.
    final_until_ns: intervals that end later are not final.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    grid: BarGrid
    contract: OptionContract
    market: OptionMarket
    names: tuple[str, ...]
    final_until_ns: Annotated[int, DIFFERS_BY_PAGE]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        resolution = self.grid.resolution
        return option_columns(self.names, of_bars=not resolution.is_tick, with_date=resolution.is_period)

    def floor(self, time_ns: int) -> int:
        return time_ns if self.grid.resolution.is_tick else self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        if not self.grid.resolution.is_tick:
            return part_in_memory(self.log, self.grid, window, count, from_end=from_end)
        return self.log.take_window(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        quotes, labels = self._labelled(window)
        instants = quotes.column("timestamp").to_numpy()
        bid, ask = (quotes.column(name).to_numpy() for name in ("bid", "ask"))
        values = {"timestamp": labels, "quote_timestamp": instants, "bid": bid, "ask": ask}
        values |= self._implied(instants, bid, ask)
        if not self.grid.resolution.is_tick:
            ends_ns, values["date"] = self.grid.ends_and_dates(labels, window)
            values["final"] = ends_ns <= self.final_until_ns
        return Rows.of(Table.of(self.columns, values), labels)

    def total_estimate(self) -> int:
        return self.log.row_bound(self.window)

    def _labelled(self, window: Window) -> tuple[pa.Table, Integers]:
        """Return the quotes from which the rows are made, and the rows' timestamps."""
        quotes = self.log.rows(window)
        times = quotes.column("timestamp").to_numpy()
        if self.grid.resolution.is_tick:
            if self.grid.hours is Hours.ALL:
                return quotes, times
            inside = self.grid.within_hours(times)
            return quotes.filter(pa.array(inside)), times[inside]
        labels = self.grid.labels_of(times, window)
        inside_indices = np.flatnonzero(labels != OUTSIDE)
        labels = labels[inside_indices]
        is_last = np.append(labels[1:] != labels[:-1], True)[: len(labels)]
        return quotes.take(pa.array(inside_indices[is_last])), labels[is_last]

    def _implied(self, instants: Integers, bid: Floats, ask: Floats) -> dict[str, object]:
        price, quote_codes = mid_prices(bid, ask)
        inputs, spot, rates = self.market.inputs(self.contract, instants, price)
        count_work(WorkKind.OPTIONS, len(instants))
        values = valuation(inputs, np.full(len(instants), self.contract.american), quote_codes)
        spot_time = pa.array(spot.time_ns, mask=~np.isfinite(spot.price))
        columns = {**greek_columns(values), **input_columns(inputs, values), **rate_columns(rates)}
        return {**columns, "spot_timestamp": spot_time}


def option_columns(names: Iterable[str], *, of_bars: bool, with_date: bool) -> tuple[OutColumn, ...]:
    """Return the columns of an option's rows.

    names: the columns of `GREEKS` to return. of_bars: whether each row belongs to an interval, not to a quote.
    """
    return (
        OutColumn("timestamp", ColumnRole.TIME),
        *((OutColumn("quote_timestamp", ColumnRole.TIME),) if of_bars else ()),
        OutColumn("bid", ColumnRole.NUMBER),
        OutColumn("ask", ColumnRole.NUMBER),
        *(OutColumn(name, ColumnRole.NUMBER) for name in names),
        *INPUT_COLUMNS,
        REASON,
        *((OutColumn("final", ColumnRole.FLAG),) if of_bars else ()),
        *((OutColumn("date", ColumnRole.DATE),) if with_date else ()),
    )
