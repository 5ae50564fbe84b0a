"""Volatilities and greeks against QuantLib called directly, and why there are none."""

from dataclasses import replace

import numpy as np
import pytest

from stats.options.inputs import mid_prices
from stats.options.pricing import valuation
from tests.stats.options.builders import NUMBERS, inputs_of, one, reasons, valued
from tests.stats.options.oracle import Option

STYLES = pytest.mark.parametrize("american", [False, True], ids=["european", "american"])
NAN = float("nan")

# Spot 100: right, strike, t, rate, yield, volatility.
OPTIONS = [
    (is_call, strike, t, rate, dividend_yield, volatility)
    for is_call in (True, False)
    for strike in (85.0, 100.0, 115.0)
    for t, volatility in ((7 / 365, 0.35), (90 / 365, 0.2), (730 / 365, 0.25))
    for rate, dividend_yield in ((0.05, 0.0), (0.03, 0.03), (0.01, 0.06), (-0.005, 0.01))
]


def oracle_options(*, american: bool) -> list[tuple[Option, float]]:
    """Options that have some time value, and their volatilities."""
    made = [
        (Option(is_call, 100.0, strike, t, rate, dividend_yield, american=american), volatility)
        for is_call, strike, t, rate, dividend_yield, volatility in OPTIONS
    ]
    return [(option, volatility) for option, volatility in made if time_value(option, volatility) > 1e-3]


def time_value(option: Option, volatility: float) -> float:
    return option.price(volatility) - option.price(1e-3)


@pytest.fixture(scope="module", params=[False, True], ids=["european", "american"])
def priced(request):
    """Options of a style, what they were made with, and our valuation of their prices."""
    american = request.param
    options = oracle_options(american=american)
    assert len(options) > 50
    inputs = inputs_of(
        price=[option.price(volatility) for option, volatility in options],
        **{
            name: [getattr(option, name) for option, _ in options]
            for name in ("spot", "strike", "t", "rate", "dividend_yield", "is_call")
        },
    )
    return american, options, valued(inputs, american=american)


def test_a_price_implies_the_volatility_that_quantlib_made_it_with(priced):
    american, options, found = priced
    assert set(reasons(found)) == {None}
    wanted = np.array([volatility for _, volatility in options])
    # An American price is 3 hundred-thousandths of the strike off at most; vega makes volatility of it.
    allowed = np.full(len(options), 1e-8) if not american else 3e-5 * 100 / (found.vega * 100)
    assert (abs(found.iv - wanted) <= allowed).all()
    assert np.median(abs(found.iv - wanted)) < (1e-12 if not american else 1e-6)


# Of American options both sides are differences; per cent of what the greek can be: of the price, the strike,
# √t or t.
ALLOWED = {"delta": 1e-3, "gamma": 1e-3, "theta": 1e-3, "vega": 5e-4, "rho": 3e-3}


@pytest.mark.parametrize("greek", ALLOWED)
def test_greeks_are_quantlibs(priced, greek):
    american, options, found = priced
    wanted = np.array([option.greeks(volatility)[greek] for option, volatility in options])
    scale = np.abs(wanted).max() if american else np.abs(wanted)
    allowed = ALLOWED[greek] * scale if american else 1e-6 * scale + 1e-12
    assert (abs(getattr(found, greek) - wanted) <= allowed).all()


def test_an_american_call_that_pays_nothing_is_a_european_one():
    inputs = inputs_of(price=[5.0, 12.0, 1.0], spot=100.0, strike=[100.0, 90.0, 110.0], t=0.25, rate=0.05)
    american, european = valued(inputs, american=True), valued(inputs)
    for name in NUMBERS:
        assert getattr(american, name).tolist() == getattr(european, name).tolist()


