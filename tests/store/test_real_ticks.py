"""A day of real trades, out of order and with duplicates, against pandas over the store's files."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from django.conf import settings

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME, Append

SYMBOL = "IBM"
TICKS = Path("equity/ibm_20131007_tick_trade.csv")
COLUMNS = ["ms", "price", "size", "exchange", "conditions", "suspicious"]
MIDNIGHT_NS = int(datetime(2013, 10, 7, tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9
MINUTE = 60 * 10**9
BATCH = 1000


@pytest.fixture(scope="module")
def ticks() -> pa.Table:
    path = settings.REAL_DATA / TICKS
    if not path.exists():
        pytest.skip("the real trades are not on this machine (setting REAL_DATA)")
    frame = pd.read_csv(path, names=COLUMNS, skiprows=1, dtype={"conditions": str})
    columns = {
        "timestamp": MIDNIGHT_NS + frame["ms"].to_numpy() * 10**6,
        "price": frame["price"].to_numpy() / 10_000,
        "volume": frame["size"].to_numpy().astype(float),
        "trade_id": [str(number) for number in range(len(frame))],
        "sequence": pa.nulls(len(frame), pa.int64()),
        "exchange": frame["exchange"].tolist(),
        "conditions": frame["conditions"].tolist(),
        "received_at": pa.nulls(len(frame), pa.int64()),
        "buyer_is_maker": pa.nulls(len(frame), pa.bool_()),
    }
    return pa.table(columns, schema=TRADES.schema)


def shuffled_batches(ticks: pa.Table) -> Iterator[Append]:
    """Every tick at least once and a fifth of them twice, in any order."""
    rng = np.random.default_rng(20131007)
    again = rng.choice(len(ticks), size=len(ticks) // 5, replace=False)
    order = rng.permutation(np.concatenate([np.arange(len(ticks)), again]))
    for start in range(0, len(order), BATCH):
        rows = ticks.take(pa.array(order[start : start + BATCH])).combine_chunks().to_batches()[0]
        yield Append(TRADES, SYMBOL, rows, "key:1")


@pytest.fixture(scope="module")
def loaded(ticks: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder, and how many rows the receipts say are stored."""
    folder = tmp_path_factory.mktemp("ibm")
    store = CsvStore(folder)
    return folder, sum(store.append(each).stored for each in shuffled_batches(ticks))


def test_every_tick_is_stored_once(loaded: tuple[Path, int], ticks: pa.Table):
    folder, count = loaded
    rows = CsvStore(folder).log(TRADES, SYMBOL).at().rows(ALL_TIME)
    assert count == len(rows) == len(ticks)
    order = np.argsort(rows.column("trade_id").cast(pa.int64()).to_numpy())
    assert rows.take(pa.array(order)).equals(ticks)
    assert (np.diff(rows.column("timestamp").to_numpy()) >= 0).all()
