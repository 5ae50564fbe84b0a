"""Bars against pandas, and sums against fractions."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.trades.storage.builders import DAY, MINUTE, NOON, record_batch, trade
from trades.storage.aggregate import aggregate_bars, exact_sums
from trades.storage.ordering import in_order
from trades.storage.protocol import ALL_TIME

FREQUENCIES = {"1s": 10**9, "1min": MINUTE, "5min": 5 * MINUTE, "1h": 60 * MINUTE, "24h": DAY}

sizes = st.one_of(
    st.integers(0, 2**53).map(float), st.floats(0, 2.0**53), st.sampled_from([0.1, 0.2, 0.3, 1e-9, 2.0**53])
)


def total(values: list[float]) -> float:
    return float(sum(map(Fraction, values), Fraction(0)))


@given(st.lists(sizes, min_size=1, max_size=40), st.randoms())
@example([1e16, 1.0, 1.0], None)
@example([2.0**53, 1.0, 1.0, 0.5], None)
def test_sums_are_rounded_once_and_the_same_in_any_order(values, random):
    shuffled = list(values)
    if random is not None:
        random.shuffle(shuffled)
    sums = [exact_sums(np.array(v), np.array([0]), np.array([len(v)]))[0] for v in (values, shuffled)]
    assert sums == [total(values)] * 2


@given(st.lists(st.lists(sizes, min_size=1, max_size=8), min_size=1, max_size=8))
def test_each_slice_has_its_own_sum(slices):
    ends = np.cumsum([len(each) for each in slices])
    starts = np.concatenate([[0], ends[:-1]])
    values = np.array([value for each in slices for value in each])
    assert exact_sums(values, starts, ends).tolist() == [total(each) for each in slices]


trades = st.lists(
    st.builds(
        trade,
        st.integers(-2 * 3600, 2 * 3600).map(lambda seconds: seconds * 10**9 // 4),
        st.sampled_from([1.0, 1.25, 99.5, 1e-4]),
        st.sampled_from([0.0, 0.1, 0.2, 100.0, 2.0**52]),
        sequence=st.sampled_from([None, 1, 2]),
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@settings(max_examples=25, deadline=None)
@given(rows=trades)
def test_bars_are_those_of_pandas(frequency, rows):
    table = in_order(pa.Table.from_batches([record_batch(*rows)]), ALL_TIME)
    bars = aggregate_bars(table, FREQUENCIES[frequency])
    frame = pd.DataFrame(rows).astype({"sequence": "Int64"})
    frame = frame.sort_values(["timestamp", "sequence"], kind="stable", na_position="last")
    frame.index = pd.to_datetime(frame["timestamp"], unit="ns", utc=True)
    groups = frame.resample(frequency, origin="epoch")
    expected = (
        groups["price"].ohlc().assign(count=groups["price"].count(), volume=groups["volume"].agg(total))
    )
    expected = expected[expected["count"] > 0]
    assert bars.time_ns.tolist() == expected.index.as_unit("ns").asi8.tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(bars, name).tolist() == expected[name].tolist()
    assert bars.trade_count.tolist() == expected["count"].tolist()


def test_bars_can_be_sliced():
    rows = [trade(number * MINUTE, 1.0 + number) for number in range(5)]
    bars = aggregate_bars(pa.Table.from_batches([record_batch(*rows)]), MINUTE)
    assert len(bars[1:3]) == 2
    assert bars[1:3].time_ns.tolist() == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert bars[1:3].trade_count.tolist() == [1, 1]
