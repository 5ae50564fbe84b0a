"""Wrote the store beside it, run by a version that knew no later columns; see README.md."""

import sys
from pathlib import Path

import pyarrow as pa

from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Action, Amendment, Append, Correction
from store.timestamps import DAY_NS, parse_timestamp

NOON = parse_timestamp("2025-01-02T12:00:00Z")


class Clock:
    """A second later at every look."""

    now = parse_timestamp("2025-01-03T20:00:00Z")

    def __call__(self) -> int:
        self.now += 10**9
        return self.now


def trade(at: int, price: float, **others: object) -> dict[str, object]:
    return {"timestamp": NOON + at, "price": price, "volume": 1.0, **others}


def append(store: CsvStore, symbol: str, *rows: dict[str, object], key: str | None = None) -> None:
    filled = [dict.fromkeys(TRADES.schema.names) | row for row in rows]
    batch = pa.RecordBatch.from_pylist(filled, schema=TRADES.schema)
    store.append(Append(TRADES, symbol, batch, "key:1", request_key=key))


def main(folder: Path) -> None:
    """Two dates of trades with and without ids, a batch under a key, corrections, segments and a tail."""
    store = CsvStore(folder, clock=Clock())
    store.set_instrument(Instrument("AAPL", bar_policy="us_equities"))
    with_ids = [trade(at, 100.0 + at, trade_id=name) for at, name in enumerate("abc")]
    append(store, "AAPL", *with_ids, trade(DAY_NS, 110.0, trade_id="a", exchange="N"), key="feed-1")
    append(store, "AAPL", trade(10, 50.0, conditions="odd_lot"), trade(11, 51.0), trade(11, 51.0))
    corrections = (
        Correction(Action.CANCEL, NOON + 1, {"trade_id": "b"}),
        Correction(Action.CORRECT, NOON + 2, {"trade_id": "c"}, {"price": 202.0}),
        Correction(Action.CORRECT, NOON + 10, {"price": 50.0, "volume": 1.0}, {"volume": 5.0}),
    )
    store.correct(Amendment(TRADES, "AAPL", corrections, "key:1", request_key="fix-1"))
    store.derive(TRADES, "AAPL")
    append(store, "AAPL", trade(20, 120.0, trade_id="d"))
    append(store, "MSFT", trade(0, 400.0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
