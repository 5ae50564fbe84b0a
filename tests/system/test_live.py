"""The live feed over real processes: whoever is cut off, killed, restarted or emptied, each client has each row once, in order."""

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import orjson
import pytest

from store.datasets import TRADES
from store.protocol import ALL_TIME, CommitId
from tests.chance import SOAK, examples
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.marketdata_project.serve_process import Served
from tests.system.batches import Batch
from tests.system.clients import CUT, Client, connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed
from tests.system.kills import restarted
from tests.system.live_clients import LiveCrowd
from tests.system.live_logs import LogItems, store_of
from tests.system.redis_faults import kill_redis

CORRECTIONS = "/api/v1/trades/corrections"
JSON = {"Content-Type": "application/json"}

CLIENTS = 1000 if SOAK else 40
SECONDS = 30.0 if SOAK else 2.0
SYMBOLS = [f"LIVE{number}" for number in range(20)]
BATCH_ROWS, BATCHES_PER_SECOND = 100, 50
SENDERS = 4

ROUNDS = 2 if SOAK else 1
CUTS = examples(500) if SOAK else 10
CUT_CLIENTS = 20 if SOAK else 8
IMPORTED, RESTORED = "IMPORTED", "RESTORED"
CUT_SYMBOLS = ["CUTA", "CUTB", IMPORTED, RESTORED]
IMPORTED_ROWS = 50_000 if SOAK else 5_000


def corrected(client: Client, batch: Batch) -> None:
    """Cancel the first row of a stored batch, and correct its second and, twice, its last one."""
    rows = orjson.loads(batch.body)["trades"]
    last = {"action": "correct", **_name_of(rows[-1])}
    corrections = [
        {"action": "cancel", **_name_of(rows[0])},
        {"action": "correct", **_name_of(rows[1]), "new_price": 7.25, "new_conditions": ["odd_lot"]},
        {**last, "new_price": 8.5},
        {**last, "price": 8.5, "new_volume": batch.number + 1},
    ]
    body = orjson.dumps({"symbol": batch.symbol, "corrections": corrections})
    reply = client.call("POST", CORRECTIONS, body, JSON)
    assert reply.status == 200, reply.body


def _name_of(row: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in ("timestamp", "price", "volume")}


class Senders:
    """Threads that send batches at a pace to symbols in turns, and again what was cut off, until they are stopped."""

    def __init__(
        self, installation: Installation, key: str, symbols: Sequence[str], *, per_second: float
    ) -> None:
        self._port, self._key, self._symbols, self._pace = installation.port, key, symbols, 1 / per_second
        self._numbers = count(10)
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self.sent = 0

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        self._began = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as pool:
            running = [pool.submit(self._send) for _ in range(SENDERS)]
            try:
                yield
            finally:
                self._stopping.set()
        for each in running:
            each.result()

    def _send(self) -> None:
        waiting: Batch | None = None
        while not self._stopping.is_set():
            with contextlib.suppress(*CUT), connected(self._port, self._key) as client:
                while not self._stopping.is_set():
                    waiting = waiting or self._next()
                    reply = client.ingest_patiently(waiting.body)
                    if reply.status == 200:
                        waiting, self.sent = None, self.sent + 1
                    else:
                        assert reply.status == 503, reply.body
            self._stopping.wait(0.1)

    def _next(self) -> Batch:
        number = next(self._numbers)
        self._stopping.wait(max(0.0, self._began + (number - 10) * self._pace - time.monotonic()))
        return Batch(number, self._symbols[number % len(self._symbols)], BATCH_ROWS, number % 2 == 0)


def begun(installation: Installation, key: str, symbols: Sequence[str]) -> None:
    """Store a first batch of each symbol."""
    with connected(installation.port, key) as client:
        for symbol in symbols:
            assert client.ingest(Batch(1, symbol, BATCH_ROWS, has_ids=False).body).status == 200


