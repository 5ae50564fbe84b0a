"""A server moves from files to ClickHouse and back while clients write: each acknowledged row is there once, all hashes stay."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import pytest

from store.backends import store_at
from store.datasets import STORED_DATASETS, TRADES
from store.market_store import MarketStore
from store.protocol import ALL_TIME, CommitId
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.marketdata_project.serve_process import Served, start
from tests.patience import is_kept
from tests.store.walking import logs_of
from tests.system.clickhouse import clickhouse
from tests.system.clients import CUT, connected, trades_body
from tests.system.installation import ENVIRONMENT, WEB_ONLY, installed
from tests.system.postgresql import postgresql

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.xdist_group("cluster")]

SYMBOLS = ("AAPL", "MSFT")
ROWS = 5
BATCHES = 40
PAUSE_SECONDS = 0.02
STOP_SECONDS = 60.0


class Writer:
    """A client that sends batches of rows, in turns for each symbol, and each of them until it is acknowledged."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self.acknowledged = 0
        self.is_ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self.is_ended.set()
            thread.join()

    def has_more(self, batches: int) -> bool:
        """Whether so many more batches are acknowledged, in the end."""
        wanted = self.acknowledged + batches
        return eventually(lambda: self.acknowledged >= wanted)

    def _run(self) -> None:
        for number in count():
            while not self.is_ended.is_set() and not self._sends(number):
                time.sleep(PAUSE_SECONDS)
            if self.is_ended.is_set():
                return
            self.acknowledged = number + 1
            time.sleep(PAUSE_SECONDS)

    def _sends(self, number: int) -> bool:
        body = trades_body(SYMBOLS[number % 2], [row(number, each) for each in range(ROWS)])
        with suppress(*CUT), connected(self._port, self._key) as client:
            return client.ingest(body, headers={"Idempotency-Key": f"batch-{number}"}).status == 200
        return False


def row(batch: int, number: int) -> dict[str, object]:
    second = batch % 3600
    return {
        "timestamp": f"2025-01-{2 + batch % 3:02}T15:{second // 60:02}:{second % 60:02}.{number}Z",
        "price": 100.0 + number,
        "volume": 1.0,
        "trade_id": f"{batch}-{number}",
    }


def heads(store: MarketStore) -> dict[str, CommitId]:
    """The newest commit of each log; its hash covers all commits before."""
    names = [(each, symbol) for each in STORED_DATASETS.values() for symbol in store.symbols(each)]
    return {f"{dataset.name}/{symbol}": store.log(dataset, symbol).head for dataset, symbol in names}


def moved(of: Served, origin: str, to: str, environment: dict[str, str], told: Told) -> Served:
    """Copy a store while its server runs, stop the server, copy the rest, and start it over the copy."""
    for _ in range(2):
        assert " rows copied" in of.manage("store", "copy", origin, to)
    began = time.monotonic()
    of.process.send_signal(signal.SIGTERM)
    assert of.ended()
    stopped = time.monotonic()
    said = of.manage("store", "copy", origin, to)
    copied = time.monotonic()
    assert heads(store_at(origin)) == heads(store_at(to))
    checked = time.monotonic()
    output = of.output.with_suffix(f".{to.partition(':')[0]}")
    served = start(of.data_dir, output, **{**environment, "MARKET_STORE": to})
    try:
        assert eventually(lambda: served.get("/readyz")[0] == 200)
    except BaseException:
        served.kill()
        raise
    seconds = time.monotonic() - began - (checked - copied)
    told(
        f"server moved to {to.partition(':')[0]}",
        f"{seconds:.1f} s without a server: {stopped - began:.1f} s stop, {copied - stopped:.1f} s copy"
        f" ({said.strip()}), {time.monotonic() - checked:.1f} s start",
    )
    assert is_kept(STOP_SECONDS, seconds)
    return served


def test_a_server_moves_to_clickhouse_and_back(tmp_path: Path, told: Told):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        environment = {**ENVIRONMENT, **WEB_ONLY, "LOAD_SAMPLE": "0", "PORT": str(free.getsockname()[1])}
    with ExitStack() as stack:
        postgres, hosts = stack.enter_context(postgresql()), stack.enter_context(clickhouse())
        servers = f"clickhouse://{hosts}/moved?{urlencode({'postgres': postgres})}"
        first = stack.enter_context(installed(tmp_path, **environment))
        files, back = f"csv://{first.served.data_dir}", f"csv://{tmp_path / 'back'}"
        writer = Writer(int(environment["PORT"]), first.key)
        with writer.running():
            assert writer.has_more(BATCHES)
            second = moved(first.served, files, servers, environment, told)
            stack.callback(second.kill)
            assert writer.has_more(BATCHES)
            third = moved(second, servers, back, environment, told)
            stack.callback(third.kill)
            assert writer.has_more(BATCHES)
        third.manage("store", "verify", "--store", back)  # raises if it finds anything
        kept, on_servers, there = (
            logs_of(store_at(files)),
            logs_of(store_at(servers)),
            logs_of(store_at(back)),
        )
        assert len(there) == len(SYMBOLS)
        for name, commits in there.items():
            assert commits[: len(kept[name])] == kept[name]
            assert commits[: len(on_servers[name])] == on_servers[name]
            assert len(kept[name]) < len(on_servers[name]) < len(commits)
        ids = [
            each
            for symbol in SYMBOLS
            for each in store_at(back).log(TRADES, symbol).at().rows(ALL_TIME)["trade_id"].to_pylist()
        ]
        assert len(ids) == len(set(ids))
        assert {f"{batch}-{each}" for batch in range(writer.acknowledged) for each in range(ROWS)} <= set(ids)
