"""QuantLib called directly: an instrument, a process and an engine per option, in its own units.

Nothing of the program is used. QuantLib counts whole days; where `t` is not a whole number of them, a year of
365 days stands for t, and rate · t, yield · t and volatility · √t for rate, yield and volatility: Black,
Scholes and Merton's model knows no other time.
"""

from dataclasses import dataclass
from math import sqrt

import QuantLib as quantlib  # noqa: N813 a name for a module

START = quantlib.Date(5, 6, 2014)
DAYS = quantlib.Actual365Fixed()


def _curve(rate: float) -> quantlib.YieldTermStructureHandle:
    return quantlib.YieldTermStructureHandle(quantlib.FlatForward(START, rate, DAYS))


@dataclass(frozen=True)
class Option:
    """One option: `t` in years, `rate` and `dividend_yield` continuously compounded."""

    is_call: bool
    spot: float
    strike: float
    t: float
    rate: float
    dividend_yield: float
    american: bool = False

    def at(self, volatility: float) -> quantlib.VanillaOption:
        """The instrument with its engine."""
        quantlib.Settings.instance().evaluationDate = START
        process = quantlib.BlackScholesMertonProcess(
            quantlib.QuoteHandle(quantlib.SimpleQuote(self.spot)),
            _curve(self.dividend_yield * self.t),
            _curve(self.rate * self.t),
            quantlib.BlackVolTermStructureHandle(
                quantlib.BlackConstantVol(START, quantlib.NullCalendar(), volatility * sqrt(self.t), DAYS)
            ),
        )
        right = quantlib.Option.Call if self.is_call else quantlib.Option.Put
        end = START + 365
        exercise = quantlib.AmericanExercise(START, end) if self.american else quantlib.EuropeanExercise(end)
        option = quantlib.VanillaOption(quantlib.PlainVanillaPayoff(right, self.strike), exercise)
        accurate = quantlib.QdFpAmericanEngine.accurateScheme()
        engine = (
            quantlib.QdFpAmericanEngine(process, accurate)
            if self.american
            else quantlib.AnalyticEuropeanEngine(process)
        )
        option.setPricingEngine(engine)
        return option

    def price(self, volatility: float) -> float:
        """The price at a volatility."""
        return float(self.at(volatility).NPV())

    def volatility(self, price: float) -> float:
        """The volatility at a price, by halving."""
        low, high = 1e-4, 10.0
        while high - low > 1e-12:
            middle = (low + high) / 2
            low, high = (middle, high) if self.price(middle) < price else (low, middle)
        return (low + high) / 2

    def greeks(self, volatility: float) -> dict[str, float]:
        """In the program's units: European ones QuantLib's own, American ones by central differences of its prices."""
        found = self._differences(volatility) if self.american else self._analytic(volatility)
        delta, gamma, vega, rho, theta = found
        return {"delta": delta, "gamma": gamma, "theta": theta / 365, "vega": vega / 100, "rho": rho / 100}

    def _analytic(self, volatility: float) -> tuple[float, ...]:
        option, t = self.at(volatility), self.t
        return (
            option.delta(), option.gamma(), option.vega() * sqrt(t), option.rho() * t, option.theta() / t
        )  # fmt: skip

    def _differences(self, volatility: float) -> tuple[float, ...]:
        def slope(name: str, step: float) -> tuple[float, float]:
            base = getattr(self, name)
            up, here, down = (
                Option(**{**vars(self), name: base + move}).price(volatility) for move in (step, 0.0, -step)
            )
            return (up - down) / (2 * step), (up - 2 * here + down) / step**2

        move = 1e-3 * volatility
        delta, gamma = slope("spot", self.spot * volatility * sqrt(self.t) / 50)
        vega = (self.price(volatility + move) - self.price(volatility - move)) / (2 * move)
        return delta, gamma, vega, slope("rate", 1e-5 / self.t)[0], -slope("t", self.t * 1e-3)[0]
