"""European options by Black-Scholes-Merton, through QuantLib, and the bounds of option prices.

All arguments are dimensionless: x = spot / strike, a = rate · t, b = dividend yield · t, v = volatility · √t,
and prices are per unit of strike. So one call of strike 1 prices all calls, and one put of strike 1 all puts. Black, F.
(1976): besides v, the price depends only on the forward x e^(a - b) and the discount e^(-a).
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from math import exp
from typing import Any

import numpy as np

from stats.options.inputs import Inputs
from store.arrays import Floats, Mask


@cache
def quantlib() -> Any:
    """Return the module `QuantLib`, imported at first use: processes that price no options do not load it."""
    return import_module("QuantLib")


def lowest_prices(inputs: Inputs, american: Mask) -> Floats:
    """Return each option's value at zero volatility.

    European: max(0, ±(net spot e^(-q t) - strike e^(-r t))). American: the maximum of this over all exercise times
    from now to expiry; an exercise before an ex-date also has the dividends from then on.
    """
    at_expiry = _exercised(inputs, inputs.t, np.zeros_like(inputs.t))
    with np.errstate(all="ignore"):
        carry = inputs.dividend_yield - inputs.rate
        # The exercise time at which the derivative of the exercise value with respect to time is zero.
        turn = np.log(inputs.dividend_yield * inputs.net_spot / (inputs.rate * inputs.strike)) / carry
        between = np.where((turn > 0) & (turn < inputs.t), turn, 0.0)
    early, years, values = at_expiry, inputs.dividends.years, inputs.dividends.values
    for exercise in (np.zeros_like(inputs.t), between):
        for is_left in (years > exercise[:, None], years >= exercise[:, None]):
            early = np.maximum(
                early, _exercised(inputs, exercise, np.where(is_left, values, 0.0).sum(axis=1))
            )
    from_each = values[:, ::-1].cumsum(axis=1)[:, ::-1]
    for exercise, before, paid in zip(
        np.minimum(years, inputs.t[:, None]).T, from_each.T, values.T, strict=True
    ):
        for dividends in (before, before - paid):
            early = np.maximum(early, _exercised(inputs, exercise, dividends))
    return np.where(american, early, at_expiry)


def highest_prices(inputs: Inputs, american: Mask) -> Floats:
    """Return each option's value at infinite volatility: the underlying for a call, the strike for a put.

    European: discounted from expiry, without dividends. American: discounted or not, whichever is larger; with dividends
    an upper bound.
    """
    with np.errstate(all="ignore"):
        undiscounted = np.where(inputs.is_call, inputs.spot, inputs.strike)
        rate = np.where(inputs.is_call, inputs.dividend_yield, inputs.rate)
        discounted = np.where(inputs.is_call, inputs.net_spot, inputs.strike) * np.exp(-rate * inputs.t)
    return np.where(american, np.maximum(undiscounted, discounted), discounted)


def _exercised(inputs: Inputs, t: Floats, dividends: Floats) -> Floats:
    """Return the present value of an exercise after `t` years at zero volatility; at least zero.

    dividends: the present value of those still to come.
    """
    with np.errstate(all="ignore"):
        stock = inputs.net_spot * np.exp(-inputs.dividend_yield * t) + dividends
        gained = stock - inputs.strike * np.exp(-inputs.rate * t)
    return np.maximum(np.where(inputs.is_call, gained, -gained), 0.0)


# The derivatives that `BlackScholes.slopes` returns, in its order.
Slopes = tuple[float, float, float, float]

# The solver's accuracy in v, and its maximum number of iterations.
_ACCURACY = 1e-14
_ITERATIONS = 100


class BlackScholes:
    """Prices European calls, or European puts."""

    def __init__(self, *, is_call: bool) -> None:
        ql = quantlib()
        self._right = ql.Option.Call if is_call else ql.Option.Put
        self._payoff = ql.PlainVanillaPayoff(self._right, 1.0)
        self._price = ql.blackFormula
        self._total_volatility = ql.blackFormulaImpliedStdDev
        self._calculator = ql.BlackCalculator
        self._guess = ql.nullDouble()

    def value(self, x: float, a: float, b: float, v: float) -> float:
        """Return the price. Raises `RuntimeError` for arguments that QuantLib refuses."""
        return self._price(self._right, 1.0, x * exp(a - b), v, exp(-a))  # type: ignore[no-any-return]

    def total_volatility(self, x: float, a: float, b: float, price: float) -> float:
        """Return the v at which the option has this price. Raises `RuntimeError` if there is none."""
        v: float = self._total_volatility(
            self._right, 1.0, x * exp(a - b), price, exp(-a), 0.0, self._guess, _ACCURACY, _ITERATIONS
        )
        return v

    def slopes(self, x: float, a: float, b: float, v: float) -> Slopes:
        """Return four derivatives of the price: by x, twice by x, by v, and by a (at constant x and b)."""
        option = self._calculator(self._payoff, x * exp(a - b), v, exp(-a))
        return option.delta(x), option.gamma(x), option.vega(1.0), option.rho(1.0)

    def slope_on_future(self, x: float, a: float, b: float, v: float) -> float:
        """Return the derivative by a at a constant forward (Black 1976): b moves with a, so only the discount changes."""
        return -self.value(x, a, b, v)


_Method = Callable[[BlackScholes, float, float, float, float], float | Slopes]


class EuropeanColumns:
    """`BlackScholes` for columns of options. is_call: one value per option.

    An option for which `BlackScholes` raises gets NaN in every result.
    """

    def __init__(self, is_call: Mask) -> None:
        self._is_call = is_call.tolist()
        self._models = {right: BlackScholes(is_call=right) for right in set(self._is_call)}

    def values(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return the prices."""
        values: Floats = self._results(BlackScholes.value, 1, x, a, b, v)[0]
        return values

    def total_volatilities(self, x: Floats, a: Floats, b: Floats, price: Floats) -> Floats:
        """Return the v at which the options have these prices."""
        solutions: Floats = self._results(BlackScholes.total_volatility, 1, x, a, b, price)[0]
        return solutions

    def slopes(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return a row for each of `Slopes`."""
        return self._results(BlackScholes.slopes, 4, x, a, b, v)

    def _results(self, method: _Method, count: int, *columns: Floats) -> Floats:
        results = np.full((len(self._is_call), count), np.nan)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for index, (is_call, row) in enumerate(zip(self._is_call, rows, strict=True)):
            with suppress(RuntimeError, OverflowError):
                results[index] = method(self._models[is_call], *row)
        return results.T
