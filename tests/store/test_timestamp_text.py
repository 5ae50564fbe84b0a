"""Instants as text of one width, against numpy's own; one text read as many are."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.timestamps import (
    DAY_NS,
    EARLIEST_NS,
    LATEST_NS,
    InvalidTimestamp,
    fixed_width_text,
    parse_timestamp,
    parse_timestamps,
    seconds_text,
)

INSTANTS = st.integers(EARLIEST_NS, LATEST_NS)
EDGES = [EARLIEST_NS, LATEST_NS, 0, -1, 1, DAY_NS - 1, DAY_NS, -DAY_NS, 999_999_999, 1_000_000]


def by_numpy(instants: list[int], end: str) -> list[str]:
    texts = np.datetime_as_string(np.array(instants, dtype=np.int64).view("datetime64[ns]"), unit="ns")
    return [f"{text}Z{end}" for text in texts]


@given(
    instants=st.lists(INSTANTS | st.sampled_from(EDGES), max_size=20),
    end=st.sampled_from(["", ",", ",AAPL,"]),
)
def test_texts_equal_numpy(instants: list[int], end: str):
    assert fixed_width_text(np.array(instants, dtype=np.int64), end).to_pylist() == by_numpy(instants, end)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 10**9, 60 * 10**9])
def test_every_digit_of_a_day_is_written(unit: int):
    instants = [number * unit % DAY_NS for number in range(0, 90_000, 7)]
    assert fixed_width_text(np.array(instants), "").to_pylist() == by_numpy(instants, "")


@settings(deadline=None)
@given(
    instants=st.lists(INSTANTS | st.sampled_from(EDGES), max_size=20),
    before=st.sampled_from(["", '{"timestamp":"']),
    end=st.sampled_from(["", "Z", ".0Z,"]),
)
def test_seconds_equal_numpy(instants: list[int], before: str, end: str):
    floored = np.array(instants, dtype=np.int64) // 10**9
    texts = np.datetime_as_string(floored.view("datetime64[s]"), unit="s")
    expected = [f"{before}{text}{end}" for text in texts]
    assert seconds_text(np.array(instants, dtype=np.int64), before, end).to_pylist() == expected


def read(parse: Callable[[str], int], text: str) -> int | str:
    try:
        return parse(text)
    except InvalidTimestamp as error:
        return error.code


@given(
    parts=st.tuples(
        st.integers(1890, 2210), st.integers(0, 13), st.integers(0, 32),
        st.integers(0, 24), st.integers(0, 60), st.integers(0, 60),
    ),
    end=st.sampled_from(["Z", "", ".5Z", "z", "+00:00", "Z "]),
)  # fmt: skip
def test_one_text_parses_like_a_column(parts: tuple[int, ...], end: str):
    text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parts) + end
    one, many = read(parse_timestamp, text), read(lambda each: int(parse_timestamps([each])[0]), text)
    # Of one text it is also known when its year is too far away to be counted.
    assert one == many or (one, many) == ("timestamp_out_of_range", "invalid_timestamp")
