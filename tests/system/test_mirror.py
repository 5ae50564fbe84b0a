"""A mirror of a running installation: killed, restored beneath it, served; it has the origin's commits and ETags."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS, MINUTE_NS
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import MANAGE, SETTINGS
from tests.patience import PROGRAM_SECONDS
from tests.store.builders import amendment, batch, cancel, trade
from tests.store.csv.copying.origins import logs_of
from tests.system.installation import WEB_ONLY, Installation, installed

pytestmark = pytest.mark.system

KILLS = 100 if SOAK else 1
# Every commit is compared in the end.
PAUSE_SECONDS = 0.02 if SOAK else 0.1
NAMES = ("AAPL", "MSFT")
RANGE = "start=2025-01-02T12:00:00Z&end=2025-01-04T00:00:00Z"
READS = [
    f"/api/v1/market-data/equities/AAPL/ohlcv?resolution=1m&{RANGE}",
    f"/api/v1/market-data/equities/AAPL/ohlcv?resolution=1d&session=utc&{RANGE}",
    "/api/v1/market-data/equities/MSFT/trades?start=2025-01-02T12:00:00Z&end=2025-01-02T13:00:00Z",
]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "whole").mkdir()
    with installed(tmp_path / "whole", **WEB_ONLY, LOAD_SAMPLE="0") as installation:
        yield installation


class Feed(threading.Thread):
    """Stores batches and corrections at the origin until it is ended."""

    def __init__(self, store: CsvStore) -> None:
        super().__init__()
        self._store, self._over = store, threading.Event()
        self._chance = random.Random(7)

    def run(self) -> None:
        number = 0
        while not self._over.wait(PAUSE_SECONDS):
            number += 1
            write_some(self._store, number, self._chance)

    def end(self) -> None:
        self._over.set()
        self.join()


def write_some(store: CsvStore, number: int, chance: random.Random) -> None:
    symbol = NAMES[number % 2]
    times = [chance.randrange(0, DAY_NS, MINUTE_NS // 4) for _ in range(chance.randrange(1, 40))]
    rows = [trade(at, chance.randrange(90, 110), trade_id=f"{number}.{n}") for n, at in enumerate(times)]
    store.append(batch(*rows, symbol=symbol))
    if number % 5 == 0:
        store.correct(amendment(cancel(times[0], trade_id=f"{number}.0"), symbol=symbol))


@contextlib.contextmanager
def mirroring(origin: Installation, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A running `manage.py mirror`; what it says is in a file beside the folder."""
    with (folder.parent / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [
                sys.executable,
                str(MANAGE),
                "mirror",
                f"http://127.0.0.1:{origin.port}",
                str(folder),
                *NAMES,
                *options,
            ],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "MARKETDATA_KEY": origin.key},
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said_by(origin: Installation, folder: Path, *options: str) -> tuple[int, str]:
    """The exit status of `manage.py mirror … --once`, and what it says."""
    with mirroring(origin, folder, "--once", *options) as process:
        status = process.wait(PROGRAM_SECONDS)
    return status, said_in(folder)


def said_in(folder: Path) -> str:
    return (folder.parent / "said.txt").read_text()


def heads(store: CsvStore) -> dict[str, int]:
    return {name: store.log(TRADES, name).head.number for name in store.symbols(TRADES)}


def has_moved(folder: Path) -> Callable[[], bool]:
    """Whether the mirror's logs have more commits than now."""
    before = heads(CsvStore(folder)) if folder.exists() else {}
    return lambda: folder.exists() and heads(CsvStore(folder)) != before


def check_is_a_beginning(mirror: CsvStore, origin: CsvStore) -> None:
    """Whatever a killed mirror left is the origin's log up to a commit."""
    for name in mirror.symbols(TRADES):
        head = mirror.log(TRADES, name).head
        assert origin.log(TRADES, name).at(head.number).commit == head
        assert [finding for finding in mirror.check(TRADES, name).findings() if not finding.is_harmless] == []


