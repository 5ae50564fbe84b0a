"""What an option is priced with."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from stats.options.reasons import SOLVED, Codes, Reason, mark
from store.arrays import Floats, Mask


class ForwardSource(StrEnum):
    """Where a forward comes from: put-call parity of its expiry's quotes, or spot, rate and dividend yield."""

    PARITY = "parity"
    SPOT = "spot"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Columns of one length, a row per option and instant. NaN: not known.

    price: per unit of the underlying. spot, forward: of the underlying, now and for delivery at expiry. t:
    years to the last-trade instant, not below zero. rate, dividend_yield: per year, continuously compounded; forward = spot ·
    e^((rate - dividend_yield) t). by_parity: whether put-call parity gave the forward; otherwise it is grown
    from spot.
    """

    price: Floats
    spot: Floats
    forward: Floats
    strike: Floats
    t: Floats
    rate: Floats
    dividend_yield: Floats
    is_call: Mask
    by_parity: Mask

    def __len__(self) -> int:
        return len(self.price)


def make_inputs(
    *,
    price: Floats,
    spot: Floats,
    strike: Floats,
    t: Floats,
    rate: Floats | float,
    dividend_yield: Floats | float,
    is_call: Mask,
    parity_forward: Floats | None = None,
) -> Inputs:
    """Inputs of which one follows from the others.

    Where parity gives a forward, the dividend yield is the one that it implies from spot; or, where no spot
    is known, spot is what the forward implies with the given yield. Elsewhere the forward is grown from spot.
    """
    rates = np.broadcast_to(np.asarray(rate, float), price.shape)
    yields = np.broadcast_to(np.asarray(dividend_yield, float), price.shape)
    given = np.full(price.shape, np.nan) if parity_forward is None else parity_forward
    with np.errstate(all="ignore"):
        by_parity = (given > 0) & (t > 0)
        spots = np.where(by_parity & ~(spot > 0), given * np.exp((yields - rates) * t), spot)
        implied = rates - np.log(given / spots) / t
        yields = np.where(by_parity & (spot > 0), implied, yields)
        forward = np.where(by_parity, given, spots * np.exp((rates - yields) * t))
    return Inputs(price, spots, forward, strike, t, rates, yields, is_call, by_parity)


def mid_prices(bid: Floats, ask: Floats) -> tuple[Floats, Codes]:
    """The middle of each quote, of locked and crossed ones, too.

    NaN, with the reason, where a side is missing (NaN).
    """
    codes = np.full(bid.shape, SOLVED, np.int8)
    has_bid, has_ask = np.isfinite(bid), np.isfinite(ask)
    mark(codes, ~has_bid & ~has_ask, Reason.NO_QUOTE)
    mark(codes, has_bid ^ has_ask, Reason.ONE_SIDED)
    return np.where(has_bid & has_ask, bid / 2 + ask / 2, np.nan), codes