def check(crowd: LiveCrowd, installation: Installation, symbols: Sequence[str]) -> dict[str, LogItems]:
    """Assert that each client comes to have all of its channels, as the store has them, once and in order."""
    items = {f"trades:{symbol}": LogItems(installation.store, TRADES, symbol) for symbol in symbols}
    assert crowd.have({channel: each.last for channel, each in items.items()}), crowd.faults()
    assert crowd.faults() == []
    for client in crowd.clients:
        for channel, feed in client.feeds.items():
            items[channel].check(feed.received)
    return items


@pytest.mark.xdist_group("live")
def test_nobody_misses_or_repeats_a_row_under_load(installation: Installation, told: Told) -> None:
    key = installation.new_key(tier="internal", rate=UNLIMITED)
    begun(installation, key, SYMBOLS)
    senders = Senders(installation, key, SYMBOLS, per_second=BATCHES_PER_SECOND)
    # A caller may have 20 connections in a process.
    keys = [installation.new_key(tier="internal", rate=UNLIMITED) for _ in range(-(-CLIENTS // 20))]
    with LiveCrowd(installation.port, *keys) as crowd:
        for number in range(CLIENTS):
            # Some have everything from the disk first, and most begin now.
            crowd.add(f"trades:{SYMBOLS[number % 20]}", token="0" if number % 3 == 0 else None)
        first = f"{installation.store.log(TRADES, SYMBOLS[0]).head.token}.{BATCH_ROWS - 1}"
        assert crowd.are_subscribed()
        assert crowd.have({f"trades:{SYMBOLS[0]}": first})
        crowd.delays_ms()
        with senders.sending():
            time.sleep(SECONDS / 2)
            with connected(installation.port, key) as client:
                corrected(client, Batch(1, SYMBOLS[0], BATCH_ROWS, has_ids=False))
            time.sleep(SECONDS / 2)
        check(crowd, installation, SYMBOLS)
        delays = crowd.delays_ms()
        told(
            f"15 {CLIENTS} live clients",
            f"{senders.sent} batches of {BATCH_ROWS} in {SECONDS:.0f} s, {len(delays)} frames; from commit to receipt "
            f"{delays[len(delays) // 2]:.1f} ms, p99 {delays[len(delays) * 99 // 100]:.1f} ms",
        )
        frames = crowd.clients[0].feeds[f"trades:{SYMBOLS[0]}"].frames
        made, kept = store_of(TRADES, SYMBOLS[0], frames), installation.store
    assert any(frame.kind for frame in frames)
    assert made.log(TRADES, SYMBOLS[0]).head.number == kept.log(TRADES, SYMBOLS[0]).head.number
    rows = kept.log(TRADES, SYMBOLS[0]).at().rows(ALL_TIME).combine_chunks()
    assert made.log(TRADES, SYMBOLS[0]).at().rows(ALL_TIME).combine_chunks().equals(rows)


def import_file(folder: Path) -> Path:
    rows = [
        f"2025-03-03T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z,{1 + number % 99},1"
        for number in range(IMPORTED_ROWS)
    ]
    path = folder / f"{IMPORTED}.csv"
    path.write_text("\n".join(["timestamp,price,volume", *rows, ""]))
    return path


def kill_one_web(installation: Installation, chance: random.Random) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(installation.webs()), signal.SIGKILL)


def empty_redis(installation: Installation) -> None:
    with contextlib.closing(installation.redis) as redis:
        redis.flushall()


def copy_of(installation: Installation, copy: Path) -> Path:
    """Copy a log that is being written: its commits first, so that the rows that they name are there, too."""
    log = installation.served.data_dir / "trades" / RESTORED
    commits = (log / "commits.jsonl").read_bytes()
    shutil.copytree(log, copy, ignore=shutil.ignore_patterns(".derived"))
    (copy / "commits.jsonl").write_bytes(commits)
    return copy


def restart_from_copy(installation: Installation, copy: Path) -> None:
    """Kill everything, put an older copy in the place of a log, and start again."""
    installation.kill_everything(list(installation.served.members()))
    log = installation.served.data_dir / "trades" / RESTORED
    shutil.rmtree(log)
    shutil.copytree(copy, log)
    restarted(installation, **WEB_ONLY)
    assert installation.is_ready()


def are_beyond(crowd: LiveCrowd, commit: CommitId) -> bool:
    """Whether all clients come to have commits of the log that is restored, which are not in its copy."""

    def is_beyond(token: str | None) -> bool:
        return token is not None and int(token.partition("-")[0]) > commit.number

    feeds = [client.feeds[f"trades:{RESTORED}"] for client in crowd.clients]
    return eventually(lambda: all(is_beyond(feed.token) for feed in feeds))


def one_round(
    installation: Installation, crowd: LiveCrowd, chance: random.Random, folder: Path, number: int
) -> None:
    """An import, and meanwhile a fault of each kind, one after the other."""
    copy = copy_of(installation, folder / f"copy-{number}")
    copied = installation.store.log(TRADES, RESTORED).head
    served: Served = installation.served
    with ThreadPoolExecutor(1) as pool:
        importing: Future[str] | None = None
        if number == 0:
            importing = pool.submit(served.manage, "import", str(import_file(folder)), "--yes")
        faults = [
            lambda: kill_redis(installation),
            lambda: empty_redis(installation),
            lambda: kill_one_web(installation, chance),
        ]
        chance.shuffle(faults)
        for fault in faults:
            time.sleep(chance.uniform(0.2, 0.8))
            fault()
        if importing is not None:
            importing.result()
    assert installation.is_complete()
    assert are_beyond(crowd, copied)
    restart_from_copy(installation, copy)
    time.sleep(1)


def cut_off(crowd: LiveCrowd, chance: random.Random, stopping: threading.Event) -> int:
    """Cut off clients at random moments until there were enough, and the faults are over."""
    for cuts in count():
        if stopping.is_set() and cuts >= CUTS:
            return cuts
        time.sleep(chance.uniform(0.01, 0.1 if SOAK else 1.5))
        crowd.cut([chance.choice(crowd.clients)])
    raise AssertionError


@pytest.mark.xdist_group("live_cuts")
def test_whoever_is_cut_off_or_killed_continues_where_it_was(tmp_path: Path, seed: int, told: Told) -> None:
    chance, stopping = random.Random(seed), threading.Event()
    with installed(tmp_path, **WEB_ONLY) as installation:
        key = installation.new_key(tier="internal", rate=UNLIMITED)
        begun(installation, key, CUT_SYMBOLS)
        other = installation.new_key(tier="internal", rate=UNLIMITED)
        with LiveCrowd(installation.port, key, other) as crowd, ThreadPoolExecutor(1) as pool:
            for number in range(CUT_CLIENTS):
                channels = [f"trades:{symbol}" for symbol in CUT_SYMBOLS]
                crowd.add(*channels, token="0" if number % 2 else None)
            assert crowd.are_subscribed()
            cuts = pool.submit(cut_off, crowd, random.Random(seed), stopping)
            senders = Senders(installation, key, CUT_SYMBOLS, per_second=20)
            with senders.sending():
                try:
                    for number in range(ROUNDS):
                        one_round(installation, crowd, chance, tmp_path, number)
                finally:
                    stopping.set()
                times = cuts.result()
            check(crowd, installation, CUT_SYMBOLS)
            resyncs = {client.feeds[f"trades:{RESTORED}"].resyncs for client in crowd.clients}
            others = [
                feed
                for client in crowd.clients
                for name, feed in client.feeds.items()
                if RESTORED not in name
            ]
            told(
                f"15 19 {CUT_CLIENTS} live clients cut off",
                f"{times} cuts, {ROUNDS} x Redis killed and emptied, a web process and then everything killed; "
                f"{senders.sent} batches and {IMPORTED_ROWS} imported rows: 0 missing, 0 repeated, "
                f"{max(resyncs)} resyncs of the restored log",
            )
            assert resyncs == {ROUNDS}
            assert {feed.resyncs for feed in others} == {0}
        assert eventually(installation.is_ready)
        text = installation.served.output.read_text()
        assert "Traceback" not in text, text[text.index("Traceback") - 300 :][:6000]