def check_is_equal(mirror: CsvStore, origin: CsvStore, folder: Path, data_dir: Path) -> None:
    for name in NAMES:
        head = origin.log(TRADES, name).head
        assert mirror.log(TRADES, name).head == head
        for number in range(1, head.number + 1):
            assert mirror.log(TRADES, name).at(number).commit == origin.log(TRADES, name).at(number).commit
            assert mirror.log(TRADES, name).committed_at(number) == origin.log(TRADES, name).committed_at(
                number
            )
        for number in {1, head.number // 3, head.number // 2, head.number}:
            bars = [each.log(TRADES, name).at(number).bars(ALL_TIME, MINUTE_NS) for each in (mirror, origin)]
            assert all(
                getattr(bars[0], column).tolist() == getattr(bars[1], column).tolist()
                for column in type(bars[0]).__slots__
            )
        assert mirror.declarations(name) == origin.declarations(name)
    assert logs_in(folder) == logs_in(data_dir)


def logs_in(folder: Path) -> dict[str, list[Any]]:
    return {name: data for name, data in logs_of(folder).items() if name.startswith("trades/")}


def ask(installation: Installation, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", installation.port, timeout=60)
    try:
        connection.request("GET", path, headers={"X-API-Key": installation.key, **headers})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["ETag"]
    finally:
        connection.close()


def test_kills_a_restore_and_the_same_tags(origin: Installation, tmp_path: Path, seed: int) -> None:
    chance, folder, data_dir = random.Random(seed), tmp_path / "mirror", origin.served.data_dir
    origin.store.set_instruments([Instrument(name, exchange="XNAS") for name in NAMES])
    origin.store.append(batch(trade(0), symbol="AAPL"))
    feed = Feed(origin.store)
    feed.start()
    try:
        for kill in range(KILLS):
            with mirroring(origin, folder) as process:
                assert eventually(has_moved(folder), seconds=PROGRAM_SECONDS), said_in(folder)
                time.sleep(chance.uniform(0, 0.5))
                process.send_signal(signal.SIGKILL)
                process.wait()
            check_is_a_beginning(CsvStore(folder), origin.store)
            if kill == (KILLS - 1) // 2:
                shutil.copytree(data_dir / "trades", tmp_path / "older")
                copied = heads(origin.store)
        assert eventually(lambda: all(head > copied[name] for name, head in heads(origin.store).items()))
    finally:
        feed.end()

    # It follows what comes, and SIGTERM ends it.
    with mirroring(origin, folder) as process:
        assert eventually(lambda: "current" in said_in(folder), seconds=PROGRAM_SECONDS)
        write_some(origin.store, 2_000, chance)
        head = origin.store.log(TRADES, "AAPL").head
        assert eventually(lambda: CsvStore(folder).log(TRADES, "AAPL").head == head)
        process.terminate()
        assert process.wait(PROGRAM_SECONDS) == 0
    assert "3 logs, behind by 0 commits and 0 s" in said_in(folder)
    check_is_equal(CsvStore(folder), origin.store, folder, data_dir)

    # The origin is restored, and goes on with other commits.
    kept = logs_in(folder)
    (data_dir / "trades").rename(tmp_path / "lost")
    shutil.copytree(tmp_path / "older", data_dir / "trades", ignore=shutil.ignore_patterns(".derived"))
    for number in range(1_000, 1_010):
        write_some(origin.store, number, chance)
    status, said = said_by(origin, folder)
    assert status == 1
    assert "it was restored, or this folder was written to" in said
    assert logs_in(folder) == kept
    status, said = said_by(origin, folder, "--anew")
    assert status == 0, said
    check_is_equal(CsvStore(folder), origin.store, folder, data_dir)
    assert open_store(folder).bars("AAPL") is not None

    # A server over the mirror gives the origin's tags, and takes no rows.
    (tmp_path / "served").mkdir()
    with installed(
        tmp_path / "served", data_dir=folder, **WEB_ONLY, LOAD_SAMPLE="0", SAMPLE_FEED="0"
    ) as served:
        for path in READS:
            status_here, etag = ask(served, path)
            assert status_here == 200
            assert ask(origin, path, **{"If-None-Match": etag}) == (304, etag)
