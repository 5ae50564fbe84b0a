"""Instants, intervals and windows in every form that a program has them in."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.protocol import ALL_TIME, Window
from store.reading.arguments import aligned_window, exact_window, instant_ns, interval_ns
from store.reading.exceptions import InvalidInstant, InvalidInterval, InvalidWindow
from store.timestamps import EARLIEST_NS, LATEST_NS

NS = 1_735_828_200_123_456_000  # 2025-01-02T14:30:00.123456Z
NEW_YORK = dt.timezone(dt.timedelta(hours=-5))
MOMENT = dt.datetime(2025, 1, 2, 14, 30, 0, 123456)


@pytest.mark.parametrize(
    "given_as",
    [
        NS,
        np.int64(NS),
        "2025-01-02T14:30:00.123456Z",
        "2025-01-02T09:30:00.123456-05:00",
        "2025-01-02 14:30:00.123456",
        MOMENT,
        MOMENT.replace(tzinfo=dt.UTC),
        MOMENT.replace(tzinfo=dt.UTC).astimezone(NEW_YORK),
        np.datetime64("2025-01-02T14:30:00.123456"),
        pd.Timestamp("2025-01-02T14:30:00.123456"),
        pd.Timestamp("2025-01-02T09:30:00.123456", tz="America/New_York"),
    ],
    ids=repr,
)
def test_one_instant_in_every_form(given_as: Any):
    assert instant_ns(given_as) == NS


def test_nanoseconds_survive():
    assert instant_ns("2025-01-02T14:30:00.123456789Z") == NS + 789
    assert instant_ns(pd.Timestamp(NS + 789)) == NS + 789
    assert instant_ns(np.datetime64(NS + 789, "ns")) == NS + 789


def test_a_date_is_its_midnight():
    midnight = NS - NS % (86_400 * 10**9)
    for given_as in (
        "2025-01-02",
        dt.date(2025, 1, 2),
        np.datetime64("2025-01-02"),
        pd.Timestamp("2025-01-02"),
    ):
        assert instant_ns(given_as) == midnight


@pytest.mark.parametrize(
    "wrong",
    [
        "soon",
        "",
        "1899-12-31",
        "9999-01-01",
        EARLIEST_NS - 1,
        LATEST_NS + 2,
        1.7e18,
        float("nan"),
        True,
        None,
        b"2025-01-02",
        pd.NaT,
        np.datetime64("NaT", "s"),
        np.datetime64("30000-01-01"),
        dt.date(1800, 1, 1),
        dt.datetime(2300, 1, 1),
        dt.time(9, 30),
    ],
    ids=repr,
)
def test_invalid_instant_raises(wrong: Any):
    with pytest.raises(InvalidInstant):
        instant_ns(wrong)
    if wrong is not None:
        with pytest.raises((InvalidInstant, InvalidWindow)):
            exact_window(wrong, None)


MINUTE = 60 * 10**9


@pytest.mark.parametrize(
    ("given_as", "length"),
    [
        ("1s", 10**9),
        ("1min", MINUTE),
        ("1m", MINUTE),
        ("15min", 15 * MINUTE),
        ("1h", 60 * MINUTE),
        ("1d", 1440 * MINUTE),
        ("250ms", 250 * 10**6),
        ("7ns", 7),
        (MINUTE, MINUTE),
        (np.int32(10**9), 10**9),
        (dt.timedelta(minutes=5), 5 * MINUTE),
        (pd.Timedelta("5min"), 5 * MINUTE),
        (pd.Timedelta(1001), 1001),
    ],
    ids=repr,
)
def test_one_interval_in_every_form(given_as: Any, length: int):
    assert interval_ns(given_as) == length


@pytest.mark.parametrize(
    "wrong",
    [
        "", "0min", "-1min", "1", "min", "1 min", "1month", "1min1s", "9" * 17 + "d", "٣min",
        0, -1, 2**63, True, 1.5, None, [], pd.NaT, np.timedelta64("NaT", "s"), np.timedelta64(1, "M"), dt.timedelta(0),
    ],
    ids=repr,
)  # fmt: skip
def test_invalid_interval_raises(wrong: Any):
    with pytest.raises(InvalidInterval):
        interval_ns(wrong)


@given(
    st.integers(EARLIEST_NS, LATEST_NS),
    st.integers(1, 10**15),
    st.sampled_from([1, 7, 10**9, MINUTE, 1440 * MINUTE]),
)
def test_aligned_window_has_no_extra_bar(start: int, length: int, interval: int):
    end = min(start + length, LATEST_NS + 1)
    window = aligned_window(start, end, interval)
    assert window.start_ns % interval == window.end_ns % interval == 0
    assert start - interval < window.start_ns <= start < end <= window.end_ns < end + interval


def test_open_window_is_all_time():
    assert exact_window(None, None) == ALL_TIME
    assert exact_window(NS, None) == Window(NS, ALL_TIME.end_ns)
    assert exact_window(None, "2025-01-02") == Window(ALL_TIME.start_ns, instant_ns("2025-01-02"))


@pytest.mark.parametrize(("start", "end"), [(NS, NS), (NS + 1, NS), ("2025-01-02", "2025-01-01")])
def test_window_must_start_before_its_end(start: Any, end: Any):
    with pytest.raises(InvalidWindow, match="the start of a window must be before its end"):
        exact_window(start, end)
