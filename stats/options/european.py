"""European options by Black-Scholes-Merton, through QuantLib.

Every quantity is free of units, so that one option of each right serves all: x = spot / strike, a = rate · t,
b = dividend yield · t, v = volatility · √t, and prices per unit of strike. Black, F. (1976): the price
depends on the forward x e^(a - b) and the discount e^(-a) alone.
"""

from math import exp

import numpy as np

from stats.options.inputs import Inputs
from stats.options.quantlib import quantlib
from store.arrays import Floats, Mask


def lowest_prices(inputs: Inputs, american: Mask) -> Floats:
    """What each option is worth without volatility.

    European: max(0, ±(spot e^(-q t) - strike e^(-r t))). American: the most that this is worth at any time up
    to expiry, which may lie between now and then.
    """
    at_expiry = _exercised(inputs, inputs.t)
    with np.errstate(all="ignore"):
        carry = inputs.dividend_yield - inputs.rate
        # Where the derivative by time of what an exercise yields is zero.
        turn = np.log(inputs.dividend_yield * inputs.spot / (inputs.rate * inputs.strike)) / carry
        between = np.where((turn > 0) & (turn < inputs.t), turn, 0.0)
    early = np.maximum(_exercised(inputs, np.zeros_like(inputs.t)), _exercised(inputs, between))
    return np.where(american, np.maximum(early, at_expiry), at_expiry)


def highest_prices(inputs: Inputs, american: Mask) -> Floats:
    """What each option is worth with infinite volatility: a call the underlying, a put its strike.

    European: at expiry, discounted. American: at the better of now and then.
    """
    with np.errstate(all="ignore"):
        most = np.where(inputs.is_call, inputs.spot, inputs.strike)
        then = most * np.exp(-np.where(inputs.is_call, inputs.dividend_yield, inputs.rate) * inputs.t)
    return np.where(american, np.maximum(most, then), then)


def _exercised(inputs: Inputs, t: Floats) -> Floats:
    """What an exercise after `t` years is worth today if nothing moves but the forward; at least zero."""
    with np.errstate(all="ignore"):
        gained = inputs.spot * np.exp(-inputs.dividend_yield * t) - inputs.strike * np.exp(-inputs.rate * t)
    return np.maximum(np.where(inputs.is_call, gained, -gained), 0.0)


Slopes = tuple[float, float, float, float]

_ACCURACY = 1e-14
_ITERATIONS = 100


class BlackScholes:
    """Options of one right that are exercised at expiry."""

    def __init__(self, *, is_call: bool) -> None:
        ql = quantlib()
        self._right = ql.Option.Call if is_call else ql.Option.Put
        self._payoff = ql.PlainVanillaPayoff(self._right, 1.0)
        self._price = ql.blackFormula
        self._deviation = ql.blackFormulaImpliedStdDev
        self._calculator = ql.BlackCalculator
        self._guess = ql.nullDouble()

    def value(self, x: float, a: float, b: float, v: float) -> float:
        """The price. Raises `RuntimeError` for what QuantLib refuses."""
        return self._price(self._right, 1.0, x * exp(a - b), v, exp(-a))  # type: ignore[no-any-return]

    def deviation(self, x: float, a: float, b: float, price: float) -> float:
        """The v at which the option has a price. Raises `RuntimeError` if there is none."""
        found: float = self._deviation(
            self._right, 1.0, x * exp(a - b), price, exp(-a), 0.0, self._guess, _ACCURACY, _ITERATIONS
        )
        return found

    def slopes(self, x: float, a: float, b: float, v: float) -> Slopes:
        """The derivatives by x, by x twice, by v and by a, the last at constant x and b."""
        at = self._calculator(self._payoff, x * exp(a - b), v, exp(-a))
        return at.delta(x), at.gamma(x), at.vega(1.0), at.rho(1.0)
