"""Writes the store. Run it with the version that README.md names."""

import sys
from pathlib import Path

import pyarrow as pa

from store.csv import CsvStore
from store.datasets import BARS
from store.protocol import Append, Fill
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, Clock, Row, batch, fill_of, trade

FILL = fill_of(0, DAY)


def bar(minute: int, close: float, resolution: str = "1m") -> Row:
    row = dict.fromkeys(BARS.schema.names) | {"timestamp": NOON + minute * MINUTE, "resolution": resolution}
    return row | dict.fromkeys(("open", "high", "low", "close", "volume"), close)


def bars(*rows: Row, fill: Fill | None = None) -> Append:
    given = pa.RecordBatch.from_pylist(list(rows), schema=BARS.schema)
    return Append(BARS, SYMBOL, given, "key:1", fill=fill)


if __name__ == "__main__":
    store = CsvStore(Path(sys.argv[1]), clock=Clock())
    filled = [trade(1, 1.0), trade(2, 2.0), trade(3, 3.0, trade_id="a"), trade(9, 4.0)]
    store.append(batch(*filled, fill=FILL))
    store.append(batch(filled[0], filled[2]))
    store.append(bars(bar(0, 1.0), bar(1, 1.0), bar(2, 1.0), bar(0, 5.0, "5m"), fill=FILL))
    store.append(bars(bar(0, 1.0), bar(2, 1.0)))
