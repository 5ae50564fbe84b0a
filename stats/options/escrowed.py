"""American options on an underlying that pays cash dividends, through QuantLib's `FdBlackScholesVanillaEngine`.

Andersen and Lake's engine has one exercise boundary without jumps, so it takes no cash dividends. Finite differences with
the escrowed model do: the price less the dividends' present value is the process, and an exercise is paid with the
dividends still to come. Units: `stats.options.european`; x is without the dividends.
"""

from math import exp
from typing import Any

from stats.options.american import AndersenLake
from stats.options.european import Slopes, quantlib

# The numbers of points in time and in price.
_GRID = (50, 100)
# QuantLib's days of the option's life. Ex-dates are rounded to them.
_DAYS = 3_650
_YEARS = _DAYS / 365
_START_YEAR = 2150

# Steps of the central differences: _VOLATILITY_STEP · v in v, and _RATE_STEP in a.
_VOLATILITY_STEP = 0.01
_RATE_STEP = 1e-3


class EscrowedAmerican(AndersenLake):
    """Prices American calls, or American puts, with cash dividends.

    schedule: for each dividend the part of the option's life until its ex-date, and its present value per unit of strike.
    """

    def __init__(self, *, is_call: bool, schedule: tuple[tuple[float, float], ...]) -> None:
        super().__init__(is_call=is_call)
        self._schedule = tuple(
            (min(max(round(part * _DAYS), 1), _DAYS - 1), value) for part, value in schedule
        )

    def value(self, x: float, a: float, b: float, v: float) -> float:
        """Return the price. Raises `RuntimeError` for arguments that QuantLib refuses."""
        return self._solved(x, a, b, v, a).NPV()  # type: ignore[no-any-return]

    def is_never_early(self, a: float, b: float) -> bool:
        """Return False: a call may be exercised before any ex-date, a put at any time."""
        return False

    def slopes(self, x: float, a: float, b: float, v: float) -> Slopes:
        """Return the derivatives of `BlackScholes.slopes`: of x from the grid, of v and a by central differences."""
        step = v * _VOLATILITY_STEP
        option = self._solved(x, a, b, v, a)
        by_x = option.delta()
        by_v = (self.value(x, a, b, v + step) - self.value(x, a, b, v - step)) / (2 * step)
        above, below = (self._at_rate(x, a, b, v, a + move) for move in (_RATE_STEP, -_RATE_STEP))
        # The difference has the change of the dividends' present values; without it x is constant.
        discounted = sum(day / _DAYS * value for day, value in self._schedule)
        return by_x, option.gamma(), by_v, (above - below) / (2 * _RATE_STEP) - by_x * discounted

    def _at_rate(self, x: float, a: float, b: float, v: float, new_a: float) -> float:
        return self._solved(x, new_a, b, v, a).NPV()  # type: ignore[no-any-return]

    def _solved(self, x: float, a: float, b: float, v: float, known_a: float) -> Any:
        """Return QuantLib's option at the spot price of `x` and the schedule, whose values are those at `known_a`."""
        ql = quantlib()
        start, days = ql.Date(1, 1, _START_YEAR), ql.Actual365Fixed()
        spot = x + sum(value for _, value in self._schedule)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(spot)),
            ql.YieldTermStructureHandle(ql.FlatForward(start, b / _YEARS, days)),
            ql.YieldTermStructureHandle(ql.FlatForward(start, a / _YEARS, days)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(start, ql.NullCalendar(), v / _YEARS**0.5, days)
            ),
        )
        # The engine discounts at the rate less the yield; present values are at the rate (Hull).
        dividends = ql.DividendVector(
            [start + day for day, _ in self._schedule],
            [value * exp((known_a - b) * day / _DAYS) for day, value in self._schedule],
        )
        right = ql.Option.Call if self._is_call else ql.Option.Put
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(right, 1.0), ql.AmericanExercise(start, start + _DAYS)
        )
        escrowed = ql.FdBlackScholesVanillaEngine.Escrowed
        scheme = ql.FdmSchemeDesc.Douglas()
        option.setPricingEngine(
            ql.FdBlackScholesVanillaEngine(process, dividends, *_GRID, 0, scheme, False, -1.0, escrowed)
        )
        return option
