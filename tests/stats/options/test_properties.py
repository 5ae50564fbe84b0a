"""What holds of every option that has a volatility, and that nothing raises or is infinite."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.chance import examples
from tests.stats.options.builders import NUMBERS, inputs_of, reasons, valued

FEW = settings(max_examples=examples(150), deadline=None, derandomize=True)


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
