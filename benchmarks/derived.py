"""What derived files cost: the ingest beside them, their space, building them."""

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
from benchmarks.processes import line_with, memory_of_process, run_python, running
from benchmarks.report import Note, Ratio, Row, Sizes
from benchmarks.servers import Server, our_server
from store.csv import CsvStore
from store.csv.derived.manifest import read_manifest
from store.csv.log.index_files import DERIVED_FOLDER
from store.datasets import TRADES
from store.protocol import Append

_DENSE = Stream(a_minute=20)
_KINDS = {
    "20 a minute": _DENSE,
    "2 a minute": Stream(a_minute=2),
    "20 a minute, with ids and conditions": Stream(a_minute=20, with_ids=True),
}
# So many times as many batches as elsewhere: the worker looks at the logs once a second.
_LONGER = 8
_BATCH_ROWS = 10_000
_MIB = 2**20


def measure_derived(sizes: Sizes) -> Iterator[Row]:
    """Ingest with and without a keeper, space by kind of stream, building all of a long history."""
    yield from _measure_in_store(sizes)
    yield from _measure_over_http(sizes)
    for name, stream in _KINDS.items():
        yield from _measure_space(name, stream, sizes.trades // 10)
    yield from _measure_building(sizes.trades)


def _measure_in_store(sizes: Sizes) -> Iterator[Row]:
    """The keeper has a core of its own here."""
    count = sizes.batches * _LONGER
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        paths = [Path(folder) / name for name in ("kept", "plain")]
        stores = [CsvStore(path) for path in paths]
        seconds: list[list[float]] = [[], []]
        log = Path(folder) / "keeper.log"
        with running(
            [sys.executable, "-m", "benchmarks.derived", "keep", str(paths[0])],
            environment=os.environ,
            log=log,
        ) as keeper:
            line_with(keeper, "Keeping", log=log)
            for turn in range(sizes.rounds):
                appends = list(_appends(turn * count, count))
                for store, taken in zip(stores, seconds, strict=True):
                    taken += [_seconds(store, append) for append in appends]
        yield from _note_lag(paths[0], count * sizes.rounds)
    yield from _add_ingest("in the store, the keeper on another core", seconds)


def _measure_over_http(sizes: Sizes) -> Iterator[Row]:
    """The worker and the server share a core here; while the other server has its turn, a worker is stopped."""
    count = sizes.batches * _LONGER
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
    yield from _add_ingest("over HTTP, the worker on the server's core", seconds)


def _add_ingest(name: str, seconds: list[list[float]]) -> Iterator[Row]:
    """By the sum of all batches: the few that a fold slows down count for what they are."""
    kept, plain = seconds
    yield Ratio(
        f"ingest with derived data kept current, against without: {name}",
        here=_BATCH_ROWS * len(kept) / sum(kept),
        peer=_BATCH_ROWS * len(plain) / sum(plain),
        unit="rows/s",
        wanted="at least 0.75",
    )


def _note_lag(store: Path, commits: int) -> Iterator[Row]:
    """How far the derived files were behind when the last batch was stored."""
    manifest = read_manifest(store / TRADES.name / SYMBOL / DERIVED_FOLDER)
    current = f"current to commit {manifest.commit}" if manifest else "not there yet"
    yield Note(f"beside a feed in full flood, after {commits:,} commits, the derived files were {current}")


def _appends(first: int, count: int) -> Iterator[Append]:
    for number in range(first, first + count):
        (rows,) = _DENSE.batches(_BATCH_ROWS, first=number * _BATCH_ROWS)
        yield Append(TRADES, SYMBOL, rows, "bench")


def _seconds(store: CsvStore, append: Append) -> float:
    began = time.perf_counter()
    store.append(append)
    return time.perf_counter() - began


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    """Keep a server's worker from running."""
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
        printed = run_python(
            "benchmarks.derived", "build", str(store), environment=os.environ, log=Path(folder) / "log"
        )
        built = json.loads(printed)
        reading = median(_reading_seconds(store) for _ in range(3))
    yield Ratio(
        f"{label}, against pyarrow reading their CSV by one thread",
        here=trades / built["seconds"],
        peer=trades / reading,
        unit="rows/s",
        wanted="",
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


_PERIOD_SECONDS = 1.0


def keep(store: CsvStore) -> None:
    """Round after round."""
    keeper = store.keeper()
    print("Keeping", flush=True)
    while True:
        time.sleep(_PERIOD_SECONDS)
        keeper.round(seconds=_PERIOD_SECONDS)


def build(store: CsvStore) -> None:
    """All at once."""
    before, began = memory_of_process("VmHWM"), time.perf_counter()
    store.derive(TRADES, SYMBOL, rebuild=True)
    print(
        json.dumps(
            {"seconds": time.perf_counter() - began, "before": before, "peak": memory_of_process("VmHWM")}
        )
    )


if __name__ == "__main__":
    {"keep": keep, "build": build}[sys.argv[1]](CsvStore(sys.argv[2]))
