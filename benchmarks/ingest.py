"""The ingest of batches of 10,000 trades over HTTP. A batch is acknowledged when it is durable."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.clients import Connection, post_together
from benchmarks.generated_trades import BATCH_ROWS, CSV_HEADER, batch_rows, csv_text, json_body
from benchmarks.peers import naive_peer, peers_missing
from benchmarks.processes import line_with, running
from benchmarks.report import Goal, Note, Ratio, Row, Sizes
from benchmarks.servers import Server, our_server

FEEDS = 4
WARM_UP_BATCHES = 10
_PEER_GOALS = {"small": Goal(least=50), "large": Goal(least=400)}


class Feeder:
    """A sender of the next batches of the generated trades: one client, or `feeds` clients that share them."""

    def __init__(self, server: Server, *, feeds: int = 1) -> None:
        self.server = server
        self._feeds = feeds
        self._sent = 0

    def warm_up(self) -> None:
        """Send batches of another symbol, because a server's first batches import modules and allocate memory."""
        bodies = [(json_body(batch_rows(n), symbol="WARMU"), BATCH_ROWS) for n in range(WARM_UP_BATCHES)]
        with Connection(self.server) as connection:
            connection.post(bodies)

    def fill(self, rows: int) -> None:
        """Send batches until `rows` rows are stored in all."""
        count = rows // (BATCH_ROWS * self._feeds) - self._sent
        post_together(self.server, [self._bodies(count, feed) for feed in range(self._feeds)])
        self._sent += count

    def seconds_each(self, batches: int) -> list[float]:
        """Send the next batches by one client; return the seconds of each."""
        bodies = list(self._bodies(batches, 0))
        self._sent += batches
        with Connection(self.server) as connection:
            return connection.post(bodies)

    def seconds_together(self, batches: int) -> float:
        """Send the next `batches` of each client, all at once; return the seconds until the last client is done."""
        bodies = [list(self._bodies(batches, feed)) for feed in range(self._feeds)]
        self._sent += batches
        return post_together(self.server, bodies)

    def _bodies(self, count: int, feed: int) -> Iterator[tuple[bytes, int]]:
        first = self._sent
        for number in range(first, first + count):
            yield json_body(batch_rows(number, feed=feed, feeds=self._feeds)), BATCH_ROWS


def measure_one_feed(sizes: Sizes) -> Iterator[Row]:
    """Yield one feed's speed against the plain peer, against an empty store, and against a plain script.

    The script does only the work that no ingest can leave out.
    """
    with our_server() as server:
        feeder = Feeder(server)
        ours = {}
        for name, rows in (("small", sizes.small_rows), ("large", sizes.large_rows)):
            feeder.fill(rows)
            ours[name] = median(feeder.seconds_each(sizes.batches * 2))
        yield from _measure_peer(sizes, ours)
        with our_server() as empty_server, _bare_work() as bare:
            empty = Feeder(empty_server)
            empty.warm_up()
            bare(WARM_UP_BATCHES)
            yield from _measure_growth(sizes, feeder, empty, bare)


