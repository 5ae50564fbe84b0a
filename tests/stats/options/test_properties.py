"""What holds of every option that has a volatility, and that nothing raises or is infinite."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from stats.options.american import AndersenLake
from stats.options.european import BlackScholes
from stats.options.pricing import Valuation
from tests.chance import examples
from tests.stats.options.builders import NUMBERS, inputs_of, reasons, valued

STYLES = pytest.mark.parametrize("american", [False, True], ids=["european", "american"])
FEW = settings(max_examples=examples(150), deadline=None, derandomize=True)

STRIKES = st.floats(0.6, 1.6)
DEVIATIONS = st.floats(0.02, 1.5)
GROWTHS = st.floats(0.0, 0.2)
# Right, strike, v, a and b.
Option = tuple[bool, float, float, float, float]
OPTIONS = st.tuples(st.booleans(), STRIKES, DEVIATIONS, GROWTHS, GROWTHS)
EUROPEAN = {is_call: BlackScholes(is_call=is_call) for is_call in (False, True)}
AMERICAN = {is_call: AndersenLake(is_call=is_call) for is_call in (False, True)}


def value(option: Option, *, american: bool = False) -> float:
    """The price of an option for one year on an underlying at 1."""
    is_call, strike, v, a, b = option
    return strike * (AMERICAN if american else EUROPEAN)[is_call].value(1 / strike, a, b, v)


ANY = st.floats(allow_nan=True, allow_infinity=True)
USUAL = st.floats(-1.0, 200.0)


@FEW
@given(
    st.lists(st.tuples(*[st.one_of(ANY, USUAL)] * 6, st.booleans(), st.booleans()), min_size=1, max_size=8)
)
@example([(4.76, 42.0, 40.0, 0.5, 0.1, 0.0, True, True)])
@example([(1.0, 2.0, 104.0, 1.7285510912137654e306, 0.0, 0.0, True, False)])
def test_any_inputs_give_numbers_or_a_reason(rows):
    price, spot, strike, t, rate, dividend_yield, is_call, american = (
        list(column) for column in zip(*rows, strict=True)
    )
    found = valued(
        inputs_of(
            price=price,
            spot=spot,
            strike=strike,
            t=t,
            rate=rate,
            dividend_yield=dividend_yield,
            is_call=is_call,
        ),
        american=american,
    )
    for row, reason in enumerate(reasons(found)):
        numbers = [getattr(found, name)[row] for name in NUMBERS]
        assert all(np.isfinite(numbers)) if reason is None else all(np.isnan(numbers))


def priced(option: Option, *prices: float, american: bool = False) -> Valuation:
    """A valuation of the option at some prices, or at what its model says."""
    is_call, strike, _, a, b = option
    return valued(
        inputs_of(
            price=list(prices) or [value(option, american=american)],
            spot=1.0, strike=strike, t=1.0, rate=a, dividend_yield=b, is_call=is_call,
        ),
        american=american,
    )  # fmt: skip


def has_volatilities(*found: Valuation) -> bool:
    return not any(valuation.reason.any() for valuation in found)


@STYLES
@FEW
@given(OPTIONS)
def test_the_implied_volatility_gives_the_price(american, option):
    found = priced(option, american=american)
    assume(has_volatilities(found))
    is_call, strike, _, a, b = option
    again = value((is_call, strike, float(found.iv[0]), a, b), american=american)
    assert again == pytest.approx(value(option, american=american), abs=1e-9 * strike)


@STYLES
@FEW
@given(OPTIONS)
def test_greeks_have_their_signs_and_bounds(american, option):
    found, (is_call, _, v, *_) = priced(option, american=american), option
    # Nearer to what exercise yields, an American option's time value is nothing but the engine's error.
    assume(
        value(option, american=american) > value((*option[:2], 1e-3, *option[3:]), american=american) + 1e-4
    )
    assume(has_volatilities(found))
    sign = 1 if is_call else -1
    assert 0 <= found.delta[0] * sign <= 1 + 1e-3
    # Per cent of the largest gamma that such an option can have, 0.4 / v.
    assert found.gamma[0] >= -0.01 * 0.4 / v
    assert found.vega[0] >= -1e-6
    assert found.rho[0] * sign >= -1e-4


@FEW
@given(STRIKES, DEVIATIONS, GROWTHS, GROWTHS)
def test_put_call_parity_gives_both_rights_one_volatility(strike, v, a, b):
    call = value((True, strike, v, a, b))
    put = call - np.exp(-b) + strike * np.exp(-a)
    assume(min(call - max(0.0, call - put), put - max(0.0, put - call)) > 1e-6)
    found = valued(
        inputs_of(
            price=[call, put], spot=1.0, strike=strike, t=1.0, rate=a, dividend_yield=b, is_call=[True, False]
        )
    )
    assert found.iv == pytest.approx(v, abs=1e-8)
    assert found.delta[0] - found.delta[1] == pytest.approx(np.exp(-b), abs=1e-8)
    assert found.gamma[0] == pytest.approx(found.gamma[1], abs=1e-6)
    assert found.vega[0] == pytest.approx(found.vega[1], abs=1e-8)


@FEW
@given(OPTIONS, st.floats(0.001, 0.1))
def test_a_dearer_option_has_more_volatility_and_an_american_one_less(option, more):
    price = value(option, american=True)
    american = priced(option, price, price + more, american=True)
    european = priced(option, price, price + more)
    assume(has_volatilities(american, european))
    assert american.iv[0] < american.iv[1]
    assert (american.iv <= european.iv + 1e-9).all()


@FEW
@given(OPTIONS)
def test_the_right_to_early_exercise_is_worth_something_or_nothing(option):
    is_call, strike, _, _, _ = option
    intrinsic = max(0.0, 1 - strike if is_call else strike - 1)
    assert value(option, american=True) >= max(value(option), intrinsic) - 1e-9
