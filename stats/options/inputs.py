"""What an option is priced with."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Floats, Mask

Codes: TypeAlias = npt.NDArray[np.int8]

SOLVED = 0


class Reason(StrEnum):
    """What stands in the way, in the order in which it is looked for.

    expired: the last-trade instant is reached. no_quote, one_sided: there is no bid and no ask, or only one
    of them. no_underlying: neither a price of the underlying nor a forward is known. below_intrinsic: the
    price is at or below what the option is worth without any volatility. above_maximum: at or above what it
    is worth with all of it. no_solution: an input is out of the model's range, or its equations found no
    volatility.
    """

    EXPIRED = "expired"
    NO_QUOTE = "no_quote"
    ONE_SIDED = "one_sided"
    NO_UNDERLYING = "no_underlying"
    BELOW_INTRINSIC = "below_intrinsic"
    ABOVE_MAXIMUM = "above_maximum"
    NO_SOLUTION = "no_solution"

    @property
    def code(self) -> int:
        """Its number in a column; `SOLVED` is none of them."""
        return _ORDER.index(self) + 1


_ORDER = tuple(Reason)


def mark(codes: Codes, where: npt.NDArray[np.bool_], reason: Reason) -> None:
    """Write a reason, in place, into the rows that have none yet."""
    codes[where & (codes == SOLVED)] = reason.code


def words(codes: Codes) -> pa.Array:
    """The column as text; null where there is no reason."""
    known = pa.array([None, *map(str, _ORDER)], pa.string())
    return known.take(pa.array(codes))


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
