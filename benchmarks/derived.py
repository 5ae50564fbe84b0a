"""Derived files: ingest while they are kept current, their size, building them."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pyarrow.csv as pacsv

from benchmarks.generated_trades import SYMBOL, Stream, stored
from benchmarks.ingest import Feeder
from benchmarks.processes import memory_of_process, run_python
from benchmarks.report import Ratio, Row, Sizes
from benchmarks.servers import Server, our_server
from store.csv import CsvStore
from store.csv.log.index_files import DERIVED_FOLDER
from store.datasets import TRADES

_DENSE = Stream(a_minute=20)
_KINDS = {
    "20 a minute": _DENSE,
    "2 a minute": Stream(a_minute=2),
    "20 a minute, with ids and conditions": Stream(a_minute=20, with_ids=True),
}
# More batches than elsewhere, because the worker reads the logs once a second.
_MORE_BATCHES = 8
_BATCH_ROWS = 10_000
_MIB = 2**20


def measure_derived(sizes: Sizes) -> Iterator[Row]:
    """Ingest with and without the worker, size by kind of stream, time and memory of building a long history."""
    yield from _measure_ingest(sizes)
    for name, stream in _KINDS.items():
        yield from _measure_space(name, stream, sizes.trades // 10)
    yield from _measure_building(sizes.trades)


def _measure_ingest(sizes: Sizes) -> Iterator[Row]:
    """Worker and server share a core. A worker is stopped while the other server has its turn."""
    count = sizes.batches * _MORE_BATCHES
    seconds: list[list[float]] = [[], []]
    with our_server() as kept, our_server() as plain:
        feeders = [Feeder(kept), Feeder(plain)]
        with _stopped(plain), _stopped(kept):
            for feeder in feeders:
                feeder.warm_up()
        with _stopped(plain):
            for _ in range(sizes.rounds):
                seconds[0] += feeders[0].seconds_each(count)
                with _stopped(kept):
                    seconds[1] += feeders[1].seconds_each(count)
    # Sums and not medians: the few batches that wait for a fold count in full.
    kept_rate, plain_rate = (_BATCH_ROWS * len(taken) / sum(taken) for taken in seconds)
    yield Ratio(
        "ingest over HTTP with derived data kept current, against without",
        here=kept_rate,
        peer=plain_rate,
        unit="rows/s",
        wanted="at least 0.75",
    )


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    """Stop a server's worker meanwhile (SIGSTOP)."""
    worker = server.process("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def _measure_space(name: str, stream: Stream, trades: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stored(Path(folder), stream, trades)
        log = Path(folder) / TRADES.name / SYMBOL
        yield Ratio(
            f"derived files of {trades:,} trades, {name}, against their CSV",
            here=_size(log / DERIVED_FOLDER, "*") / _MIB,
            peer=_size(log, "*.csv") / _MIB,
            unit="MiB",
            wanted="at most 1.5",
        )


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def _measure_building(trades: int) -> Iterator[Row]:
    label = f"building the derived files of {trades / 1e6:g} million trades"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = Path(folder) / "store"
        stored(store, _DENSE, trades, derived=False)
        log = Path(folder) / "log"
        printed = run_python("benchmarks.derived", str(store), environment=os.environ, log=log)
        built = json.loads(printed)
        reading = median(_reading_seconds(store) for _ in range(3))
    yield Ratio(
        f"{label}, against pyarrow reading their CSV by one thread",
        here=trades / built["seconds"],
        peer=trades / reading,
        unit="rows/s",
    )
    yield Ratio(
        f"{label}: peak of memory, against before",
        here=built["peak"] / _MIB,
        peer=built["before"] / _MIB,
        unit="MiB",
        wanted="bounded",
    )


def _reading_seconds(store: Path) -> float:
    began = time.perf_counter()
    for path in (store / TRADES.name / SYMBOL).glob("*.csv"):
        pacsv.read_csv(path, pacsv.ReadOptions(use_threads=False))
    return time.perf_counter() - began


def build(folder: str) -> None:
    """Build the derived files of a store's symbol; print the seconds, and bytes of memory before and at the peak, as JSON."""
    store, before, began = CsvStore(folder), memory_of_process("VmHWM"), time.perf_counter()
    store.derive(TRADES, SYMBOL, rebuild=True)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "before": before, "peak": memory_of_process("VmHWM")}))


if __name__ == "__main__":
    build(sys.argv[1])
