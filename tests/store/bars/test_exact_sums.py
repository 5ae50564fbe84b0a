"""Sums against fractions: rounded once, the same three numbers in any order, split and merge tree."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.bars.exact_sums import ExactSums, exact_sums, merged_sums
from tests.chance import examples

Three = tuple[float, float, float]

TIES = [
    [1.0, 2.0**-53, 2.0**-107],
    [1.0, -(2.0**-54), -(2.0**-108)],
    [1 + 2.0**-52, 2.0**-53, -(2.0**-107)],
    [1.0, 2.0**-53, 2.0**-106, 2.0**-106, 2.0**-159],
    [2.0**53, 1.0, 1.0, 0.5],
    [1.0, 2.0**-53, 5e-324],
    [129659.90414874986, 132485.0632827343, 5e-324],
    [1e16, 1.0, 1.0],
    [0.1] * 10,
    [-0.0],
    [1e15, -1e15, 1e-9],
]

decimals = st.integers(-(10**9), 10**9).map(lambda n: n / 10_000)
sizes = st.one_of(
    st.integers(0, 2**53).map(float),
    decimals,
    st.floats(-(2.0**53), 2.0**53).filter(lambda value: value == 0 or abs(value) > 1e-9),
    st.sampled_from(sorted({value for values in TIES for value in values})),
)


def three(values: list[float]) -> Three:
    """Return the sum as three doubles, each the correctly rounded rest of those before it."""
    exact = sum(map(Fraction, values), Fraction(0))
    total = float(exact)
    middle = float(exact - Fraction(total))
    low = float(exact - Fraction(total) - Fraction(middle))
    return total, middle, low


def kept(values: list[float], starts: list[int]) -> ExactSums:
    return exact_sums(np.array(values), np.array(starts))


def rows(sums: ExactSums) -> list[Three]:
    return list(zip(sums.total.tolist(), sums.middle.tolist(), sums.low.tolist(), strict=True))


def stacked(parts: list[ExactSums]) -> ExactSums:
    return ExactSums(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("total", "middle", "low"))
    )


@pytest.mark.parametrize("values", TIES)
def test_ties_and_cancellations_are_rounded_correctly(values: list[float]):
    assert rows(kept(values, [0])) == [three(values)]
    assert math.copysign(1.0, kept(values, [0]).total[0]) == math.copysign(1.0, math.fsum(values) + 0.0)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(sizes, min_size=1, max_size=30), st.randoms(use_true_random=False))
@example([2.0**53, 1.0, 1.0, 0.5], None)
def test_total_is_rounded_once_in_any_order(values, random):
    shuffled = list(values)
    if random is not None:
        random.shuffle(shuffled)
    for each in (values, shuffled):
        assert rows(kept(each, [0])) == [three(values)]
        assert kept(each, [0]).total[0] == math.fsum(values)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.lists(decimals, min_size=1, max_size=8), min_size=1, max_size=8))
def test_each_slice_has_its_own_sum(slices):
    starts = np.cumsum([0] + [len(each) for each in slices[:-1]])
    values = [value for each in slices for value in each]
    assert rows(kept(values, starts.tolist())) == [three(each) for each in slices]


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.lists(decimals, min_size=1, max_size=6), min_size=1, max_size=12), st.data())
def test_any_merge_tree_gives_the_same_sums(slices, data):
    parts = [kept(each, [0]) for each in slices]
    while len(parts) > 1:
        size = data.draw(st.integers(2, len(parts)))
        chosen = data.draw(st.permutations(parts))
        parts = [merged_sums(stacked(chosen[:size]), np.array([0])), *chosen[size:]]
    assert rows(parts[0]) == [three([value for each in slices for value in each])]


def test_millions_of_products_equal_fsum_and_merge_exactly():
    rng = np.random.default_rng(7)
    values = np.round(rng.uniform(1, 500, 200_000), 4) * np.round(rng.uniform(0, 1000, 200_000), 8)
    fine, coarse = np.arange(0, 200_000, 50), np.arange(0, 200_000, 5000)
    sums = exact_sums(values, coarse)
    assert sums.total.tolist() == [math.fsum(values[start : start + 5000]) for start in coarse]
    assert rows(merged_sums(exact_sums(values, fine), np.arange(0, 4000, 100))) == rows(sums)


def test_a_sum_of_more_bits_than_three_doubles_hold_is_rounded_correctly():
    assert rows(kept([1e15, 1e-5, 1e-100, 1e-300], [0])) == [three([1e15, 1e-5, 1e-100])]


@pytest.mark.parametrize("values", [[1e300, 1.0], [math.inf, 1.0], [-math.inf]], ids=str)
def test_numbers_that_no_api_stores_are_added_plainly(values: list[float]):
    assert kept(values, [0]).total.tolist() == [sum(values)]


def test_no_slices():
    assert rows(exact_sums(np.empty(0), np.empty(0, np.int64))) == []
