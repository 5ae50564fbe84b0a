"""What is computed from prices with two decimals has two, or as many as its exact value."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.rounding import midpoints, rounded_sum, without_noise

decimals = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(-(10**8), 10**8), st.integers(0, 12)
)


def rounded(value: float, operands: float | None = None) -> float:
    return float(without_noise(value, operands))


@pytest.mark.parametrize(
    ("computed", "operands", "wanted"),
    [
        (90 / 1.5 / 0.1, None, 600.0),
        (101 * 0.15, None, 15.15),
        ((-37.62 + -37.68) / 2, 37.68, -37.65),
        (4800.13 - 4773.5, 4800.13, 26.63),
        (-1.42e-10 + 1.51e-10, 1.51e-10, 9e-12),
        (-1.42e20 + 1.51e20, 1.51e20, 9e18),
        (0.1 + 0.2 - 0.3, 0.3, 0.0),
        (1e-9 * 3 / 10, None, 3e-10),
        (1.1e-30 * 3, None, 3.3e-30),
        (1.1e20 * 3, None, 3.3e20),
        (0.0, None, 0.0),
    ],
)
def test_noise_behind_the_digits_is_gone(computed: float, operands: float | None, wanted: float):
    assert repr(rounded(computed, operands)) == repr(wanted)


@given(decimals, decimals)
def test_sums_and_differences_of_decimals_are_exact(left: Decimal, right: Decimal):
    largest = max(abs(float(left)), abs(float(right)))
    places = max(-int(each.as_tuple().exponent) for each in (left, right))
    if largest and largest * 10**places < 1e14:
        terms = np.array([float(left)]), np.array([float(right)])
        assert rounded_sum(*terms) == float(left + right)
        assert midpoints(*terms) == float((left + right) / 2)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_value_moves_by_more_than_its_fifteenth_digit(value: float):
    found = rounded(value)
    assert abs(Fraction(found) - Fraction(value)) <= Fraction(abs(value)) * Fraction(5, 10**15)


def test_what_is_no_number_stays():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 599.9999999999999])
    np.testing.assert_array_equal(without_noise(values), [np.nan, np.inf, -np.inf, 0.0, 600.0])
