"""American options with two cash dividends against a binomial tree of 1,500 steps.

The tree is Cox, Ross and Rubinstein's, of the spot less the present value of the dividends (Hull, chapter 21). An exercise
is paid with the dividends still to come.
"""

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
import pytest

from stats.options.escrowed import EscrowedOptions
from stats.options.inputs import SOLVED, CashDividends, Inputs, make_inputs
from stats.options.pricing import valuation

STEPS = 1_500
SPOT, RATE = 100.0, 0.05
# The ex-dates are instants of the tree: a fifth and two thirds of an option's life.
DIVIDENDS = ((STEPS // 5, 1.5), (2 * STEPS // 3, 1.6))
PART = 1e-3


@dataclass(frozen=True)
class Option:
    """An American option."""

    is_call: bool
    strike: float
    t: float
    volatility: float

    @property
    def dividends(self) -> list[tuple[int, float]]:
        """The steps of the ex-dates, and the dividends' present values."""
        return [(step, amount * exp(-RATE * self.t * step / STEPS)) for step, amount in DIVIDENDS]

    def price_and_delta(self) -> tuple[float, float]:
        """Go back from the expiry. The delta is of the first step's two nodes."""
        step_years, sign = self.t / STEPS, 1 if self.is_call else -1
        up, discount = exp(self.volatility * sqrt(step_years)), exp(-RATE * step_years)
        weight = (1 / discount - 1 / up) / (up - 1 / up)
        net_spot = SPOT - sum(value for _, value in self.dividends)
        all_spots = net_spot * up ** np.arange(STEPS, -STEPS - 1, -1.0)
        prices, delta = np.array([]), 0.0
        for step in range(STEPS, -1, -1):
            spots = all_spots[STEPS - step : STEPS + step + 1 : 2]
            # At an ex-date a call is exercised before the dividend, and a put after it.
            coming = [value for ex_step, value in self.dividends if ex_step >= step + (not self.is_call)]
            exercised = sign * (spots + sum(coming) * exp(RATE * step_years * step) - self.strike)
            held = discount * (weight * prices[:-1] + (1 - weight) * prices[1:]) if step < STEPS else 0.0
            prices = np.maximum(held, exercised)
            if step == 1:
                delta = (prices[0] - prices[1]) / (spots[0] - spots[1])
        return float(prices[0]), float(delta)


OPTIONS = [
    Option(is_call, strike, t, volatility)
    for t, volatility in ((0.25, 0.4), (0.55, 0.25), (0.55, 0.4), (1.0, 0.3))
    for strike in (85.0, 90.0, 95.0, 100.0, 105.0, 110.0, 115.0)
    for is_call in (True, False)
]


@pytest.fixture(scope="module")
def tree() -> list[tuple[float, float]]:
    """Price and delta of each option by the tree."""
    return [option.price_and_delta() for option in OPTIONS]


def inputs_of(prices: list[float]) -> Inputs:
    """The inputs of the options at these prices."""
    count = len(OPTIONS)
    t = np.array([option.t for option in OPTIONS])
    return make_inputs(
        price=np.array(prices),
        spot=np.full(count, SPOT),
        strike=np.array([option.strike for option in OPTIONS]),
        t=t,
        rate=RATE,
        dividend_yield=0.0,
        is_call=np.array([option.is_call for option in OPTIONS]),
        dividends=CashDividends(
            np.array([[step / STEPS * option.t for step, _ in DIVIDENDS] for option in OPTIONS]),
            np.array([[value for _, value in option.dividends] for option in OPTIONS]),
        ),
    )


def test_volatilities_and_deltas_are_the_tree_s(tree: list[tuple[float, float]]):
    inputs = inputs_of([price for price, _ in tree])
    count = len(OPTIONS)
    found = valuation(inputs, np.full(count, True), np.full(count, SOLVED, np.int8))
    assert found.iv == pytest.approx([option.volatility for option in OPTIONS], rel=PART)
    assert found.delta == pytest.approx([delta for _, delta in tree], rel=PART)


def test_prices_are_the_tree_s(tree: list[tuple[float, float]]):
    inputs = inputs_of([price for price, _ in tree])
    parts, values = inputs.dividends.scaled(inputs.t, inputs.strike)
    volatility = np.array([option.volatility for option in OPTIONS]) * np.sqrt(inputs.t)
    options = EscrowedOptions(inputs.is_call, parts, values)
    prices = options.prices(
        inputs.net_spot / inputs.strike, RATE * inputs.t, np.zeros_like(inputs.t), volatility
    )
    assert prices * inputs.strike == pytest.approx([price for price, _ in tree], rel=PART)
