"""One-row batches into a store from threads, with and without group commit in turn; no server.

Run as `python -m benchmarks.store_threads THREADS COMMITS ROUNDS`: prints two lists of seconds as JSON.
"""

import json
import sys
import tempfile
import threading
import time

import numpy as np
import pyarrow as pa

from benchmarks.ungrouped import UngroupedStore
from store.csv import CsvStore
from store.csv.writing import group_commit
from store.datasets import TRADES
from store.protocol import Append
from store.timestamps import SECOND_NS

_START_NS = 1_736_121_600 * SECOND_NS
_STEP_NS = 60_000_000


def one_row(number: int) -> Append:
    """A batch of the stream's one row."""
    given = {
        "timestamp": pa.array([_START_NS + number * _STEP_NS]),
        "price": pa.array([100.0 + number % 900]),
        "volume": pa.array(np.array([100.0])),
    }
    columns = [given.get(field.name, pa.nulls(1, field.type)) for field in TRADES.schema]
    return Append(TRADES, "BENCH", pa.record_batch(columns, schema=TRADES.schema), "bench")


def seconds_of(store: CsvStore, batches: list[list[Append]]) -> float:
    """Seconds in which all threads, each with its own batches, have stored them."""
    ready = threading.Barrier(len(batches) + 1)

    def write(own: list[Append]) -> None:
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


def main(threads: int, commits: int, rounds: int) -> None:
    """Measure both ways, round by round."""
    limit = group_commit.GROUP_LIMIT
    seconds: tuple[list[float], list[float]] = ([], [])
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as one,
        tempfile.TemporaryDirectory(prefix="bench-") as two,
    ):
        stores = (CsvStore(one), UngroupedStore(two))
        for turn in range(rounds):
            for store, taken, group_limit in zip(stores, seconds, (limit, 1), strict=True):
                group_commit.GROUP_LIMIT = group_limit
                first = turn * threads * commits
                numbers = [
                    range(first + thread, first + threads * commits, threads) for thread in range(threads)
                ]
                taken.append(seconds_of(store, [[one_row(number) for number in own] for own in numbers]))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
