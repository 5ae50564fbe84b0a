"""A running server moves from files into a cluster: no request fails, no live connection ends or misses a message."""

import subprocess
import threading
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import pytest

from store.backends import store_at
from store.copying import StoreCopy
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.front.front_server import Reply, eventually
from tests.hostile.figures import Told
from tests.system.batches import Batch
from tests.system.clickhouse import clickhouse
from tests.system.clients import Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, Installation, installed
from tests.system.kills import restarted
from tests.system.live_clients import LiveCrowd
from tests.system.live_logs import LogItems
from tests.system.postgresql import postgresql
from tests.system.test_live import BATCH_ROWS, begun

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("cluster")]

SYMBOLS = [f"MOVE{number}" for number in range(8)]
ROWS, CLIENTS, SECONDS = 20, 100, 3.0
ROWS_OF = "/api/v1/market-data/equities/{}/trades?start=2025-01-02T00:00:00Z&end=2025-01-02T00:00:30Z&limit=5"
QUIET = "QUIET"


class Load:
    """Callers that store batches, and read them at once; each answer must be a good one. waits: seconds of each batch."""

    def __init__(self) -> None:
        self._numbers = count(10)
        self.waits: list[float] = []

    def work(self, client: Client, stopping: threading.Event) -> None:
        tag = ""
        while not stopping.wait(0.02):
            number = next(self._numbers)
            batch = Batch(number, SYMBOLS[number % len(SYMBOLS)], ROWS, has_ids=number % 2 == 0)
            began = time.monotonic()
            stored = client.ingest(batch.body)
            self.waits.append(time.monotonic() - began)
            assert stored.status == 200, (stored.status, stored.body)
            assert stored.json()["stored"] == ROWS
            # The process that stored them shows them at once.
            bars = client.get(f"/v1/stats/ohlc?symbol={batch.symbol}&interval=1d", {"If-None-Match": tag})
            assert bars.status == 200, (bars.status, bars.body)
            tag = bars.headers["etag"]


def check_live(crowd: LiveCrowd, store: CsvStore) -> None:
    items = {f"trades:{symbol}": LogItems(store, TRADES, symbol) for symbol in SYMBOLS}
    assert crowd.have({channel: each.last for channel, each in items.items()}), crowd.faults()
    assert crowd.faults() == []
    assert {client.connections for client in crowd.clients} == {1}
    for client in crowd.clients:
        for channel, feed in client.feeds.items():
            items[channel].check(feed.received)


def switched(installation: Installation, url: str) -> str:
    """What the command says; tried again while more is written than a busy machine copies in a pause."""
    for _ in range(5):
        try:
            return installation.served.manage("store", "switch", url)
        except subprocess.CalledProcessError as error:
            if "try again when less is written" not in error.stderr:
                raise AssertionError(error.stderr) from error
    pytest.fail("the store stays where it is")


def move_under_load(installation: Installation, key: str, url: str) -> tuple[Load, str]:
    load = Load()
    with (
        clients_of_every_web(installation.served, key, each=2) as clients,
        Crowd(clients, load.work) as crowd,
    ):
        time.sleep(SECONDS)
        said = switched(installation, url)
        moved = len(load.waits)
        assert eventually(lambda: crowd.errors or len(load.waits) > moved + 20)
        crowd.end()
        assert crowd.errors == []
    return load, said


def test_a_server_moves_into_a_cluster_under_load(tmp_path: Path, told: Told):
    with ExitStack() as stack:
        postgres, hosts = stack.enter_context(postgresql()), stack.enter_context(clickhouse())
        installation = stack.enter_context(installed(tmp_path / "in", LOAD_SAMPLE="0"))
        url = f"clickhouse://{hosts}/moved?{urlencode({'postgres': postgres})}"
        key = installation.new_key(tier="internal", rate=UNLIMITED)
        begun(installation, key, [*SYMBOLS, QUIET])
        with connected(installation.port, key) as client:
            first = {symbol: client.get(ROWS_OF.format(symbol)) for symbol in (SYMBOLS[0], QUIET)}
        assert {each.status for each in first.values()} == {200}, first[QUIET].body
        keys = [installation.new_key(tier="internal", rate=UNLIMITED) for _ in range(CLIENTS // 20)]
        back = CsvStore(tmp_path / "back")
        with LiveCrowd(installation.port, *keys) as crowd:
            for number in range(CLIENTS):
                crowd.add(f"trades:{SYMBOLS[number % 8]}", token="0" if number % 3 == 0 else None)
            assert crowd.are_subscribed()
            load, said = move_under_load(installation, key, url)
            # The way back: a copy into files, by which everything is checked.
            assert [each.problem for each in StoreCopy(store_at(url), back).round() if each.problem] == []
            check_live(crowd, back)
        told(
            "50 moved", f"{len(load.waits)} batches, the longest took {max(load.waits):.2f} s; {said.strip()}"
        )
        rows = sum(back.log(TRADES, symbol).at().rows(ALL_TIME).num_rows for symbol in SYMBOLS)
        assert rows == len(load.waits) * ROWS + len(SYMBOLS) * BATCH_ROWS
        files = CsvStore(installation.served.data_dir)
        assert files.log(TRADES, SYMBOLS[0]).head.number < back.log(TRADES, SYMBOLS[0]).head.number
        with connected(installation.port, key) as client:
            check_tokens(client, first)
        # Without MARKET_STORE, too, the next start finds the data.
        installation.served.process.terminate()
        assert installation.served.ended()
        restarted(installation, LOAD_SAMPLE="0")
        assert installation.is_complete()
        with connected(installation.port, key) as client:
            check_tokens(client, first)


def check_tokens(client: Client, first: dict[str, Reply]) -> None:
    """Assert that tags and cursors that were given before the move are valid."""
    same = client.get(ROWS_OF.format(QUIET), {"If-None-Match": first[QUIET].headers["etag"]})
    assert same.status == 304, same.body
    for symbol, answer in first.items():
        cursor = urlencode({"cursor": answer.json()["next_cursor"]})
        second = client.get(f"{ROWS_OF.format(symbol)}&{cursor}")
        assert second.status == 200, second.body
        times = [each["timestamp"] for page in (answer, second) for each in page.json()["trades"]]
        assert (len(times), times) == (10, sorted(times))
