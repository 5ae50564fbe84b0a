"""Cash dividends by the escrowed model, against QuantLib's engines called directly."""

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import pytest
import QuantLib as quantlib  # noqa: N813 a name for a module

from stats.options.escrowed import EscrowedOptions
from stats.options.inputs import SOLVED, CashDividends, Inputs, make_inputs, words
from stats.options.pricing import valuation

pytestmark = pytest.mark.system

START, DAYS = quantlib.Date(5, 6, 2014), quantlib.Actual365Fixed()
SPOT, RATE, YIELD, VOLATILITY = 100.0, 0.05, 0.0, 0.25
SCHEDULE = ((40, 1.5), (130, 1.6))
LIFE = 200


@dataclass(frozen=True)
class Market:
    """What QuantLib prices with; `moved` changes one input."""

    is_call: bool
    strike: float
    american: bool
    spot: float = SPOT
    rate: float = RATE
    volatility: float = VOLATILITY
    passed: int = 0

    def moved(self, **changes: float) -> "Market":
        return Market(**{**vars(self), **changes})

    def option(self) -> Any:
        """QuantLib's option, with a fine grid if it is American."""
        quantlib.Settings.instance().evaluationDate = START + self.passed
        start = START + self.passed
        curve, paid = (
            quantlib.YieldTermStructureHandle(quantlib.FlatForward(start, rate, DAYS))
            for rate in (self.rate, YIELD)
        )
        process = quantlib.BlackScholesMertonProcess(
            quantlib.QuoteHandle(quantlib.SimpleQuote(self.spot)),
            paid,
            curve,
            quantlib.BlackVolTermStructureHandle(
                quantlib.BlackConstantVol(start, quantlib.NullCalendar(), self.volatility, DAYS)
            ),
        )
        dividends = quantlib.DividendVector(
            [START + day for day, _ in SCHEDULE], [amount for _, amount in SCHEDULE]
        )
        right = quantlib.Option.Call if self.is_call else quantlib.Option.Put
        end = START + LIFE
        exercise = quantlib.AmericanExercise(start, end) if self.american else quantlib.EuropeanExercise(end)
        option = quantlib.VanillaOption(quantlib.PlainVanillaPayoff(right, self.strike), exercise)
        if self.american:
            option.setPricingEngine(
                quantlib.FdBlackScholesVanillaEngine(
                    process, dividends, 400, 500, 0, quantlib.FdmSchemeDesc.Douglas(), False, -1.0,
                    quantlib.FdBlackScholesVanillaEngine.Escrowed,
                )
            )  # fmt: skip
        else:
            option.setPricingEngine(quantlib.AnalyticDividendEuropeanEngine(process, dividends))
        return option

    def price(self) -> float:
        return float(self.option().NPV())

    def greeks(self) -> dict[str, float]:
        """Delta and gamma of QuantLib; the others by central differences of its prices."""
        option = self.option()

        def slope(name: str, step: float) -> float:
            up, down = (self.moved(**{name: getattr(self, name) + move}).price() for move in (step, -step))
            return (up - down) / (2 * step)

        return {
            "delta": option.delta(),
            "gamma": option.gamma(),
            "vega": slope("volatility", 0.005) / 100,
            "rho": slope("rate", 0.002) / 100,
            "theta": (self.moved(passed=2).price() - self.price()) / 2,
        }


def dividends(count: int, *, rate: float = RATE) -> CashDividends:
    years = np.array([[day / 365 for day, _ in SCHEDULE]])
    values = np.array([[amount * exp(-rate * day / 365) for day, amount in SCHEDULE]])
    return CashDividends(years.repeat(count, axis=0), values.repeat(count, axis=0))


def inputs_of(markets: list[Market], prices: list[float]) -> Inputs:
    count = len(markets)
    return make_inputs(
        price=np.array(prices),
        spot=np.full(count, SPOT),
        strike=np.array([market.strike for market in markets]),
        t=np.full(count, LIFE / 365),
        rate=RATE,
        dividend_yield=YIELD,
        is_call=np.array([market.is_call for market in markets]),
        dividends=dividends(count),
    )


CHAIN = {
    american: [
        Market(is_call, strike, american) for strike in (85.0, 100.0, 112.0) for is_call in (True, False)
    ]
    for american in (False, True)
}


