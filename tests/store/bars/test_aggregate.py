"""Bars of every print against pandas."""

from fractions import Fraction

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.rows.stored_rows import ArrivalRun, stored_in_order, stored_rows
from tests.chance import examples
from tests.store.builders import DAY, MINUTE, NOON, bars_of_rows, record_batch, trade

FREQUENCIES = {"1s": 10**9, "1min": MINUTE, "5min": 5 * MINUTE, "1h": 60 * MINUTE, "24h": DAY}


def total(values: list[float]) -> float:
    return float(sum(map(Fraction, values), Fraction(0)))


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
@settings(max_examples=examples(25), deadline=None)
@given(rows=trades)
def test_bars_equal_pandas(frequency, rows):
    arrived = pa.Table.from_batches([record_batch(*rows)])
    table = stored_in_order(stored_rows(arrived, [ArrivalRun(0, 1, len(rows))]))
    bars = bars_of_rows(table, FREQUENCIES[frequency])
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
    bars = bars_of_rows(pa.Table.from_batches([record_batch(*rows)]), MINUTE)
    assert len(bars[1:3]) == 2
    assert bars[1:3].time_ns.tolist() == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert bars[1:3].trade_count.tolist() == [1, 1]
