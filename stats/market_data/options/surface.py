"""The chain of an underlying at one instant, with quotes, volatilities and greeks, as rows of an answer."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.cursors import RowPosition
from stats.market_data.options.chain import quoted
from stats.market_data.options.contract import OptionContract, column_of
from stats.market_data.options.market import QUOTE_REACH_NS, OptionMarket
from stats.market_data.options.rows import (
    INPUT_COLUMNS,
    REASON,
    greek_columns,
    input_columns,
    number_column,
    source_column,
    time_column,
)
from stats.market_data.rows import Rows
from stats.options.surface import MarketInputs, OptionChain, volatility_surface
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers
from store.cached_property import cached_property
from store.datasets import OPTION_QUOTES
from store.log_views.last_rows import NEVER_NS, last_rows_at
from web.requests.work import WorkKind, count_work


def surface_columns(names: Iterable[str]) -> tuple[OutColumn, ...]:
    """Return the columns of a chain's rows. names: the columns of `GREEKS` to return."""
    return (
        OutColumn("timestamp", ColumnRole.TIME),
        OutColumn("symbol", ColumnRole.TEXT),
        OutColumn("expiry", ColumnRole.DATE),
        OutColumn("strike", ColumnRole.NUMBER),
        OutColumn("right", ColumnRole.TEXT),
        OutColumn("quote_timestamp", ColumnRole.TIME),
        OutColumn("bid", ColumnRole.NUMBER),
        OutColumn("ask", ColumnRole.NUMBER),
        *(OutColumn(name, ColumnRole.NUMBER) for name in names),
        *INPUT_COLUMNS,
        REASON,
    )


# The attributes of a contract that a chain has as columns, and their types.
_TERMS: dict[str, type] = {
    "expiry": int,
    "last_trade_ns": int,
    "strike": float,
    "is_call": bool,
    "american": bool,
}


@dataclass(frozen=True)
class SurfaceSource:
    """The rows of a chain: one per option, made from its last quote before an instant.

    Rows are ordered by expiry, strike and right. Their timestamp is the instant. names: the columns of `GREEKS` to
    return.
    """

    contracts: tuple[OptionContract, ...]
    market: OptionMarket
    instant_ns: int
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return surface_columns(self.names)

    def after(self, position: RowPosition | None, count: int) -> Rows:
        first = 0 if position is None else position.ordinal
        return self._rows[first : first + count]

    def before(self, position: RowPosition | None, count: int) -> Rows:
        end = len(self._rows) if position is None else position.ordinal
        return self._rows[max(end - count, 0) : end]

    def total_estimate(self) -> int:
        return len(self.contracts)

    @cached_property
    def _rows(self) -> Rows:
        count = len(self.contracts)
        # The contracts are sorted as the surface sorts them, so that rows and contracts match.
        contracts = sorted(
            self.contracts, key=lambda each: (each.expiry, each.last_trade_ns, each.strike, not each.is_call)
        )
        just_before = np.array([self.instant_ns - 1])
        spot = self.market.underlying.at(just_before)
        bid, ask, quote_time_ns = self._quotes(contracts)
        terms = {name: column_of(contracts, name, dtype) for name, dtype in _TERMS.items()}
        instants = np.full(count, self.instant_ns)
        inputs = self._inputs(float(spot.price[0]), terms["last_trade_ns"])
        count_work(WorkKind.OPTIONS, len(bid))
        surface = volatility_surface(OptionChain(**terms, bid=bid, ask=ask), inputs)
        spot_time_ns = np.where(np.isfinite(spot.price), spot.time_ns, NEVER_NS).repeat(count)
        values = {
            "timestamp": instants,
            "symbol": [contract.symbol for contract in contracts],
            "expiry": surface.chain.expiry,
            "strike": surface.chain.strike,
            "right": ["call" if contract.is_call else "put" for contract in contracts],
            "quote_timestamp": time_column(quote_time_ns),
            "bid": number_column(bid),
            "ask": number_column(ask),
            **greek_columns(surface.valuation),
            **input_columns(surface.inputs, surface.valuation),
            "rate_source": source_column(self.market.rate_source, count),
            "spot_timestamp": time_column(spot_time_ns),
        }
        return Rows.of(Table.of(self.columns, values), instants)

    def _inputs(self, spot: float, last_trade_ns: Integers) -> MarketInputs:
        """Return the inputs of the surface. last_trade_ns: one value per contract."""
        market, just_before = self.market, np.full(len(last_trade_ns), self.instant_ns - 1)
        return MarketInputs(
            self.instant_ns,
            spot,
            market.rate,
            market.dividend_yield,
            market.dividends.between(just_before, last_trade_ns, market.rate),
            parity=market.parity,
            on_future=market.on_future,
        )

    @cached_property
    def last_quotes(self) -> tuple[dict[str, int], pa.Table]:
        """The last quote before the instant of each option that has one: the rows' indices by symbol, and stored rows."""
        just_before = np.array([self.instant_ns - 1])
        index_of: dict[str, int] = {}
        rows = [OPTION_QUOTES.schema.empty_table()]
        for contract, log in quoted(self.market.chain):
            last = last_rows_at(log, just_before, reach_ns=QUOTE_REACH_NS)
            if last.indices[0] >= 0:
                index_of[contract.symbol] = len(index_of)
                rows.append(last.rows.slice(int(last.indices[0]), 1))
        return index_of, pa.concat_tables(rows).combine_chunks()

    def _quotes(self, contracts: list[OptionContract]) -> tuple[Floats, Floats, Integers]:
        """Return bid, ask and time of each contract's last quote."""
        index_of, rows = self.last_quotes
        indices = pa.array([index_of.get(contract.symbol) for contract in contracts], pa.int64())
        bid, ask, time_ns = (
            rows.column(name).take(indices).fill_null(missing).to_numpy()
            for name, missing in (("bid", np.nan), ("ask", np.nan), ("timestamp", NEVER_NS))
        )
        return bid, ask, time_ns
