"""The inputs for pricing options at given instants: spot, rates and implied forwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stats.market_data.options.cash_dividends import StoredDividends
from stats.market_data.options.chain import Quoted, quoted
from stats.market_data.options.contract import OptionContract, column_of
from stats.market_data.options.underlying_price import SpotPrices, UnderlyingPrice
from stats.market_data.plan import LogGroup
from stats.options.expiry import years_until
from stats.options.inputs import Inputs, make_inputs
from stats.options.rates import RateSource
from stats.options.surface import paired, parity_forwards
from store.arrays import Floats, Integers
from store.log_views.last_rows import NEVER_NS, last_rows_at
from store.log_views.log_view import LogView
from store.timestamps import DAY_NS

Members = Sequence[Quoted]

# The maximum age of a quote. A quote is valid until the option's next quote, but not overnight.
QUOTE_REACH_NS = DAY_NS // 2

# How many strikes around the spot price are searched first for pairs of a call and a put.
_NEAR_STRIKES = 8


@dataclass(frozen=True, slots=True)
class OptionMarket:
    """The underlying's price, the chain's quotes, and rates per year, continuously compounded.

    dividend_yield: that of a future is the rate, so that its price is its forward. parity: whether forwards are implied from the chain's quotes by put-call parity. on_future: whether the
    underlying is a future. models: the version of the pricing library, part of cache keys.
    """

    underlying: UnderlyingPrice
    chain: LogGroup[OptionContract]
    rate: float
    rate_source: RateSource
    dividends: StoredDividends
    dividend_yield: float
    parity: bool
    on_future: bool
    models: str

    @property
    def logs(self) -> tuple[LogView | LogGroup[OptionContract], ...]:
        """The logs of the chain, the underlying and the corporate actions."""
        return self.chain, *self.underlying.logs, self.dividends.log

    def inputs(
        self, contract: OptionContract, instants: Integers, price: Floats
    ) -> tuple[Inputs, SpotPrices]:
        """Return an option's pricing inputs and its underlying's prices, at ascending instants.

        price: the option's price at each instant.
        """
        spot, count = self.underlying.at(instants), len(instants)
        last_trade = np.full(count, contract.last_trade_ns)
        t = years_until(last_trade, instants)
        inputs = make_inputs(
            price=price,
            spot=spot.price,
            strike=np.full(count, contract.strike),
            t=t,
            rate=self.rate,
            dividend_yield=self.dividend_yield,
            is_call=np.full(count, contract.is_call),
            parity_forward=self._forwards(contract, instants, t, spot.price) if self.parity else None,
            dividends=self.dividends.between(instants, last_trade, self.rate),
            on_future=self.on_future,
        )
        return inputs, spot

    def _forwards(self, contract: OptionContract, instants: Integers, t: Floats, spot: Floats) -> Floats:
        """Return, for each instant, the forward that the options of the contract's class imply; NaN if there is none.

        t, spot: years to the expiry, and the underlying's price, at each instant. Strikes near the spot price are tried
        first.
        """
        members = _with_both_rights(
            [each for each in quoted(self.chain) if each[0].class_key == contract.class_key]
        )
        strikes = np.unique([member.strike for member, _ in members])
        forwards = np.full(len(instants), np.nan)
        if not len(strikes):
            return forwards
        nearest = np.where(np.isfinite(spot), np.searchsorted(strikes, spot), -1)
        for index in np.unique(nearest[(nearest >= 0) & (t > 0)]).tolist():
            near_strikes = strikes[max(index - _NEAR_STRIKES // 2, 0) : index + _NEAR_STRIKES // 2]
            near_members = [each for each in members if near_strikes[0] <= each[0].strike <= near_strikes[-1]]
            rows = np.flatnonzero((nearest == index) & (t > 0))
            forwards[rows] = self._implied(near_members, instants[rows], t[rows])
        rows = np.flatnonzero(~np.isfinite(forwards) & (t > 0))
        if len(rows) and (len(strikes) > _NEAR_STRIKES or not np.isfinite(spot[rows]).all()):
            forwards[rows] = self._implied(members, instants[rows], t[rows])
        return forwards

    def _implied(self, members: Members, instants: Integers, t: Floats) -> Floats:
        quotes = quotes_at(members, instants)
        contracts = [contract for contract, _ in members]
        pairs = paired(
            column_of(contracts, "strike", float),
            column_of(contracts, "is_call", bool),
            quotes.bid,
            quotes.ask,
        )
        return parity_forwards(pairs, t, np.full(len(t), self.rate))


def _with_both_rights(members: Members) -> Members:
    """Return the options whose strike has both a call and a put."""
    call_strikes = {contract.strike for contract, _ in members if contract.is_call}
    strikes = call_strikes & {contract.strike for contract, _ in members if not contract.is_call}
    return [each for each in members if each[0].strike in strikes]


@dataclass(frozen=True, slots=True)
class QuoteMatrix:
    """Bid, ask and quote time of options (columns) at instants (rows).

    NaN and `NEVER_NS` where there is no quote.
    """

    bid: Floats
    ask: Floats
    time_ns: Integers


def quotes_at(members: Members, instants: Integers) -> QuoteMatrix:
    """Return each option's newest quote at each of the ascending instants."""
    shape = len(instants), len(members)
    quotes = QuoteMatrix(np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, NEVER_NS))
    for column, (_, log) in enumerate(members):
        last = last_rows_at(log, instants, reach_ns=QUOTE_REACH_NS)
        quotes.bid[:, column] = last.values("bid").to_numpy(zero_copy_only=False)
        quotes.ask[:, column] = last.values("ask").to_numpy(zero_copy_only=False)
        quotes.time_ns[:, column] = last.time_ns
    return quotes
