"""The inputs for pricing options, and the reasons why an option has no implied volatility."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Floats, Integers, Mask
from store.rounding import midpoints

# An option with more ex-dates before its expiry is not priced: each is a step of the lattice. 128 are more than two years
# of weekly dividends.
EX_DATES_LIMIT = 128


@dataclass(frozen=True, slots=True)
class CashDividends:
    """Dividends between instants and expiries: a row for each option or instant, columns for its ex-dates.

    years: from the instant until the ex-date, ascending in each row. values: present values, per unit of the
    underlying; 0 for no dividend, NaN in a row whose dividends are unknown.
    """

    years: Floats
    values: Floats

    @classmethod
    def none(cls, count: int) -> "CashDividends":
        """Return `count` rows without dividends."""
        return cls(np.zeros((count, 0)), np.zeros((count, 0)))

    @property
    def total(self) -> Floats:
        """The sum of the present values of each row."""
        total: Floats = self.values.sum(axis=1)
        return total

    def at(self, rows: Integers | Mask) -> "CashDividends":
        """Return these rows."""
        return CashDividends(self.years[rows], self.values[rows])

    def scaled(self, t: Floats, strike: Floats) -> tuple[Floats, Floats]:
        """Return a row for each dividend: the part of the `t` years until it, and its present value per unit of strike.

        Both are 0 for dividends of value 0.
        """
        is_paid = self.values > 0
        parts = np.where(is_paid, np.minimum(self.years / t[:, None], 1.0), 0.0)
        return parts.T, (self.values / strike[:, None]).T


# A column of reasons: `Reason.code` of each row, or `SOLVED`.
Codes: TypeAlias = npt.NDArray[np.int8]

SOLVED = 0


class Reason(StrEnum):
    """Why an option has no implied volatility, in the order of the checks.

    expired: the last-trade instant has passed. no_quote: neither bid nor ask. one_sided: only one of them.
    no_underlying: neither the underlying's price nor a forward is known. below_intrinsic: the price is at or
    below the value at zero volatility. above_maximum: the price is at or above the value at infinite
    volatility. no_solution: an input is outside the model's range, or the solver found no volatility.
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
        """The reason's number in a column of codes; never `SOLVED`."""
        return _ORDER.index(self) + 1


_ORDER = tuple(Reason)


def mark(codes: Codes, where: npt.NDArray[np.bool_], reason: Reason) -> None:
    """Write a reason, in place, into the rows selected by `where` that have no reason yet."""
    codes[where & (codes == SOLVED)] = reason.code


def words(codes: Codes) -> pa.Array:
    """Return the reasons as a text column; null for `SOLVED`."""
    texts = pa.array([None, *map(str, _ORDER)], pa.string())
    return texts.take(pa.array(codes))


class ForwardSource(StrEnum):
    """How a forward was computed: by put-call parity from quotes, or from spot, rate and dividend yield."""

    PARITY = "parity"
    SPOT = "spot"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Columns of equal length, one row per option and instant. NaN means unknown.

    price: the option's price, per unit of the underlying. spot, forward: prices of the underlying now and for
    delivery at expiry. t: years to the last-trade instant, at least 0. rate, dividend_yield: per year,
    continuously compounded; forward = net_spot · e^((rate - dividend_yield) t). by_parity: whether the forward
    comes from put-call parity or, if false, from spot. dividends: cash dividends until the expiry. on_future: whether the
    underlying is a future, whose price does not depend on the rate.
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
    dividends: CashDividends
    on_future: bool = False

    @property
    def net_spot(self) -> Floats:
        """The spot price less the present value of the dividends."""
        return self.spot - self.dividends.total

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
    dividends: CashDividends | None = None,
    on_future: bool = False,
) -> Inputs:
    """Make inputs. Each of forward, spot and dividend yield can be computed from the other two and the rate.

    With a parity forward and spot, the dividend yield is computed and the given one is ignored. With a parity
    forward but no spot, spot is computed from the given yield. Without a parity forward, or at t = 0, the forward is
    computed from spot and the given yield.
    """
    rates = np.broadcast_to(np.asarray(rate, float), price.shape)
    yields = np.broadcast_to(np.asarray(dividend_yield, float), price.shape)
    if parity_forward is None:
        parity_forward = np.full(price.shape, np.nan)
    dividends = CashDividends.none(len(price)) if dividends is None else dividends
    paid = dividends.total
    with np.errstate(all="ignore"):
        by_parity = (parity_forward > 0) & (t > 0)
        spots = np.where(by_parity & ~(spot > 0), parity_forward * np.exp((yields - rates) * t) + paid, spot)
        implied_yields = rates - np.log(parity_forward / (spots - paid)) / t
        yields = np.where(by_parity & (spot > 0), implied_yields, yields)
        forward = np.where(by_parity, parity_forward, (spots - paid) * np.exp((rates - yields) * t))
    return Inputs(price, spots, forward, strike, t, rates, yields, is_call, by_parity, dividends, on_future)


def mid_prices(bid: Floats, ask: Floats) -> tuple[Floats, Codes]:
    """Return the mid prices, also of locked and crossed quotes, and reason codes.

    A row with a missing side (NaN) has the price NaN and a reason.
    """
    codes = np.full(bid.shape, SOLVED, np.int8)
    has_bid, has_ask = np.isfinite(bid), np.isfinite(ask)
    mark(codes, ~has_bid & ~has_ask, Reason.NO_QUOTE)
    mark(codes, has_bid ^ has_ask, Reason.ONE_SIDED)
    return midpoints(bid, ask), codes
