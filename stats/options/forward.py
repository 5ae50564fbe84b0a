"""The forward of an expiry, implied by put-call parity."""

from dataclasses import dataclass
from math import exp, log, nan

import numpy as np

from stats.options.american import AndersenLake
from store.arrays import Floats, Integers, Mask

# Number of pairs nearest the money whose median is taken.
NEAREST_PAIRS = 5

# Relative change below which the de-Americanised forward has converged.
_STILL = 1e-7
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class OptionPairs:
    """Quotes of the calls and puts of one expiry, by strike, at several instants.

    strikes: ascending. The others: one row per instant, one column per strike; NaN where a side is missing.
    """

    strikes: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats


@dataclass(frozen=True, slots=True)
class Carry:
    """The carry from each instant to the expiry; one value per instant.

    t: years. rate: per year, continuously compounded. spot: price of the underlying, NaN if not known.
    dividend_yield: used to derive spot from the forward where spot is not known.
    """

    t: Floats
    rate: Floats
    spot: Floats
    dividend_yield: Floats


def parity_forwards(pairs: OptionPairs, carry: Carry, *, american: bool) -> Floats:
    """The implied forward at each instant.

    NaN where no strike has both a call and a put quoted on both sides, and at or after expiry. European:
    strike + (call - put) e^(rate t), of mid prices, at up to five strikes where call and put cost most nearly
    the same; the median of these (of an even number the lower middle one). Crossed quotes are ignored.
    American: parity holds for prices without early exercise only, so the median pair is priced without it:
    see `_without_early_exercise`.
    """
    if not len(pairs.strikes):
        return np.full(len(carry.t), np.nan)
    call = _mids(pairs.call_bid, pairs.call_ask)
    put = _mids(pairs.put_bid, pairs.put_ask)
    with np.errstate(all="ignore"):
        implied = pairs.strikes + (call - put) * np.exp(carry.rate * carry.t)[:, None]
    usable = np.isfinite(implied) & (implied > 0) & (carry.t > 0)[:, None]
    chosen, has_pair = _middle(implied, np.abs(call - put), usable)
    every = np.arange(len(chosen))
    forwards = np.where(has_pair, implied[every, chosen], np.nan)
    if american and has_pair.any():
        legs = np.stack([pairs.strikes[chosen], call[every, chosen], put[every, chosen]])
        forwards[has_pair] = _without_early_exercise(legs[:, has_pair], forwards[has_pair], carry, has_pair)
    return forwards


def _mids(bid: Floats, ask: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(bid <= ask, bid / 2 + ask / 2, np.nan)


def _middle(implied: Floats, distance: Floats, usable: Mask) -> tuple[Integers, Mask]:
    """Each row's column with the median implied forward among the nearest strikes.

    The mask tells which rows have one.
    """
    count = min(NEAREST_PAIRS, implied.shape[1])
    nearest = np.argsort(np.where(usable, distance, np.inf), axis=1, kind="stable")[:, :count]
    values = np.where(usable, implied, np.inf)
    by_value = np.argsort(np.take_along_axis(values, nearest, axis=1), axis=1, kind="stable")
    heard = np.minimum(usable.sum(axis=1), count)
    middle = np.take_along_axis(by_value, (np.maximum(heard, 1) - 1)[:, None] // 2, axis=1)
    return np.take_along_axis(nearest, middle, axis=1)[:, 0].astype(np.int64), heard > 0


def _without_early_exercise(legs: Floats, forwards: Floats, carry: Carry, rows: Mask) -> Floats:
    """The forwards at which parity holds once both legs are priced without early exercise.

    legs: rows strike, call, put. A fixed point: the forward gives the dividend yield; the leg out of the
    money gives the volatility; both give the early-exercise premiums; prices minus premiums give the forward.
    At the end call and put have one volatility. NaN where no such forward exists, for example where a leg has
    no time value.
    """
    call_model, put_model = AndersenLake(is_call=True), AndersenLake(is_call=False)
    known = (carry.t, carry.rate, carry.spot, carry.dividend_yield)
    columns = np.stack([*legs, *(column[rows] for column in known)])
    parities = [_Parity(*row) for row in columns.T.tolist()]
    return np.array(
        [
            parity.fixed_point(call_model, put_model, forward)
            for parity, forward in zip(parities, forwards.tolist(), strict=True)
        ]
    )


@dataclass(frozen=True, slots=True)
class _Parity:
    """One pair at one instant."""

    strike: float
    call: float
    put: float
    t: float
    rate: float
    spot: float
    dividend_yield: float

    def fixed_point(self, call_model: AndersenLake, put_model: AndersenLake, forward: float) -> float:
        """The forward that the iteration from `forward` ends at; NaN if it does not converge."""
        early_call = early_put = 0.0
        try:
            for _ in range(_ROUNDS):
                x, a, b = self._scaled(forward)
                model, price = (
                    (call_model, self.call - early_call)
                    if forward < self.strike
                    else (put_model, self.put - early_put)
                )
                if price <= 0:
                    return nan
                v = model.european.deviation(x, a, b, price / self.strike)
                early_call = self.strike * call_model.premium(x, a, b, v)
                early_put = self.strike * put_model.premium(x, a, b, v)
                before, forward = forward, self._forward(self.call - early_call, self.put - early_put)
                if abs(forward - before) <= _STILL * before:
                    return forward
        except (RuntimeError, ValueError, OverflowError):
            # QuantLib found no volatility, or the forward left the positive numbers.
            pass
        return nan

    def _forward(self, call: float, put: float) -> float:
        return self.strike + (call - put) * exp(self.rate * self.t)

    def _scaled(self, forward: float) -> tuple[float, float, float]:
        """x, a and b of the models."""
        a = self.rate * self.t
        spot = self.spot if self.spot > 0 else forward * exp(self.dividend_yield * self.t - a)
        return spot / self.strike, a, a - log(forward / spot)
