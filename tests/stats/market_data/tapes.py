"""Tapes: rows made by columns, many at once, from a seed; many of them share their instant."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from store.datasets import QUOTES, TRADES
from store.declarations import Dataset
from store.market_store import MarketStore
from store.protocol import Append, Dedupe, Window
from store.timestamps import SECOND_NS

CHUNK_ROWS = 50_000
_MILLISECOND_NS = SECOND_NS // 1_000
_CONDITIONS = np.array([None, "odd_lot", "intermarket_sweep;odd_lot"], dtype=object)


def times(chance: np.random.Generator, window: Window, count: int, *, unit_ns: int = _MILLISECOND_NS) -> Any:
    """Instants of a window, ascending, in whole units: with more rows than units most are shared."""
    length = (window.end_ns - window.start_ns) // unit_ns
    return window.start_ns + np.sort(chance.integers(0, length, count)) * unit_ns


def trades(chance: np.random.Generator, time_ns: Any, *, first: int = 0) -> pa.RecordBatch:
    """Trades at these instants, numbered in their ids from `first` on."""
    count = len(time_ns)
    return _batch(
        TRADES,
        count,
        {
            "timestamp": time_ns,
            "price": (20_000 + np.cumsum(chance.integers(-5, 6, count)) % 10_000) / 100,
            "volume": chance.integers(0, 500, count).astype(np.float64),
            "trade_id": [f"t{number}" for number in range(first, first + count)],
            "sequence": np.arange(first, first + count),
            "exchange": np.array(["XNYS", "ARCX"])[chance.integers(0, 2, count)],
            "conditions": _CONDITIONS[chance.integers(0, 3, count)],
        },
    )


def quotes(chance: np.random.Generator, time_ns: Any) -> pa.RecordBatch:
    """Quotes at these instants: some of one side only, some locked or crossed."""
    count = len(time_ns)
    bid = (20_000 + np.cumsum(chance.integers(-5, 6, count)) % 10_000) / 100
    ask = bid + chance.integers(-1, 6, count) / 100
    return _batch(
        QUOTES,
        count,
        {
            "timestamp": time_ns,
            "bid": pa.array(bid, mask=chance.random(count) < 0.1),
            "bid_size": chance.integers(1, 50, count).astype(np.float64),
            "ask": ask,
            "ask_size": chance.integers(1, 50, count).astype(np.float64),
            "exchange": np.array(["XNYS", "ARCX"])[chance.integers(0, 2, count)],
        },
    )


def store_rows(store: MarketStore, dataset: Dataset, symbol: str, rows: pa.RecordBatch) -> None:
    """Store a batch as it is, in commits of at most `CHUNK_ROWS`."""
    for part in _chunks(rows):
        store.append(Append(dataset, symbol, part, "test", Dedupe.NONE))


def _chunks(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    return (rows.slice(start, CHUNK_ROWS) for start in range(0, len(rows), CHUNK_ROWS))


def _batch(dataset: Dataset, count: int, values: dict[str, Any]) -> pa.RecordBatch:
    arrays = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(count, field.type)
        for field in dataset.schema
    ]
    return pa.record_batch(arrays, schema=dataset.schema)
