"""The reader's quote bars."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from store import open_store
from store.csv import CsvStore
from store.datasets import DATASETS
from store.protocol import Append
from tests.store.builders import DAY, NOON, SECOND
from tests.store.quotes import quote


def test_quote_bars_are_aligned_to_intervals(tmp_path: Path):
    declared = DATASETS["quotes"]
    rows = [quote(-DAY, bid=10.0, ask=11.0, exchange="Q"), quote(30 * SECOND, bid=10.5, exchange="Q")]
    filled = [{name: row.get(name) for name in declared.schema.names} for row in rows]
    batch = pa.RecordBatch.from_pylist(filled, schema=declared.schema)
    CsvStore(tmp_path).append(Append(declared, "AAPL", batch, "key:1"))
    reader = open_store(tmp_path)
    bars = reader.quote_bars("aapl", NOON + SECOND, NOON + 2 * SECOND, "1min", "Q")
    assert (bars.time_ns.tolist(), bars.bid_open.tolist(), bars.ask_close.tolist()) == (
        [NOON],
        [10.0],
        [11.0],
    )
    frame: Any = reader.quote_bars("AAPL", interval="1d", frame=True)
    assert frame["bid_close"].tolist() == [10.0, 10.5]
