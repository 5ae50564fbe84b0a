"""As-of joins of the reader, against pandas."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import DATASETS
from store.protocol import Append, Dedupe
from store.reading import Reader
from store.reading.exceptions import InvalidInterval
from tests.store.builders import NOON, SECOND, Clock, trade
from tests.store.quotes import quote

LAGS = [(0, None), (1, None), (3, 5), (0, 0), (SECOND, None), (20, 20)]


def stored(
    folder: Path,
    dataset: str,
    rows: dict[str, Any] | list[dict[str, Any]],
    symbol: str = "AAPL",
    clock: Any = time.time_ns,
) -> None:
    schema = DATASETS[dataset].schema
    if isinstance(rows, list):
        batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    else:
        count = len(rows["timestamp"])
        batch = pa.record_batch(
            [pa.array(rows[f.name], f.type, from_pandas=True) if f.name in rows else pa.nulls(count, f.type) for f in schema],
            schema=schema,
        )  # fmt: skip
    CsvStore(folder, clock=clock).append(Append(DATASETS[dataset], symbol, batch, "key:1", Dedupe.NONE))


def merged(left: pd.DataFrame, right: pd.DataFrame, lag: int, tolerance: int | None) -> pd.DataFrame:
    """Both frames by pandas: the right rows are known `lag` later."""
    at = right["quote_timestamp"]
    known = right.assign(at=at + lag, quote_at=at.astype("Int64"))
    return pd.merge_asof(
        left, known, left_on="timestamp", right_on="at", tolerance=None if tolerance is None else tolerance - lag
    )  # fmt: skip


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("timestamp", kind="stable", ignore_index=True)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, pd.DataFrame, pd.DataFrame]:
    """Trades and quotes at few instants, many of them shared; some quotes have one side."""
    chance, folder = np.random.default_rng(16), tmp_path_factory.mktemp("tied")
    trades = {
        "timestamp": NOON + chance.integers(40, 400, 700),
        "price": chance.integers(95, 106, 700) / 1.0,
        "volume": np.ones(700),
    }
    quotes = {"timestamp": NOON + chance.integers(50, 500, 400), "bid": chance.integers(90, 101, 400) / 1.0, "ask": chance.integers(100, 111, 400) / 1.0}  # fmt: skip
    quotes["bid"][chance.random(400) < 0.2] = np.nan
    stored(folder, "trades", trades)
    stored(folder, "quotes", quotes)
    right = in_order(pd.DataFrame(quotes)).rename(columns={"timestamp": "quote_timestamp"})
    return open_store(folder), in_order(pd.DataFrame(trades)), right


@pytest.mark.parametrize(("lag", "tolerance"), LAGS)
def test_rows_are_joined_as_by_pandas(tied: Any, lag: int, tolerance: int | None):
    reader, left, right = tied
    wanted = merged(left, right, lag, tolerance)
    found = reader.asof_join("trades", "quotes", "AAPL", lag=lag, tolerance=tolerance)
    assert found.price.tolist() == wanted["price"].tolist()
    assert found.table.column("quote_timestamp").to_pylist() == [
        None if at is pd.NA else at for at in wanted["quote_at"]
    ]
    for side in ("bid", "ask"):
        np.testing.assert_array_equal(found[side], wanted[side])


def test_a_window_finds_rows_from_before_it(tied: Any):
    reader, left, right = tied
    wanted = merged(left, right, 0, None)
    inside = (wanted["timestamp"] >= NOON + 300) & (wanted["timestamp"] < NOON + 302)
    found = reader.asof_join("trades", "quotes", "AAPL", NOON + 300, NOON + 302, columns=["bid", "price"])
    assert list(found) == ["timestamp", "bid", "price"]
    np.testing.assert_array_equal(found.bid, wanted["bid"][inside])


def test_any_two_datasets_can_be_joined(tied: Any):
    frame = tied[0].asof_join("quotes", "trades", "AAPL", lag="1ns", frame=True)
    assert {"bid", "price", "trade_timestamp", "trade_sequence"} <= set(frame.columns)
    assert (frame["trade_timestamp"].dropna() < frame.index[frame["trade_timestamp"].notna()]).all()


def test_a_tolerance_below_the_lag_is_refused(tied: Any):
    with pytest.raises(InvalidInterval, match="tolerance"):
        tied[0].asof_join("trades", "quotes", "AAPL", lag="2s", tolerance="1s")


def test_the_join_of_a_past_time_reads_both_logs_as_they_were(tmp_path: Path):
    clock = Clock()
    stored(tmp_path, "trades", [trade(10)], clock=clock)
    stored(tmp_path, "quotes", [quote(5, bid=1.0, ask=2.0)], clock=clock)
    clock.now += SECOND
    stored(tmp_path, "quotes", [quote(7, bid=3.0, ask=4.0)], clock=clock)
    reader = open_store(tmp_path)
    assert reader.asof_join("trades", "quotes", "AAPL").bid.tolist() == [3.0]
    assert reader.asof_join("trades", "quotes", "AAPL", as_of=NOON).bid.tolist() == [1.0]


def test_without_right_rows_their_columns_are_null(tmp_path: Path):
    stored(tmp_path, "trades", [trade(10)])
    found = open_store(tmp_path).asof_join("trades", "quotes", "AAPL")
    assert np.isnan(found.bid).all()