@pytest.mark.parametrize("american", [False, True], ids=["european", "american"])
def test_volatility_and_greeks_are_quantlib_s(american: bool):
    markets = CHAIN[american]
    inputs = inputs_of(markets, [market.price() for market in markets])
    found = valuation(inputs, np.full(len(markets), american), np.full(len(markets), SOLVED, np.int8))
    assert words(found.reason).null_count == len(markets)
    assert found.iv == pytest.approx([VOLATILITY] * len(markets), abs=2e-4 if american else 1e-9)
    # The errors, as a part of the value and at least of a hundredth.
    part = (
        {"gamma": 1e-2, "theta": 2e-2, "rho": 2e-2}
        if american
        else {"theta": 2e-2, "vega": 1e-3, "rho": 1e-3}
    )
    for row, market in enumerate(markets):
        for name, value in market.greeks().items():
            wanted = pytest.approx(
                value, abs=part.get(name, 1e-2 if american else 1e-4) * max(abs(value), 0.01)
            )
            assert getattr(found, name)[row] == wanted, (market, name)


def test_the_forward_is_of_the_spot_without_the_dividends():
    paid = sum(amount * exp(-RATE * day / 365) for day, amount in SCHEDULE)
    inputs = inputs_of(CHAIN[False], [1.0] * 6)
    assert inputs.forward == pytest.approx((SPOT - paid) * exp((RATE - YIELD) * LIFE / 365))


def test_a_call_may_be_exercised_before_an_ex_date():
    """Without a yield and without dividends that never pays."""
    deep = Market(True, 60.0, True)
    assert deep.price() > Market(True, 60.0, False).price() + 0.5
    inputs = inputs_of([deep], [deep.price() + 0.3])
    found = valuation(inputs, np.array([True]), np.array([SOLVED], np.int8))
    assert found.iv[0] > VOLATILITY
    below = inputs_of([deep], [39.9])
    assert words(valuation(below, np.array([True]), np.array([SOLVED], np.int8)).reason)[0].as_py() == (
        "below_intrinsic"
    )


def test_dividends_that_exceed_the_spot_have_no_solution():
    few = inputs_of([Market(True, 2.0, True)], [1.0])
    spotless = make_inputs(
        price=few.price, spot=np.array([2.0]), strike=few.strike, t=few.t, rate=RATE, dividend_yield=0.0,
        is_call=few.is_call, dividends=few.dividends,
    )  # fmt: skip
    found = valuation(spotless, np.array([True]), np.array([SOLVED], np.int8))
    assert words(found.reason)[0].as_py() == "no_solution"


def test_options_of_one_call_do_not_change_each_other():
    """Rows with fewer dividends have more instants in company; a chunk has 256 options."""
    markets = CHAIN[True] * 60
    inputs = inputs_of(markets, [market.price() for market in CHAIN[True]] * 60)
    inputs.dividends.values[::7, 1] = 0.0
    found = valuation(inputs, np.full(len(markets), True), np.full(len(markets), SOLVED, np.int8))
    for row in (0, 7, 300):
        alone = inputs_of([markets[row]], [inputs.price[row]])
        alone.dividends.values[:] = inputs.dividends.values[row]
        one = valuation(alone, np.array([True]), np.array([SOLVED], np.int8))
        for name in ("iv", "delta", "gamma", "vega", "rho"):
            assert getattr(found, name)[row] == pytest.approx(getattr(one, name)[0], rel=1e-9), (row, name)


@pytest.mark.parametrize("volatility", [1e-12, 1e-3, 0.05, 1.5, 2.0, 3.5, 5.0, 8.0])
def test_prices_of_extreme_volatilities_stay_within_their_bounds(volatility: float):
    options = EscrowedOptions(np.array([True, False]), np.full((1, 2), 0.5), np.full((1, 2), 0.02))
    x, a, b, v = (np.full(2, value) for value in (0.98, 0.02, 0.0, volatility))
    call, put = options.prices(x, a, b, v)
    assert 0 <= call <= 1.0
    assert exp(-0.01) - 0.98 - 1e-9 <= put <= 1.0
    assert (options.premiums(x, a, b, v) > -1e-4).all()


@pytest.mark.parametrize("v", [2.0, 3.5, 5.0, 8.0])
@pytest.mark.parametrize("x", [0.3, 1.0, 3.0])
def test_prices_of_high_volatilities_are_european_where_exercise_never_pays(x: float, v: float):
    options = EscrowedOptions(np.array([True, False]), np.full((1, 2), 0.5), np.full((1, 2), 1e-12))
    assert options.premiums(*(np.full(2, value) for value in (x, 0.0, 0.0, v))) == pytest.approx(0, abs=1e-4)
