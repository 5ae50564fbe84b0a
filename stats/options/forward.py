"""The forward price for an expiry, implied by put-call parity."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stats.options.american import AndersenLake
from stats.options.dividends import CashDividends
from stats.options.escrowed import EscrowedOptions
from stats.options.european import EuropeanColumns
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
    carry, found = carry.at(rows), np.empty(legs.shape[1])
    strike, call, put = legs
    parity = _Parity(strike, call, put, carry)
    has_dividends = carry.dividends.total > 0
    for is_escrowed in (False, True):
        group = np.flatnonzero(has_dividends == is_escrowed)
        premiums_of = _escrowed_premiums if is_escrowed else _andersen_lake_premiums()
        with np.errstate(all="ignore"):
            found[group] = parity.at(group).fixed_points(forwards[group], premiums_of)
    return found


@dataclass(frozen=True, slots=True)
class _Parity:
    """Columns: a call and a put of one strike, at one instant. `forwards` and `scaled` have a value for each row."""

    strike: Floats
    call: Floats
    put: Floats
    carry: Carry

    def at(self, rows: Integers) -> "_Parity":
        """Return these rows."""
        return _Parity(self.strike[rows], self.call[rows], self.put[rows], self.carry.at(rows))

    def fixed_points(self, forward: Floats, premiums_of: "_PremiumsOf") -> Floats:
        """Return the forwards to which the iterations from `forward` converge; NaN where they do not converge."""
        found, rows = np.full(len(forward), np.nan), np.arange(len(forward))
        early = np.zeros((2, len(forward)))
        for _ in range(_ITERATIONS):
            if not len(rows):
                break
            parity = self.at(rows)
            early = parity.strike * premiums_of(parity, *parity.scaled(forward, early))
            previous, forward = forward, parity.forwards(early)
            is_found = np.abs(forward - previous) <= _TOLERANCE * previous
            found[rows[is_found]] = forward[is_found]
            goes_on = ~is_found & (forward > 0)
            rows, forward, early = rows[goes_on], forward[goes_on], early[:, goes_on]
        return found

    def forwards(self, early: Floats) -> Floats:
        """Return the forwards by parity of the prices less the premiums of the calls and of the puts."""
        call, put = self.call - early[0], self.put - early[1]
        forwards: Floats = self.strike + (call - put) * np.exp(self.carry.rate * self.carry.t)
        return forwards

    def scaled(self, forward: Floats, early: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the models' arguments x, a, b and v. early: the premiums of the calls and of the puts."""
        carry, a = self.carry, self.carry.rate * self.carry.t
        net_spot = carry.spot - carry.dividends.total
        net_spot = np.where(net_spot > 0, net_spot, forward * np.exp(carry.dividend_yield * carry.t - a))
        x, b = net_spot / self.strike, a - np.log(forward / net_spot)
        is_call = forward < self.strike
        price = np.where(is_call, self.call - early[0], self.put - early[1]) / self.strike
        price = np.where(price > 0, price, np.nan)
        return x, a, b, EuropeanColumns(is_call).total_volatilities(x, a, b, price)


# From the rows, x, a, b and v to the premiums of early exercise of the calls and of the puts, per unit of strike. NaN
# where there is none.
_PremiumsOf: TypeAlias = Callable[[_Parity, Floats, Floats, Floats, Floats], Floats]


def _escrowed_premiums(parity: _Parity, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
    parts, values = (
        np.tile(each, (1, 2)) for each in parity.carry.dividends.scaled(parity.carry.t, parity.strike)
    )
    options = EscrowedOptions(np.repeat([True, False], len(x)), parts, values)
    premiums: Floats = options.premiums(*(np.tile(each, 2) for each in (x, a, b, v))).reshape(2, -1)
    return premiums


def _andersen_lake_premiums() -> _PremiumsOf:
    models = AndersenLake(is_call=True), AndersenLake(is_call=False)

    def premiums(_: _Parity, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        found = np.full((2, len(x)), np.nan)
        for index, row in enumerate(zip(x.tolist(), a.tolist(), b.tolist(), v.tolist(), strict=True)):
            # QuantLib refuses some arguments, such as an unknown volatility.
            with suppress(RuntimeError):
                found[:, index] = [model.premium(*row) for model in models]
        return found

    return premiums
