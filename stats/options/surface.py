"""The volatility surface: implied volatility of all options of an underlying at one instant."""

from dataclasses import dataclass

import numpy as np

from stats.options.expiry import years_until
from stats.options.inputs import CashDividends, Inputs, make_inputs, mid_prices
from stats.options.pricing import Valuation, valuation
from store.arrays import Floats, Integers, Mask

# The median forward of at most this many call-put pairs, those nearest to the money, is used.
NEAREST_PAIRS = 5


@dataclass(frozen=True, slots=True)
class OptionPairs:
    """Quotes of the calls and puts of one expiry, by strike, at several instants.

    strikes: ascending. Quotes: one row per instant, one column per strike; NaN if there is no such quote.
    """

    strikes: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats


def parity_forwards(pairs: OptionPairs, t: Floats, rate: Floats) -> Floats:
    """Return the implied forward at each instant.

    t, rate: years to the expiry, and the rate per year, continuously compounded, at each instant.

    It is the median of strike + (call - put) e^(rate t), with mid prices, over the (up to five) strikes whose call and
    put prices differ least. Of an even number of values the lower middle one is used. Crossed quotes are ignored. NaN
    from expiry on, and if at no strike both call and put have a bid and an ask. American options: the premiums of early
    exercise stay in the prices. Near the money they nearly cancel.
    """
    if not len(pairs.strikes):
        return np.full(len(t), np.nan)
    call = _mids(pairs.call_bid, pairs.call_ask)
    put = _mids(pairs.put_bid, pairs.put_ask)
    with np.errstate(all="ignore"):
        implied = pairs.strikes + (call - put) * np.exp(rate * t)[:, None]
    usable = np.isfinite(implied) & (implied > 0) & (t > 0)[:, None]
    chosen, has_pair = _middle(implied, np.abs(call - put), usable)
    return np.where(has_pair, implied[np.arange(len(chosen)), chosen], np.nan)


def _mids(bid: Floats, ask: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(bid <= ask, bid / 2 + ask / 2, np.nan)


def _middle(implied: Floats, distance: Floats, usable: Mask) -> tuple[Integers, Mask]:
    """Return for each row the column of the median implied forward among the nearest strikes.

    The mask tells which rows have such a column.
    """
    count = min(NEAREST_PAIRS, implied.shape[1])
    nearest = np.argsort(np.where(usable, distance, np.inf), axis=1, kind="stable")[:, :count]
    values = np.where(usable, implied, np.inf)
    by_value = np.argsort(np.take_along_axis(values, nearest, axis=1), axis=1, kind="stable")
    usable_count = np.minimum(usable.sum(axis=1), count)
    middle = np.take_along_axis(by_value, (np.maximum(usable_count, 1) - 1)[:, None] // 2, axis=1)
    return np.take_along_axis(nearest, middle, axis=1)[:, 0].astype(np.int64), usable_count > 0


@dataclass(frozen=True, slots=True)
class OptionChain:
    """Options of one underlying, as columns of equal length.

    expiry: the contract's date, days since 1970. last_trade_ns: nanoseconds UTC. strike: above zero. american:
    whether early exercise is allowed. bid, ask: the quotes at the instant; NaN if there is none.
    """

    expiry: Integers
    last_trade_ns: Integers
    strike: Floats
    is_call: Mask
    american: Mask
    bid: Floats
    ask: Floats

    def __len__(self) -> int:
        return len(self.strike)

    def at(self, rows: Integers | Mask) -> "OptionChain":
        """Return the options at these row indices, in this order."""
        names = ("expiry", "last_trade_ns", "strike", "is_call", "american", "bid", "ask")
        return OptionChain(*(getattr(self, name)[rows] for name in names))


@dataclass(frozen=True, slots=True)
class MarketInputs:
    """The inputs beside a chain.

    spot: NaN if unknown. rate, dividend_yield: per year, continuously compounded. dividends: cash dividends until the expiries, in the chain's order; None for none. parity:
    whether forwards may come from put-call parity; otherwise they come from spot. on_future: see `Inputs`.
    """

    instant_ns: int
    spot: float
    rate: float
    dividend_yield: float
    dividends: CashDividends | None = None
    parity: bool = True
    on_future: bool = False


@dataclass(frozen=True, slots=True)
class VolatilitySurface:
    """A chain ordered by expiry, last trade, strike and right (call first), with its inputs and values."""

    chain: OptionChain
    inputs: Inputs
    valuation: Valuation


def volatility_surface(chain: OptionChain, market: MarketInputs) -> VolatilitySurface:
    """Compute the surface of all options of a chain.

    Options without an implied volatility are included, with their reasons.
    """
    order = np.lexsort((~chain.is_call, chain.strike, chain.last_trade_ns, chain.expiry))
    chain, count = chain.at(order), len(chain)
    price, quote_codes = mid_prices(chain.bid, chain.ask)
    t = years_until(chain.last_trade_ns, np.full(count, market.instant_ns))
    inputs = make_inputs(
        price=price,
        spot=np.full(count, market.spot),
        strike=chain.strike,
        t=t,
        rate=market.rate,
        dividend_yield=market.dividend_yield,
        is_call=chain.is_call,
        parity_forward=_forwards(chain, t, market.rate) if market.parity else None,
        dividends=(market.dividends or CashDividends.none(count)).at(order),
        on_future=market.on_future,
    )
    return VolatilitySurface(chain, inputs, valuation(inputs, chain.american, quote_codes))


def paired(strike: Floats, is_call: Mask, bid: Floats, ask: Floats) -> OptionPairs:
    """Pair the calls and puts of one expiry by strike. bid, ask: a row per instant, a column per option.

    If two options have the same strike and right, the first is used. If a strike has only a call or only a put,
    the other's quotes are NaN.
    """
    strikes, strike_index = np.unique(strike, return_inverse=True)
    sides = [np.full((len(bid), len(strikes)), np.nan) for _ in range(4)]
    # Backwards, so that the first of equal options is written last.
    for option in range(len(strike) - 1, -1, -1):
        bids, asks = sides[:2] if is_call[option] else sides[2:]
        bids[:, strike_index[option]], asks[:, strike_index[option]] = bid[:, option], ask[:, option]
    return OptionPairs(strikes, *sides)


def _forwards(chain: OptionChain, t: Floats, rate: float) -> Floats:
    """Return each option's forward; NaN if there is none.

    It is computed by put-call parity from the options with the same expiry, last trade and exercise style.
    """
    forwards = np.full(len(chain), np.nan)
    groups = np.unique(np.stack([chain.expiry, chain.last_trade_ns, chain.american]), axis=1).T
    for expiry, last_trade, american in groups.tolist():
        rows = np.flatnonzero(
            (chain.expiry == expiry) & (chain.last_trade_ns == last_trade) & (chain.american == american)
        )
        pairs = paired(chain.strike[rows], chain.is_call[rows], chain.bid[None, rows], chain.ask[None, rows])
        # All of them have the first one's time to the expiry.
        forwards[rows] = parity_forwards(pairs, t[rows[:1]], np.array([rate]))
    return forwards
