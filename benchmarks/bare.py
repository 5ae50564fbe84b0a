"""The bare work of an ingest in a plain script: decode, columns, CSV, a checksum, two writes, two syncs.

There is no server. Run as `python -m benchmarks.bare FOLDER`: for each number on a line of standard input it
stores that many batches, and prints the seconds of each as a list of JSON.
"""

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.tape import batch_rows, json_body


class _Trade(msgspec.Struct, gc=False):
    timestamp: str
    symbol: str
    price: float
    volume: float


class _Batch(msgspec.Struct, gc=False):
    trades: list[_Trade]


_decoder = msgspec.json.Decoder(_Batch)


def store(body: bytes, data: int, log: int) -> None:
    """Store a batch in two open files, durably."""
    trades = _decoder.decode(body).trades
    (symbol,) = set(map(attrgetter("symbol"), trades))
    texts = pa.array(list(map(attrgetter("timestamp"), trades)), pa.string())
    times = texts.cast(pa.timestamp("ns", "UTC"))
    prices = np.fromiter(map(attrgetter("price"), trades), np.float64, len(trades))
    volumes = np.fromiter(map(attrgetter("volume"), trades), np.float64, len(trades))
    columns = {
        # without a zone: a column with one is written ten times as slowly
        "timestamp": times.cast(pa.timestamp("ns")).cast(pa.string()),
        "symbol": pa.repeat(symbol, len(trades)),
        "price": prices,
        "volume": volumes.astype(np.int64),
    }
    text = io.BytesIO()
    pacsv.write_csv(pa.table(columns), text, pacsv.WriteOptions(include_header=False, quoting_style="none"))
    rows = text.getbuffer()
    os.write(data, rows)
    os.fdatasync(data)
    record = {"rows": len(trades), "digest": hashlib.sha256(rows).hexdigest()}
    os.write(log, json.dumps(record).encode() + b"\n")
    os.fdatasync(log)


def timed(bodies: list[bytes], folder: Path) -> Iterator[float]:
    """Seconds of each batch."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    data, log = (os.open(folder / name, flags, 0o644) for name in ("rows.csv", "log.jsonl"))
    try:
        for body in bodies:
            started = time.perf_counter()
            store(body, data, log)
            yield time.perf_counter() - started
    finally:
        os.close(data)
        os.close(log)


def main(folder: Path) -> None:
    """Serve the commands on standard input."""
    done = 0
    for line in sys.stdin:
        count = int(line)
        bodies = [json_body(batch_rows(done + number)) for number in range(count)]
        done += count
        print(json.dumps(list(timed(bodies, folder))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
