"""Tenors: their lengths, and that a batch may have each of them."""

from store.datasets import INTEREST_RATES
from store.tenors import TENOR_ALIASES, TENORS


def test_lengths_ascend_within_each_unit():
    assert (TENORS["1D"], TENORS["1W"], TENORS["6M"], TENORS["18M"], TENORS["30Y"]) == (
        1 / 365,
        7 / 365,
        0.5,
        1.5,
        30.0,
    )
    for unit in "WMY":
        years = [length for name, length in TENORS.items() if name[-1] == unit]
        assert years == sorted(years)


def test_no_two_tenors_have_one_length():
    assert len(set(TENORS.values())) == len(TENORS)
    assert {tenor for _, tenor in TENOR_ALIASES} <= set(TENORS)
    assert INTEREST_RATES.column("tenor").choices == tuple(TENORS)
