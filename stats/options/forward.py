"""The forward price for an expiry, implied by put-call parity."""

from dataclasses import dataclass
from math import exp, log, nan

import numpy as np

from stats.options.american import AndersenLake
from stats.options.dividends import CashDividends
from stats.options.escrowed import EscrowedAmerican
from store.arrays import Floats, Integers, Mask

# The median forward of at most this many call-put pairs, those nearest to the money, is used.
NEAREST_PAIRS = 5

# The iteration for American options ends when the forward's relative change is below `_TOLERANCE`.
_TOLERANCE = 1e-7
_ITERATIONS = 50


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


@dataclass(frozen=True, slots=True)
class Carry:
    """The inputs that relate spot and forward; one value per instant or option.

    t: years to the expiry. rate: per year, continuously compounded. spot: the underlying's price, NaN if
    unknown. dividend_yield: used only where spot is unknown, to derive it from the forward. dividends: cash dividends
    until the expiry.
    """

    t: Floats
    rate: Floats
    spot: Floats
    dividend_yield: Floats
    dividends: CashDividends

    def at(self, rows: Integers | Mask) -> "Carry":
        """Return the inputs of these rows."""
        t, rate, spot, dividend_yield = (
            column[rows] for column in (self.t, self.rate, self.spot, self.dividend_yield)
        )
        return Carry(t, rate, spot, dividend_yield, self.dividends.at(rows))


def parity_forwards(pairs: OptionPairs, carry: Carry, *, american: bool) -> Floats:
    """Return the implied forward at each instant.

    European options: the median of strike + (call - put) e^(rate t), with mid prices, over the (up to five) strikes
    whose call and put prices differ least. Of an even number of values the lower middle one is used. Crossed quotes
    are ignored. American options: parity does not hold with a right to early exercise, so the median pair's forward
    is computed again without it (see `_without_early_exercise`). NaN from expiry on, and if at no strike both call
    and put have a bid and an ask.
    """
    if not len(pairs.strikes):
        return np.full(len(carry.t), np.nan)
    call = _mids(pairs.call_bid, pairs.call_ask)
    put = _mids(pairs.put_bid, pairs.put_ask)
    with np.errstate(all="ignore"):
        implied = pairs.strikes + (call - put) * np.exp(carry.rate * carry.t)[:, None]
    usable = np.isfinite(implied) & (implied > 0) & (carry.t > 0)[:, None]
    chosen, has_pair = _middle(implied, np.abs(call - put), usable)
    all_rows = np.arange(len(chosen))
    forwards = np.where(has_pair, implied[all_rows, chosen], np.nan)
    if american and has_pair.any():
        legs = np.stack([pairs.strikes[chosen], call[all_rows, chosen], put[all_rows, chosen]])
        forwards[has_pair] = _without_early_exercise(legs[:, has_pair], forwards[has_pair], carry, has_pair)
    return forwards


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


def _without_early_exercise(legs: Floats, forwards: Floats, carry: Carry, rows: Mask) -> Floats:
    """Return the forwards at which put-call parity holds for the prices less their early-exercise premiums.

    legs: rows strike, call, put. In each iteration the forward implies the dividend yield; the leg out of the money
    implies the volatility; yield and volatility imply the premiums; the prices less the premiums imply the next
    forward. At the fixed point call and put have the same volatility. NaN if there is no fixed point, for example if
    a leg has no time value.
    """
    models = AndersenLake(is_call=True), AndersenLake(is_call=False)
    carry = carry.at(rows)
    net_spot = carry.spot - carry.dividends.total
    columns = np.stack([*legs, carry.t, carry.rate, net_spot, carry.dividend_yield])
    found = []
    for index, (row, forward) in enumerate(zip(columns.T.tolist(), forwards.tolist(), strict=True)):
        parity = _Parity(*row)
        schedule = carry.dividends.schedule(index, parity.t, parity.strike)
        call_model, put_model = (
            [EscrowedAmerican(is_call=is_call, schedule=schedule) for is_call in (True, False)]
            if schedule
            else models
        )
        found.append(parity.fixed_point(call_model, put_model, forward))
    return np.array(found)


@dataclass(frozen=True, slots=True)
class _Parity:
    """A call and a put of one strike, at one instant. net_spot: the spot price less the dividends' present value."""

    strike: float
    call: float
    put: float
    t: float
    rate: float
    net_spot: float
    dividend_yield: float

    def fixed_point(self, call_model: AndersenLake, put_model: AndersenLake, forward: float) -> float:
        """Return the forward to which the iteration from `forward` converges; NaN if it does not converge."""
        early_call = early_put = 0.0
        try:
            for _ in range(_ITERATIONS):
                x, a, b = self._scaled(forward)
                model, price = (
                    (call_model, self.call - early_call)
                    if forward < self.strike
                    else (put_model, self.put - early_put)
                )
                if price <= 0:
                    return nan
                v = model.european.total_volatility(x, a, b, price / self.strike)
                early_call = self.strike * call_model.premium(x, a, b, v)
                early_put = self.strike * put_model.premium(x, a, b, v)
                previous, forward = forward, self._forward(self.call - early_call, self.put - early_put)
                if abs(forward - previous) <= _TOLERANCE * previous:
                    return forward
        except (RuntimeError, ValueError, OverflowError):
            # QuantLib found no volatility, or the forward became zero or negative.
            pass
        return nan

    def _forward(self, call: float, put: float) -> float:
        return self.strike + (call - put) * exp(self.rate * self.t)

    def _scaled(self, forward: float) -> tuple[float, float, float]:
        """Return the models' arguments x, a and b."""
        a = self.rate * self.t
        net_spot = self.net_spot if self.net_spot > 0 else forward * exp(self.dividend_yield * self.t - a)
        return net_spot / self.strike, a, a - log(forward / net_spot)
