"""American options by Andersen, Lake and Offengenden, through QuantLib's `QdFpAmericanEngine`.

Andersen, L., Lake, M., Offengenden, D. (2016): High-performance American option pricing. Journal of
Computational Finance 20(1), 39-87. The exercise boundary is the fixed point of an integral equation,
interpolated by Chebyshev polynomials; the price is an integral over the boundary. Units: `stats.options.european`.
"""

from collections.abc import Callable
from typing import Any

from stats.options.european import BlackScholes, Slopes, quantlib

# Arguments of `QdFpLegendreScheme`: the number of quadrature points for the boundary, of iterations, of the boundary's
# nodes, and of quadrature points for the price.
_SCHEME = (5, 1, 4, 15)

# The solver's accuracy, per unit of strike, and its maximum number of iterations.
_ACCURACY = 1e-10
_ITERATIONS = 100
# An early-exercise premium below this, per unit of strike, does not change the first ten digits of any derivative.
_NEGLIGIBLE = 1e-12

# If the price is above every European price, the solver starts at the first of these v that gives at least the price.
HIGH_VOLATILITIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

# Steps of the finite differences: _SPOT_STEP · x · v in x (at most x / 10), _VOLATILITY_STEP · v in v, and
# _RATE_STEP in a.
_SPOT_STEP = 0.01
_VOLATILITY_STEP = 1e-4
_RATE_STEP = 1e-6


class AndersenLake:
    """Prices American calls, or American puts. Arguments as in `stats.options.european`.

    Not thread-safe: every pricing call changes the engine's shared quotes.
    """

    def __init__(self, *, is_call: bool) -> None:
        self.european = BlackScholes(is_call=is_call)
        self._is_call = is_call
        ql = quantlib()
        self._last = (1.0, 0.01, 0.01, 0.2)
        self._quotes = [ql.SimpleQuote(value) for value in self._last]
        self._option = _option(ql, is_call=is_call, quotes=self._quotes)

    def value(self, x: float, a: float, b: float, v: float) -> float:
        """Return the price. Raises `RuntimeError` for arguments that QuantLib refuses, such as a put with b < a < 0."""
        for quote, last_value, value in zip(self._quotes, self._last, (x, a, b, v), strict=True):
            if value != last_value:
                quote.setValue(value)
        self._last = (x, a, b, v)
        return self._option.NPV()  # type: ignore[no-any-return]

    def premium(self, x: float, a: float, b: float, v: float) -> float:
        """Return the price of the right to early exercise: American minus European."""
        if self.is_never_early(a, b):
            return 0.0
        return self.value(x, a, b, v) - self.european.value(x, a, b, v)

    def is_never_early(self, a: float, b: float) -> bool:
        """Return whether early exercise never pays.

        For a call, that is so if b is neither positive nor greater than a; for a put, if a is neither positive
        nor greater than b.
        """
        earned, paid = (a, b) if self._is_call else (b, a)
        return paid <= 0 and paid <= earned

    def total_volatility(self, x: float, a: float, b: float, price: float) -> float:
        """Return the v at which the option has this price. Raises `RuntimeError` if there is none.

        Uses the secant method within a bracket. The first v is not below the solution.
        """
        if self.is_never_early(a, b):
            return self.european.total_volatility(x, a, b, price)
        highest = self._highest(x, a, b, price)
        excess = self.value(x, a, b, highest) - price
        if excess <= _ACCURACY:
            return highest
        vega = self.european.slopes(x, a, b, highest)[2]
        return _root(lambda v: self.value(x, a, b, v) - price, highest, excess, vega)

    def _highest(self, x: float, a: float, b: float, price: float) -> float:
        """Return a v at which the option costs at least `price`: the European solution if there is one."""
        try:
            return self.european.total_volatility(x, a, b, price)
        except RuntimeError:
            for v in HIGH_VOLATILITIES:
                if self.value(x, a, b, v) >= price:
                    return v
            raise

    def slopes(self, x: float, a: float, b: float, v: float) -> Slopes:
        """Return the derivatives of `BlackScholes.slopes`: the European ones plus finite differences of the premium.

        Steps: x · v · 1 % (at most x / 10) in x (central), v · 10⁻⁴ in v and 10⁻⁶ in a (both forward). Only the
        premium is differenced; it is small, so the error is small, too.
        """
        delta, gamma, vega, rho = self.european.slopes(x, a, b, v)
        premium = self.premium(x, a, b, v)
        if abs(premium) < _NEGLIGIBLE:
            return delta, gamma, vega, rho
        x_step, v_step = x * min(_SPOT_STEP * v, 0.1), v * _VOLATILITY_STEP
        above, below = self.premium(x + x_step, a, b, v), self.premium(x - x_step, a, b, v)
        return (
            delta + (above - below) / (2 * x_step),
            gamma + (above - 2 * premium + below) / x_step**2,
            vega + (self.premium(x, a, b, v + v_step) - premium) / v_step,
            rho + (self.premium(x, a + _RATE_STEP, b, v) - premium) / _RATE_STEP,
        )

    def slope_on_future(self, x: float, a: float, b: float, v: float) -> float:
        """Return the derivative by a at a constant forward. The premium's is differenced as in `slopes`."""
        premium = self.premium(x, a, b, v)
        moved = premium if abs(premium) < _NEGLIGIBLE else self.premium(x, a + _RATE_STEP, b + _RATE_STEP, v)
        return self.european.slope_on_future(x, a, b, v) + (moved - premium) / _RATE_STEP


def _root(excess_at: Callable[[float], float], high: float, excess: float, slope: float) -> float:
    """Return the zero of an increasing function in `(0, high)`. Raises `RuntimeError` if there is none.

    excess, slope: the function's value and an estimate of its slope at `high`.
    """
    low, last, guess = 0.0, high, high - excess / slope if slope > 0 else high / 2
    for _ in range(_ITERATIONS):
        if not low < guess < high:
            guess = (low + high) / 2
        new_excess = excess_at(guess)
        if abs(new_excess) <= _ACCURACY:
            return guess
        low, high = (guess, high) if new_excess < 0 else (low, guess)
        slope = (new_excess - excess) / (guess - last)
        last, excess, guess = guess, new_excess, guess - new_excess / slope if slope > 0 else high
    raise RuntimeError("no volatility gives the price")


def _option(ql: Any, *, is_call: bool, quotes: list[Any]) -> Any:
    """Return an option of one year and strike 1, with its pricing engine. It starts in 2190, so it never expires."""
    start, days = ql.Date(1, 1, 2190), ql.Actual365Fixed()
    spot, rate, dividend_yield, volatility = map(ql.QuoteHandle, quotes)
    process = ql.BlackScholesMertonProcess(
        spot,
        ql.YieldTermStructureHandle(ql.FlatForward(start, dividend_yield, days)),
        ql.YieldTermStructureHandle(ql.FlatForward(start, rate, days)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(start, ql.NullCalendar(), volatility, days)),
    )
    right = ql.Option.Call if is_call else ql.Option.Put
    option = ql.VanillaOption(ql.PlainVanillaPayoff(right, 1.0), ql.AmericanExercise(start, start + 365))
    # Always use the same equation. By default the engine changes it at |a - b| = 0.001, so that prices jump there.
    scheme = ql.QdFpLegendreScheme(*_SCHEME)
    option.setPricingEngine(ql.QdFpAmericanEngine(process, scheme, ql.QdFpAmericanEngine.FP_A))
    return option
