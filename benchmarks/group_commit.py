"""One-row batches from eight threads into a store: group commit against a commit of the disk for each."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from statistics import median
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from benchmarks.processes import unpinned
from benchmarks.report import Ratio, Row, Sizes
from store.csv import CsvStore
from store.csv.writing import group_commit
from store.datasets import TRADES
from store.protocol import Append
from store.timestamps import SECOND_NS

_THREADS = 8
_START_NS = 1_736_121_600 * SECOND_NS
_STEP_NS = 60_000_000


def measure_group_commit(sizes: Sizes) -> Iterator[Row]:
    """Commits per second of both, in turn, in this process on all cores."""
    limits = {"grouped": group_commit.GROUP_LIMIT, "single": 1}
    seconds: dict[str, list[float]] = {name: [] for name in limits}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, unpinned():
        stores = {name: CsvStore(f"{folder}/{name}") for name in limits}
        for turn in range(sizes.rounds):
            first, end = (number * _THREADS * sizes.posts for number in (turn, turn + 1))
            for name, limit in limits.items():
                batches = [
                    [_one_row(row) for row in range(first + thread, end, _THREADS)]
                    for thread in range(_THREADS)
                ]
                with patch.object(group_commit, "GROUP_LIMIT", limit):
                    seconds[name].append(_stored(stores[name], batches))
    rates = {name: _THREADS * sizes.posts / median(taken) for name, taken in seconds.items()}
    yield Ratio(
        f"one-row batches of {_THREADS} threads in the store, group commit against none",
        here=rates["grouped"],
        peer=rates["single"],
        unit="commits/s",
        wanted="at least 1.5",
    )


def _one_row(number: int) -> Append:
    given = {
        "timestamp": pa.array([_START_NS + number * _STEP_NS]),
        "price": pa.array([100.0 + number % 900]),
        "volume": pa.array(np.array([100.0])),
    }
    columns = [given.get(field.name, pa.nulls(1, field.type)) for field in TRADES.schema]
    return Append(TRADES, "BENCH", pa.record_batch(columns, schema=TRADES.schema), "bench")


def _stored(store: CsvStore, batches: Sequence[Sequence[Append]]) -> float:
    """Seconds in which all threads, each with its own batches, have stored them."""
    ready = threading.Barrier(len(batches) + 1)

    def write(own: Sequence[Append]) -> None:
        ready.wait()
        for batch in own:
            store.append(batch)

    threads = [threading.Thread(target=write, args=(own,)) for own in batches]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started
