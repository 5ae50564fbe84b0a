"""Joined bars have columns in chunks, and the same rows as whole columns."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from store.bars.bars import Bars

_NAMES = Bars.__slots__


def _bars(first: int, count: int) -> Bars:
    columns: list[Any] = [np.arange(first, first + count) + 100.0 * place for place in range(len(_NAMES))]
    return Bars(*columns)


def _values(bars: Bars) -> list[list[float]]:
    return [getattr(bars, name).tolist() for name in _NAMES]


@pytest.mark.parametrize(
    "part",
    [slice(2, 6), slice(4, None), slice(-3, -1), slice(None, None, -1), np.array([6, 1]), np.arange(7) % 2 == 0],
)  # fmt: skip
def test_parts_of_joined_bars_are_those_of_whole_columns(part):
    joined, whole = Bars.joined([_bars(0, 3), _bars(3, 0), _bars(3, 4)]), _bars(0, 7)
    found = joined[part]
    assert len(found) == len(whole[part])
    assert [np.concatenate(found.chunks(name)).tolist() for name in _NAMES] == _values(whole[part])
    assert _values(found) == _values(whole[part])
    assert _values(found[1:]) == _values(whole[part][1:])


def test_a_replaced_column_of_joined_bars_is_whole():
    joined = replace(Bars.joined([_bars(0, 3), _bars(3, 4)]), close=np.zeros(7))
    assert joined.chunks("close")[0].tolist() == [0.0] * 7
    assert joined.open.tolist() == _bars(0, 7).open.tolist()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda bars: pickle.loads(pickle.dumps(bars))])
def test_copies_and_pickles_of_joined_bars_are_bars(copied):
    found = copied(Bars.joined([_bars(0, 3), _bars(3, 4)]))
    assert type(found) is Bars
    assert _values(found) == _values(_bars(0, 7))
