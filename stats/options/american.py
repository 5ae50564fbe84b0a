"""American options by Andersen, Lake and Offengenden, through QuantLib's `QdFpAmericanEngine`.

Andersen, L., Lake, M., Offengenden, D. (2016): High-performance American option pricing. Journal of
Computational Finance 20(1), 39-87. The exercise boundary is the fixed point of an integral equation,
interpolated by Chebyshev polynomials; the price is an integral over it. Units as in `stats.options.european`.
"""

from collections.abc import Callable
from typing import Any

from stats.options.european import BlackScholes, Slopes
from stats.options.quantlib import quantlib

# Points of the boundary's integrals, iterations, nodes of the boundary, points of the price's integral.
_SCHEME = (5, 1, 4, 15)

_ACCURACY = 1e-10
_ITERATIONS = 100
# A smaller premium, in strikes, does not show in ten digits of any derivative.
_NEGLIGIBLE = 1e-12

# Where to start if the price is above every European price.
_WIDE = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

_SPOT_STEP = 0.01
_DEVIATION_STEP = 1e-4
_RATE_STEP = 1e-6


class AndersenLake:
    """American options of one right.

    Not thread-safe: each price first sets the engine's shared quotes.
    """

    def __init__(self, *, is_call: bool) -> None:
        self.european = BlackScholes(is_call=is_call)
        self._is_call = is_call
        ql = quantlib()
        self._last = (1.0, 0.01, 0.01, 0.2)
        self._quotes = [ql.SimpleQuote(number) for number in self._last]
        self._option = _option(ql, is_call=is_call, quotes=self._quotes)

    def value(self, x: float, a: float, b: float, v: float) -> float:
        """The price. Raises `RuntimeError` for arguments that QuantLib refuses.

        One example is a put with b < a < 0.
        """
        for place, number in enumerate((x, a, b, v)):
            if number != self._last[place]:
                self._quotes[place].setValue(number)
        self._last = (x, a, b, v)
        return self._option.NPV()  # type: ignore[no-any-return]

    def premium(self, x: float, a: float, b: float, v: float) -> float:
        """The price of the right to early exercise: American minus European."""
        if self.is_never_early(a, b):
            return 0.0
        return self.value(x, a, b, v) - self.european.value(x, a, b, v)

    def is_never_early(self, a: float, b: float) -> bool:
        """Whether early exercise never pays.

        True for a call if its strike earns at least the underlying's yield, for a put if the underlying earns
        at least the strike's rate.
        """
        earned, paid = (a, b) if self._is_call else (b, a)
        return paid <= 0 and paid <= earned

    def deviation(self, x: float, a: float, b: float, price: float) -> float:
        """The v at which the option has this price. Raises `RuntimeError` if there is none.

        Starts at a v that is not below the solution; then secants within a bracket.
        """
        if self.is_never_early(a, b):
            return self.european.deviation(x, a, b, price)
        highest = self._highest(x, a, b, price)
        excess = self.value(x, a, b, highest) - price
        if excess <= _ACCURACY:
            return highest
        vega = self.european.slopes(x, a, b, highest)[2]
        return _root(lambda v: self.value(x, a, b, v) - price, highest, excess, vega)

    def _highest(self, x: float, a: float, b: float, price: float) -> float:
        """A v whose price is at least `price`: the European solution if there is one."""
        try:
            return self.european.deviation(x, a, b, price)
        except RuntimeError:
            for v in _WIDE:
                if self.value(x, a, b, v) >= price:
                    return v
            raise

    def slopes(self, x: float, a: float, b: float, v: float) -> Slopes:
        """The derivatives as in `BlackScholes.slopes`: European ones plus differences of the premium.

        Central differences in x over 1 % of v each way; forward differences in v (10⁻⁴ of it) and in a
        (10⁻⁶). Only the premium is differenced, which keeps the error a small part of a small part.
        """
        delta, gamma, vega, rho = self.european.slopes(x, a, b, v)
        here = self.premium(x, a, b, v)
        if abs(here) < _NEGLIGIBLE:
            return delta, gamma, vega, rho
        step, wider = x * min(_SPOT_STEP * v, 0.1), v * _DEVIATION_STEP
        above, below = self.premium(x + step, a, b, v), self.premium(x - step, a, b, v)
        return (
            delta + (above - below) / (2 * step),
            gamma + (above - 2 * here + below) / step**2,
            vega + (self.premium(x, a, b, v + wider) - here) / wider,
            rho + (self.premium(x, a + _RATE_STEP, b, v) - here) / _RATE_STEP,
        )


def _root(excess_at: Callable[[float], float], high: float, excess: float, slope: float) -> float:
    """The zero of an increasing function in `(0, high)`; `excess` is its value at `high`.

    Raises `RuntimeError` if there is none.
    """
    low, last, guess = 0.0, high, high - excess / slope if slope > 0 else high / 2
    for _ in range(_ITERATIONS):
        if not low < guess < high:
            guess = (low + high) / 2
        now = excess_at(guess)
        if abs(now) <= _ACCURACY:
            return guess
        low, high = (guess, high) if now < 0 else (low, guess)
        rise = (now - excess) / (guess - last)
        last, excess, guess = guess, now, guess - now / rise if rise > 0 else high
    raise RuntimeError("no volatility gives the price")


def _option(ql: Any, *, is_call: bool, quotes: list[Any]) -> Any:
    """An option of one year and strike 1 with the engine. Its date lies far behind any evaluation date."""
    start, days = ql.Date(1, 1, 2190), ql.Actual365Fixed()
    spot, rate, dividend_yield, deviation = map(ql.QuoteHandle, quotes)
    process = ql.BlackScholesMertonProcess(
        spot,
        ql.YieldTermStructureHandle(ql.FlatForward(start, dividend_yield, days)),
        ql.YieldTermStructureHandle(ql.FlatForward(start, rate, days)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(start, ql.NullCalendar(), deviation, days)),
    )
    right = ql.Option.Call if is_call else ql.Option.Put
    option = ql.VanillaOption(ql.PlainVanillaPayoff(right, 1.0), ql.AmericanExercise(start, start + 365))
    # One fixed-point equation throughout: the engine's own choice changes at |a - b| = 0.001, and differences would see it.
    scheme = ql.QdFpLegendreScheme(*_SCHEME)
    option.setPricingEngine(ql.QdFpAmericanEngine(process, scheme, ql.QdFpAmericanEngine.FP_A))
    return option
