"""Bars over HTTP against pandas' resample over the same trades."""

import itertools
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.timestamps import format_timestamp
from tests.api_client import trade
from tests.chance import examples

pytestmark = pytest.mark.system

RULES = {"1min": "1min", "5min": "5min", "1h": "1h", "1d": "1D"}
BASE_NS = 1_735_776_000 * 10**9  # midnight of 2 January 2025
SECOND_NS = 10**9
symbols = (f"S{number}" for number in itertools.count())

offsets = st.one_of(
    st.integers(0, 3 * 86_400 * SECOND_NS),
    st.builds(
        lambda minute, nudge: max(0, minute * 60 * SECOND_NS + nudge),
        st.integers(0, 4_320),
        st.sampled_from([-1, 0, 1]),
    ),
    st.integers(0, 5).map(lambda second: second * SECOND_NS),
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "offset": offsets,
            "price": st.floats(0.01, 1e6, exclude_min=True),
            "volume": st.one_of(st.integers(0, 1_000), st.floats(0, 1e6)),
            "sequence": st.one_of(st.none(), st.integers(0, 3)),
        }
    ),
    min_size=1,
    max_size=25,
)


def expected_bars(trades: list[dict[str, Any]], interval: str) -> list[dict[str, Any]]:
    frame = pd.DataFrame(trades).reset_index(names="arrival")
    frame["sequence"] = frame["sequence"].astype("float64").fillna(math.inf)
    frame = frame.sort_values(["offset", "sequence", "arrival"])
    frame.index = pd.to_datetime(frame["offset"] + BASE_NS, unit="ns", utc=True)
    grouped = frame.resample(RULES[interval])
    bars = grouped["price"].ohlc()
    bars["volume"] = grouped["volume"].apply(math.fsum)
    bars = bars[grouped.size() > 0]
    bars.insert(0, "timestamp", bars.index.strftime("%Y-%m-%dT%H:%M:%SZ"))
    records: list[dict[str, Any]] = bars.to_dict("records")
    return records


@pytest.mark.parametrize("interval", list(RULES))
def test_bars_are_those_of_pandas(api, interval):
    @settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(trades=rows, batches=st.integers(1, 3))
    def holds(trades: list[dict[str, Any]], batches: int) -> None:
        symbol = next(symbols)
        size = -(-len(trades) // batches)
        for batch in _parts(trades, size):
            sent = [
                trade(
                    symbol=symbol,
                    timestamp=format_timestamp(BASE_NS + row["offset"]),
                    price=row["price"],
                    volume=row["volume"],
                    sequence=row["sequence"],
                )
                for row in batch
            ]
            assert api.ingest(*sent, query="dedupe=none").status_code == 200
        assert api.bars(symbol, interval=interval) == expected_bars(trades, interval)

    holds()


def _parts(rows: list[Any], size: int) -> list[list[Any]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
