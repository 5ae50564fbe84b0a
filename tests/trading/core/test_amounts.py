"""Amounts, fees and slippage are rounded once: they equal the same computation in fractions."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chance import examples
from tests.trading.core.folded import these
from trading.core.amounts import (
    exact,
    is_multiple,
    lots_below,
    money,
    part_of,
    percent,
    plain,
    price_of,
    quantity,
    ratio,
    scaled,
    to_step,
    unit_price,
)
from trading.core.terms import Fee, Side, Slippage

_doubles = st.floats(1e-6, 1e12).map(price_of)
_signed = st.one_of(_doubles, _doubles.map(lambda value: -value))
_units = st.decimals(Decimal("0.000000001"), 10**9, places=9)
_steps = st.sampled_from(
    [Decimal(text) for text in ("0.01", "0.00001", "0.25", "0.015625", "1", "5", "0.03")]
)
_basis_points = st.decimals(0, 100, places=3)
_ROUNDED: dict[str, Callable[[Fraction], int]] = {
    ROUND_HALF_EVEN: round,
    ROUND_CEILING: ceil,
    ROUND_FLOOR: floor,
}


def _rounded(value: Fraction, digits: int) -> Fraction:
    return Fraction(round(value * 10**digits), 10**digits)


@given(price=_signed, units=_units, rate=_doubles, multiplier=st.integers(1, 10**6).map(Decimal))
@settings(max_examples=examples(500))
def test_products_are_rounded_once(
    price: Decimal, units: Decimal, rate: Decimal, multiplier: Decimal
) -> None:
    product = Fraction(price) * Fraction(units) * Fraction(rate) * Fraction(multiplier)
    assert exact(price, units, rate, multiplier) == product
    assert money(price, units, rate, multiplier) == _rounded(product, 6)
    assert quantity(price, units, rate, multiplier) == _rounded(product, 9)


@given(total=_signed, part=_units, whole=_signed)
@settings(max_examples=examples(500))
def test_quotients_are_rounded_once(total: Decimal, part: Decimal, whole: Decimal) -> None:
    quotient = Fraction(total) * Fraction(part) / Fraction(whole)
    assert part_of(total, part, whole) == _rounded(quotient, 6)
    assert percent(part, whole) == _rounded(100 * Fraction(part) / Fraction(whole), 6)
    assert ratio(part, whole) == _rounded(Fraction(part) / Fraction(whole), 6)
    assert abs(Fraction(scaled(total, part, whole)) - quotient) <= abs(quotient) / 10**29


@given(value=_signed, step=_steps, rounding=st.sampled_from(sorted(_ROUNDED)))
@settings(max_examples=examples(500))
def test_value_is_moved_to_a_step(value: Decimal, step: Decimal, rounding: str) -> None:
    moved = to_step(value, step, rounding)
    assert moved == _ROUNDED[rounding](Fraction(value) / Fraction(step)) * Fraction(step)
    assert is_multiple(moved, step)
    assert is_multiple(value, step) == (moved == value)


@given(
    value=_doubles, lot=st.sampled_from([Decimal("0.00000001"), Decimal("0.01"), Decimal(1), Decimal(100)])
)
@settings(max_examples=examples(200))
def test_lots_below_a_value(value: Decimal, lot: Decimal) -> None:
    assert lots_below(value, lot) == floor(Fraction(value) / Fraction(lot)) * Fraction(lot)


@given(price=_signed, points=_basis_points, tick=_steps, side=st.sampled_from(Side))
@settings(max_examples=examples(500))
def test_slippage_is_never_better(price: Decimal, points: Decimal, tick: Decimal, side: Side) -> None:
    moved = Fraction(price) + side.sign * abs(Fraction(price)) * Fraction(points) / 10_000
    to_tick = ceil if side is Side.BUY else floor
    slipped = Slippage(basis_points=points).price(
        side, price, lambda moved, rounding: to_step(moved, tick, rounding)
    )
    assert slipped == to_tick(moved / Fraction(tick)) * Fraction(tick)


@given(per_unit=st.decimals(0, 10, places=6), points=_basis_points, minimum=st.decimals(0, 5, places=2),
       units=_units, value=_signed)  # fmt: skip
@settings(max_examples=examples(500))
def test_fee(per_unit: Decimal, points: Decimal, minimum: Decimal, units: Decimal, value: Decimal) -> None:
    by_unit = _rounded(Fraction(per_unit) * Fraction(units), 6)
    by_value = _rounded(Fraction(points) * abs(Fraction(value)) / 10_000, 6)
    fee = Fee(per_unit=per_unit, basis_points=points, minimum=minimum)
    assert fee.of(units, value) == max(by_unit + by_value, Fraction(minimum))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+2", "100"), ("-12.500", "-12.5"), ("-0.000000", "0"), ("0E+3", "0"), ("1E-9", "0.000000001"),
    ],
)  # fmt: skip
def test_plain(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("stored", "text"), [(-37.63, "-37.63"), (1 / 3, "0.3333333333333333"), (1e22, "1E+22")]
)  # fmt: skip
def test_price_is_the_shortest_text_of_the_stored_one(stored: float, text: str) -> None:
    assert str(price_of(stored)) == text


def test_ties_are_rounded_to_even() -> None:
    assert these(money(Decimal("0.0000005")), money(Decimal("0.0000015"))) == (0, Decimal("0.000002"))
    assert quantity(Decimal("0.0000000025")) == Decimal("0.000000002")


def test_ratio_to_nothing_is_unknown() -> None:
    assert ratio(Decimal(1), Decimal(0)) is None


@pytest.mark.parametrize(
    ("price", "units"),
    [
        ("64321.12", "0.001234567"),
        ("64321", "-0.001234567"),
        ("1234.5678", "0.12345678"),
        ("0.00000811", "1000"),
        ("0.1235", "123456789"),
        ("100", "100"),
        ("101.005", "3"),
    ],
)
def test_the_price_of_a_unit_has_no_digits_of_the_rounded_cost(price: str, units: str):
    found = unit_price(money(Decimal(price), Decimal(units)), Decimal(units))
    assert (found, len(found.as_tuple().digits) < 10) == (Decimal(price), True)


def test_the_price_of_a_unit_has_fifteen_digits_where_none_is_shorter():
    assert unit_price(Decimal("3.02"), Decimal(3)) == Decimal("1.00666666666667")
