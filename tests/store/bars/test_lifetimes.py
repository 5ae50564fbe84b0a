"""Values that stand for a while, against loops over all of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bars.exact_sums import ExactSums, grid_parts
from store.bars.lifetimes import Lifetimes, StandingItems
from tests.chance import examples

INSTANTS, POSITIONS = 13, 5
lives = st.tuples(st.integers(0, INSTANTS - 1), st.integers(1, INSTANTS)).map(
    lambda each: (each[0], min(each[0] + each[1], INSTANTS))
)
values = st.sampled_from([0.0, 0.1, -2.5, 3.0, 1e16, 1e-9])


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(lives, values), max_size=12))
def test_extremes_and_sums_at_each_instant(items: list[tuple[tuple[int, int], float]]) -> None:
    first, behind = (np.array([life[side] for life, _ in items], np.int64) for side in (0, 1))
    column, nothing = np.array([value for _, value in items]), np.zeros(len(items))
    standing = [
        [value for (start, end), value in items if start <= instant < end] for instant in range(INSTANTS)
    ]
    lifetimes = Lifetimes(first, behind, INSTANTS)
    for ufunc, builtin, empty in ((np.minimum, min, math.inf), (np.maximum, max, -math.inf)):
        found = lifetimes.extremes(ufunc, column, empty).tolist()
        assert found == [builtin(each, default=empty) for each in standing]
    assert lifetimes.counts(np.ones(len(items), np.int64)).tolist() == [len(each) for each in standing]
    if items:
        sums = lifetimes.sums(ExactSums(column, nothing, nothing))
        assert sums.total.tolist() == [math.fsum(each) for each in standing]


@settings(max_examples=examples(150), deadline=None)
@given(st.dictionaries(st.integers(0, POSITIONS - 1), st.tuples(lives, values)))
def test_neighbours_and_sums_of_standing_items(items: dict[int, tuple[tuple[int, int], float]]) -> None:
    first, behind = (np.array([life[side] for life, _ in items.values()], np.int64) for side in (0, 1))
    standing = StandingItems(np.array(list(items), np.int64), first, behind, POSITIONS)
    column = np.array([value for _, value in items.values()])
    position, instant = (each.ravel() for each in np.mgrid[:POSITIONS, :INSTANTS])
    parts = list(grid_parts([column], 2 * len(items))) if items else []
    sums = standing.sums(parts, position, np.full(len(position), POSITIONS), instant)
    before = standing.nearest_before(position, instant).tolist()
    following = standing.nearest_from(position, instant).tolist()
    for index, (at, now) in enumerate(zip(position.tolist(), instant.tolist(), strict=True)):
        there = [each for each, ((start, end), _) in items.items() if start <= now < end]
        assert before[index] == max((each for each in there if each < at), default=-1)
        assert following[index] == min((each for each in there if each >= at), default=POSITIONS)
        expected = math.fsum(items[each][1] for each in there if each >= at)
        assert math.fsum(part[index] for part in sums) == pytest.approx(expected, rel=0, abs=0)
