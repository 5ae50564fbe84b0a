"""The volatility surface of an underlying at one instant, as rows of an answer."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from stats.cursors import RowPosition
from stats.market_data.options.contract import OptionContract, column_of
from stats.market_data.options.last_rows import NEVER_NS
from stats.market_data.options.market import OptionMarket, quotes_at
from stats.market_data.options.rows import ECHOED, REASON, input_columns
from stats.market_data.options.underlying_price import SpotPrices
from stats.market_data.rows import Rows
from stats.options.surface import MarketInputs, OptionChain, volatility_surface
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers

SURFACE_COLUMNS = (
    OutColumn("timestamp", ColumnRole.TIME),
    OutColumn("symbol", ColumnRole.TEXT),
    OutColumn("expiry", ColumnRole.DATE),
    OutColumn("strike", ColumnRole.NUMBER),
    OutColumn("right", ColumnRole.TEXT),
    OutColumn("quote_timestamp", ColumnRole.TIME),
    OutColumn("bid", ColumnRole.NUMBER),
    OutColumn("ask", ColumnRole.NUMBER),
    OutColumn("iv", ColumnRole.NUMBER),
    *ECHOED,
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
    """A row per option, ordered by expiry, strike and right, made from the last quotes before an instant.

    The timestamp of all rows is that instant.
    """

    contracts: tuple[OptionContract, ...]
    market: OptionMarket
    instant_ns: int

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return SURFACE_COLUMNS

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
        contracts = sorted(self.contracts, key=_place)
        spot = self.market.underlying.at(self._just_before)
        bid, ask, quoted_at = self._quotes(contracts)
        # The contracts are sorted as the surface sorts them, so that rows and contracts match.
        surface = volatility_surface(_chain(contracts, bid, ask), self._market(spot))
        made_at = np.where(np.isfinite(spot.price), spot.time_ns, NEVER_NS).repeat(count)
        values = {
            "timestamp": np.full(count, self.instant_ns),
            "symbol": [contract.symbol for contract in contracts],
            "expiry": surface.chain.expiry,
            "strike": surface.chain.strike,
            "right": ["call" if contract.is_call else "put" for contract in contracts],
            "quote_timestamp": pa.array(quoted_at, mask=quoted_at == NEVER_NS),
            "bid": _known(bid),
            "ask": _known(ask),
            "iv": _known(surface.valuation.iv),
            **input_columns(surface.inputs, surface.valuation),
            "spot_timestamp": pa.array(made_at, mask=made_at == NEVER_NS),
        }
        return Rows.of(Table.of(SURFACE_COLUMNS, values), np.full(count, self.instant_ns))

    @property
    def _just_before(self) -> Integers:
        return np.array([self.instant_ns - 1])

    def _market(self, spot: SpotPrices) -> MarketInputs:
        market = self.market
        return MarketInputs(
            self.instant_ns, float(spot.price[0]), market.rate, market.dividend_yield, parity=market.parity
        )

    def _quotes(self, contracts: list[OptionContract]) -> tuple[Floats, Floats, Integers]:
        """Bid, ask and time of each contract's last quote."""
        members = self.market.chain.members
        found = quotes_at(members, self._just_before)
        place = {contract.symbol: number for number, (contract, _) in enumerate(members)}
        # Index -1, for an option without quotes, selects the appended empty value.
        places = np.array([place.get(contract.symbol, -1) for contract in contracts], np.int64)
        bid, ask, time_ns = (
            np.append(column[0], nothing)[places]
            for column, nothing in ((found.bid, np.nan), (found.ask, np.nan), (found.time_ns, NEVER_NS))
        )
        return bid, ask, time_ns.astype(np.int64)


def _chain(contracts: list[OptionContract], bid: Floats, ask: Floats) -> OptionChain:
    terms = {name: column_of(contracts, name, kind) for name, kind in _TERMS.items()}
    return OptionChain(**terms, bid=bid, ask=ask)


def _place(contract: OptionContract) -> tuple[int, int, float, bool]:
    return contract.expiry, contract.last_trade_ns, contract.strike, not contract.is_call


def _known(column: Floats) -> pa.Array:
    return pa.array(column, mask=~np.isfinite(column))