def measure_several_feeds(sizes: Sizes) -> Iterator[Row]:
    """Yield the speed of four feeds of one symbol with many rows stored, against an empty store.

    The feeds are out of step: each is one batch ahead of the feed before.
    """
    with our_server() as full_server, our_server() as empty_server:
        full, empty = Feeder(full_server, feeds=FEEDS), Feeder(empty_server, feeds=FEEDS)
        empty.warm_up()
        full.fill(sizes.large_rows)
        batches = max(sizes.batches // 2, 2)
        pairs = [
            (full.seconds_together(batches), empty.seconds_together(batches)) for _ in range(sizes.rounds)
        ]
    rows = batches * FEEDS * BATCH_ROWS
    yield Ratio(
        f"four feeds out of step, {_millions(sizes.large_rows)} rows stored, against none",
        here=rows / median(seconds for seconds, _ in pairs),
        beside=rows / median(seconds for _, seconds in pairs),
        unit="rows/s",
        goal=Goal(least=0.9),
    )


def _measure_peer(sizes: Sizes, ours: dict[str, float]) -> Iterator[Row]:
    row_counts = {"small": sizes.small_rows, "large": sizes.large_rows}
    if reason := peers_missing():
        yield Note(f"Left out: ingest against naive FastAPI: {reason}.")
        return
    with naive_peer() as naive:
        peer = naive.server
        position = 0
        for name, rows in row_counts.items():
            position = _preload(peer.folder / "trades.csv", position, rows // BATCH_ROWS)
            bodies = [
                (json_body(batch_rows(position + more)), BATCH_ROWS) for more in range(sizes.peer_batches)
            ]
            position += sizes.peer_batches
            with Connection(peer) as connection:
                theirs = median(connection.post(bodies))
            yield Ratio(
                f"ingest, {_millions(rows)} rows stored, against {naive.name}",
                here=BATCH_ROWS / ours[name],
                beside=BATCH_ROWS / theirs,
                unit="rows/s",
                goal=_PEER_GOALS[name],
                rival=True,
            )


def _measure_growth(
    sizes: Sizes, full: Feeder, empty: Feeder, bare: Callable[[int], list[float]]
) -> Iterator[Row]:
    """Measure all three in each round, so that other load on the machine slows them equally."""
    with_much: list[float] = []
    with_none: list[float] = []
    without_server: list[float] = []
    for _ in range(sizes.rounds):
        with_much += full.seconds_each(sizes.batches)
        with_none += empty.seconds_each(sizes.batches)
        without_server += bare(sizes.batches)
    yield Ratio(
        f"ingest, {_millions(sizes.large_rows)} rows stored, against none",
        here=BATCH_ROWS / median(with_much),
        beside=BATCH_ROWS / median(with_none),
        unit="rows/s",
        goal=Goal(least=0.9),
    )
    yield Ratio(
        "time of an ingest, against the bare work in a plain script",
        here=1000 * median(with_none),
        beside=1000 * median(without_server),
        unit="ms",
        goal=Goal(most=1.4),
    )


@contextmanager
def _bare_work() -> Iterator[Callable[[int], list[float]]]:
    """Yield a function. It makes the plain script store the next batches, and returns the seconds of each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "bare.log"
        command = [sys.executable, "-m", "benchmarks.ingest", folder]
        with running(command, environment=os.environ, log=log) as process:
            yield lambda count: _bare_seconds(process, count, log)


def _bare_seconds(process: subprocess.Popen[bytes], count: int, log: Path) -> list[float]:
    if process.stdin is None:
        return []
    process.stdin.write(b"%d\n" % count)
    return [float(seconds) for seconds in json.loads(line_with(process, "[", log=log))]


def _preload(path: Path, position: int, batches: int) -> int:
    """Append batches to the peer's file until it holds `batches`; return the number of the next batch."""
    with path.open("ab") as file:
        if position == 0:
            file.write(CSV_HEADER)
        for number in range(position, batches):
            file.write(csv_text(batch_rows(number)))
        file.flush()
        os.fsync(file.fileno())
    return batches


def _millions(rows: int) -> str:
    return f"{rows / 1_000_000:g} million"


class _Trade(msgspec.Struct, gc=False):
    timestamp: str
    symbol: str
    price: float
    volume: float


class _Batch(msgspec.Struct, gc=False):
    trades: list[_Trade]


_decoder = msgspec.json.Decoder(_Batch)


def store_bare(body: bytes, rows_file: int, log_file: int) -> None:
    """Store a batch durably: its rows in one open file, their digest in another."""
    trades = _decoder.decode(body).trades
    (symbol,) = set(map(attrgetter("symbol"), trades))
    texts = pa.array(list(map(attrgetter("timestamp"), trades)), pa.string())
    times = texts.cast(pa.timestamp("ns", "UTC"))
    prices = np.fromiter(map(attrgetter("price"), trades), np.float64, len(trades))
    volumes = np.fromiter(map(attrgetter("volume"), trades), np.float64, len(trades))
    columns = {
        # without a time zone: a column with one is written ten times as slowly
        "timestamp": times.cast(pa.timestamp("ns")).cast(pa.string()),
        "symbol": pa.repeat(symbol, len(trades)),
        "price": prices,
        "volume": volumes.astype(np.int64),
    }
    text = io.BytesIO()
    pacsv.write_csv(pa.table(columns), text, pacsv.WriteOptions(include_header=False, quoting_style="none"))
    rows = text.getbuffer()
    os.write(rows_file, rows)
    os.fdatasync(rows_file)
    record = {"rows": len(trades), "digest": hashlib.sha256(rows).hexdigest()}
    os.write(log_file, json.dumps(record).encode() + b"\n")
    os.fdatasync(log_file)


@contextmanager
def bare_files(folder: Path, name: str) -> Iterator[tuple[int, int]]:
    """Open the files of rows and of digests to append to them."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [os.open(folder / f"{name}.{suffix}", flags, 0o644) for suffix in ("csv", "jsonl")]
    try:
        yield files[0], files[1]
    finally:
        for file in files:
            os.close(file)


def _timed(bodies: list[bytes], folder: Path) -> Iterator[float]:
    """Store the batches in two open files of `folder`; yield the seconds of each."""
    with bare_files(folder, "rows") as files:
        for body in bodies:
            started = time.perf_counter()
            store_bare(body, *files)
            yield time.perf_counter() - started


def main(folder: Path) -> None:
    """For each number on standard input, store so many batches and print the seconds of each as JSON."""
    position = 0
    for line in sys.stdin:
        count = int(line)
        bodies = [json_body(batch_rows(position + number)) for number in range(count)]
        position += count
        print(json.dumps(list(_timed(bodies, folder))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
