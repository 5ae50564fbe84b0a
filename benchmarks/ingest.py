"""Batches of 10,000 trades over HTTP, acknowledged when they are durable."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.posting import Connection, post_together
from benchmarks.processes import line_with, running
from benchmarks.report import Report
from benchmarks.servers import Server, naive_peer, our_server, peer_obstacle
from benchmarks.sizes import Sizes
from benchmarks.tape import BATCH_ROWS, CSV_HEADER, batch_rows, csv_text, json_body

FEEDS = 4
WARM_UP_BATCHES = 10
_PEER_WANTED = {"small": "at least 50", "large": "at least 400"}


class Feeder:
    """Sends the stream on from where it stands, by one client or by several that share it."""

    def __init__(self, server: Server, *, feeds: int = 1) -> None:
        self.server = server
        self._feeds = feeds
        self._sent = 0

    def warm_up(self) -> None:
        """Have the server do its first batches, which import and allocate, for another symbol."""
        bodies = [(json_body(batch_rows(n), symbol="WARMU"), BATCH_ROWS) for n in range(WARM_UP_BATCHES)]
        with Connection(self.server) as connection:
            connection.post(bodies)

    def fill(self, rows: int) -> None:
        """Go on until `rows` are stored."""
        count = rows // (BATCH_ROWS * self._feeds) - self._sent
        post_together(self.server, [self._bodies(count, feed) for feed in range(self._feeds)])
        self._sent += count

    def seconds_each(self, batches: int) -> list[float]:
        """Seconds of each of the next batches, by one client."""
        bodies = list(self._bodies(batches, 0))
        self._sent += batches
        with Connection(self.server) as connection:
            return connection.post(bodies)

    def seconds_together(self, batches: int) -> float:
        """Seconds that all clients together take for so many batches each."""
        bodies = [list(self._bodies(batches, feed)) for feed in range(self._feeds)]
        self._sent += batches
        return post_together(self.server, bodies)

    def _bodies(self, count: int, feed: int) -> Iterator[tuple[bytes, int]]:
        first = self._sent
        for number in range(first, first + count):
            yield json_body(batch_rows(number, feed=feed, feeds=self._feeds)), BATCH_ROWS


def measure_one_feed(report: Report, sizes: Sizes, peers: Path | None) -> None:
    """Against the plain peer with much and with more stored, against the bare work, and against an empty store."""
    with our_server() as server:
        feeder = Feeder(server)
        ours = {}
        for name, rows in (("small", sizes.small_rows), ("large", sizes.large_rows)):
            feeder.fill(rows)
            ours[name] = median(feeder.seconds_each(sizes.batches * 2))
        _measure_peer(report, sizes, peers, ours)
        with our_server() as empty_server, _bare_work() as bare:
            empty = Feeder(empty_server)
            empty.warm_up()
            bare(WARM_UP_BATCHES)
            _measure_growth(report, sizes, feeder, empty, bare)


def measure_several_feeds(report: Report, sizes: Sizes) -> None:
    """Four feeds that write one symbol out of step: with much stored against nothing stored."""
    with our_server() as full_server, our_server() as empty_server:
        full, empty = Feeder(full_server, feeds=FEEDS), Feeder(empty_server, feeds=FEEDS)
        empty.warm_up()
        full.fill(sizes.large_rows)
        batches = max(sizes.batches // 2, 2)
        pairs = [
            (full.seconds_together(batches), empty.seconds_together(batches)) for _ in range(sizes.rounds)
        ]
    rows = batches * FEEDS * BATCH_ROWS
    report.add(
        f"four feeds out of step, {_millions(sizes.large_rows)} rows stored, against none",
        here=rows / median(seconds for seconds, _ in pairs),
        peer=rows / median(seconds for _, seconds in pairs),
        unit="rows/s",
        wanted="at least 0.9",
    )


def _measure_peer(report: Report, sizes: Sizes, peers: Path | None, ours: dict[str, float]) -> None:
    stored = {"small": sizes.small_rows, "large": sizes.large_rows}
    obstacle = peer_obstacle(peers)
    if peers is None or obstacle:
        report.left_out.append(f"ingest against the plain peer: {obstacle}")
        return
    with naive_peer(peers) as peer:
        position = 0
        for name, rows in stored.items():
            position = _preload(peer.folder / "trades.csv", position, rows // BATCH_ROWS)
            bodies = [
                (json_body(batch_rows(position + more)), BATCH_ROWS) for more in range(sizes.peer_batches)
            ]
            position += sizes.peer_batches
            with Connection(peer) as connection:
                theirs = median(connection.post(bodies))
            report.add(
                f"ingest, {_millions(rows)} rows stored, against the plain peer",
                here=BATCH_ROWS / ours[name],
                peer=BATCH_ROWS / theirs,
                unit="rows/s",
                wanted=_PEER_WANTED[name],
            )


def _measure_growth(
    report: Report, sizes: Sizes, full: Feeder, empty: Feeder, bare: Callable[[int], list[float]]
) -> None:
    """Round by round in turn, so that what else the machine does falls on all alike."""
    with_much: list[float] = []
    with_none: list[float] = []
    without_server: list[float] = []
    for _ in range(sizes.rounds):
        with_much += full.seconds_each(sizes.batches)
        with_none += empty.seconds_each(sizes.batches)
        without_server += bare(sizes.batches)
    report.add(
        f"ingest, {_millions(sizes.large_rows)} rows stored, against none",
        here=BATCH_ROWS / median(with_much),
        peer=BATCH_ROWS / median(with_none),
        unit="rows/s",
        wanted="at least 0.9",
    )
    report.add(
        "time of an ingest, against the bare work in a plain script",
        here=1000 * median(with_none),
        peer=1000 * median(without_server),
        unit="ms",
        wanted="at most 1.6",
    )


@contextmanager
def _bare_work() -> Iterator[Callable[[int], list[float]]]:
    """Seconds of each of so many batches in the plain script, which goes on where it stopped."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "bare.log"
        command = [sys.executable, "-m", "benchmarks.bare", folder]
        with running(command, environment=os.environ, log=log) as process:
            yield lambda count: _asked(process, count, log)


def _asked(process: subprocess.Popen[bytes], count: int, log: Path) -> list[float]:
    if process.stdin is None:
        return []
    process.stdin.write(b"%d\n" % count)
    return [float(seconds) for seconds in json.loads(line_with(process, "[", log=log))]


def _preload(path: Path, position: int, batches: int) -> int:
    """Write the peer's file on until it holds so many batches; returns the next one's number."""
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
