"""Instants as text of one width, against numpy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trades.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS, fixed_width_text

INSTANTS = st.integers(EARLIEST_NS, LATEST_NS)
EDGES = [EARLIEST_NS, LATEST_NS, 0, -1, 1, DAY_NS - 1, DAY_NS, -DAY_NS, 999_999_999, 1_000_000]


def by_numpy(instants: list[int], end: str) -> list[str]:
    texts = np.datetime_as_string(np.array(instants, dtype=np.int64).view("datetime64[ns]"), unit="ns")
    return [f"{text}Z{end}" for text in texts]


@given(
    instants=st.lists(INSTANTS | st.sampled_from(EDGES), max_size=20),
    end=st.sampled_from(["", ",", ",AAPL,"]),
)
def test_texts_are_numpys(instants: list[int], end: str):
    assert fixed_width_text(np.array(instants, dtype=np.int64), end).to_pylist() == by_numpy(instants, end)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 10**9, 60 * 10**9])
def test_every_digit_of_a_day_is_written(unit: int):
    instants = [number * unit % DAY_NS for number in range(0, 90_000, 7)]
    assert fixed_width_text(np.array(instants), "").to_pylist() == by_numpy(instants, "")