REASONS = {
    "the last-trade instant is reached": ({"t": 0.0}, "expired"),
    "it is over": ({"t": -0.1, "price": NAN, "spot": NAN}, "expired"),
    "no price": ({"price": NAN}, "no_quote"),
    "no spot": ({"spot": NAN}, "no_underlying"),
    "a spot of zero": ({"spot": 0.0}, "no_underlying"),
    "a call below the forward's intrinsic value": ({"price": 3.9}, "below_intrinsic"),
    "a price of zero": ({"price": 0.0, "spot": 30.0}, "below_intrinsic"),
    "a negative price": ({"price": -1.0, "spot": 30.0}, "below_intrinsic"),
    "a call at its underlying's price": ({"price": 42.0}, "above_maximum"),
    "a put above its strike": ({"price": 40.5, "is_call": False}, "above_maximum"),
    "a strike of zero": ({"strike": 0.0}, "no_solution"),
    "no strike": ({"strike": NAN}, "no_solution"),
    "no rate": ({"rate": NAN}, "no_solution"),
    "no yield": ({"dividend_yield": NAN}, "no_solution"),
    "a rate beyond exponentials": ({"rate": 1e6}, "no_solution"),
    "an infinite yield": ({"dividend_yield": -np.inf}, "no_solution"),
    "a spot beyond floats": ({"spot": 1e300, "strike": 1e-300}, "no_solution"),
}


@STYLES
@pytest.mark.parametrize(("columns", "reason"), REASONS.values(), ids=REASONS)
def test_without_a_volatility_there_is_a_reason(columns, reason, american):
    found = one(american=american, **columns)
    assert found["reason"] == reason
    assert all(np.isnan(found[name]) for name in NUMBERS)


@STYLES
def test_a_price_of_exactly_its_intrinsic_value_has_no_volatility(american):
    # 0.1 + 0.2 is not 0.3 in floats: rounding must not make a volatility.
    found = valued(
        inputs_of(price=[0.3, 5.0], spot=[1.1, 45.0], strike=[0.8, 40.0], rate=0.0), american=american
    )
    assert reasons(found) == ["below_intrinsic"] * 2


def test_an_american_put_may_cost_less_than_a_european_ones_bound_never():
    # Exercise now is worth 10; at expiry 10 discounted.
    inputs = inputs_of(spot=90.0, strike=100.0, t=1.0, rate=0.05, is_call=False, price=8.0)
    assert reasons(valued(inputs)) == [None]
    assert reasons(valued(inputs, american=True)) == ["below_intrinsic"]


def test_exercise_between_now_and_expiry_bounds_an_american_option():
    # Spot pays more than the strike earns, but the strike is larger: the put is worth most after some time.
    columns = {
        "spot": 100.0,
        "strike": 120.0,
        "t": 40.0,
        "rate": 0.01,
        "dividend_yield": 0.5,
        "is_call": False,
    }
    best = max(120 * np.exp(-0.01 * t) - 100 * np.exp(-0.5 * t) for t in np.linspace(0, 40, 4001))
    assert best == pytest.approx(108.98, abs=0.01)
    assert one(american=True, price=best - 0.01, **columns)["reason"] == "below_intrinsic"
    assert one(american=True, price=best + 1.0, **columns)["reason"] is None


def test_inputs_that_the_engine_refuses_have_no_solution():
    # Two exercise boundaries: the yield is below a negative rate.
    found = one(
        american=True,
        price=8.0,
        spot=100.0,
        strike=100.0,
        t=1.0,
        rate=-0.01,
        dividend_yield=-0.02,
        is_call=False,
    )
    assert found["reason"] == "no_solution"


@STYLES
def test_a_quotes_reason_stands_unless_the_option_is_expired(american):
    bid, ask = np.array([1.0, np.nan, np.nan, np.nan]), np.array([np.nan, 1.0, np.nan, np.nan])
    price, quoted = mid_prices(bid, ask)
    inputs = replace(inputs_of(price=[1.0] * 4, t=[0.5, 0.5, 0.5, -1.0]), price=price)
    found = valuation(inputs, np.full(4, american), quoted)
    assert reasons(found) == ["one_sided", "one_sided", "no_quote", "expired"]


def test_locked_and_crossed_quotes_have_a_middle():
    price, quoted = mid_prices(np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.0, 0.5]))
    assert price.tolist() == [1.0, 1.5, 0.25]
    assert quoted.tolist() == [0, 0, 0]


@STYLES
@pytest.mark.parametrize("seconds", [1, 60, 3600])
def test_seconds_before_the_end_there_is_a_volatility(seconds, american):
    found = one(american=american, price=0.05, spot=100.0, strike=100.0, t=seconds / 31_536_000, rate=0.05)
    # At the money, price = spot · volatility · √(t / 2π).
    assert found["iv"] == pytest.approx(0.05 / 100 * np.sqrt(2 * np.pi / (seconds / 31_536_000)), rel=0.02)
    assert found["theta"] < 0
