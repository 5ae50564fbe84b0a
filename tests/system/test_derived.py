"""Derived files and instruments beside a running installation: the worker builds them, nobody sees a difference."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from store import open_store
from store.csv.derived.manifest import read_manifest
from store.timestamps import format_timestamp
from tests.front.front_server import Reply, eventually
from tests.system.clients import OHLC, Client, clients_of_every_web, connected, trades_body
from tests.system.installation import UNLIMITED, WORKERS, Installation
from tests.system.undisturbed import is_disturbed, undisturbed

pytestmark = pytest.mark.xdist_group("installation")

SYMBOLS = ["DERIVED", "INSTRUMENT"]
# Bars of long ago, which Redis keeps for longer than a slow machine takes to run a command.
PATH = f"{OHLC}?symbol=INSTRUMENT&interval=1h&start=2025-03-03&end=2025-03-05"
INTERVALS = ("1min", "5min", "1h", "1d")


def body(symbol: str, day: int) -> bytes:
    """An hour of trades, every third of which sets no price under the policy of US equities."""
    rows = [
        {
            "timestamp": f"2025-03-{day:02}T15:{n // 6:02}:{n % 6 * 10:02}Z",
            "price": 100 + n * 7 % 31 / 4,
            "volume": 1 + n / 8,
            "conditions": ["odd_lot"] if n % 3 == 2 else ["regular"],
        }
        for n in range(360)
    ]
    return trades_body(symbol, rows)


@pytest.fixture
def key(installation: Installation) -> str:
    key = installation.new_key(rate=UNLIMITED)
    with connected(installation.port, key) as client:
        for symbol in SYMBOLS:
            for day in (3, 4):
                assert client.ingest(body(symbol, day)).status == 200
    return key


@pytest.fixture
def clients(installation: Installation, key: str) -> Iterator[list[Client]]:
    """One of each web process."""
    with clients_of_every_web(installation.served, key, each=1) as clients:
        assert len(clients) == WORKERS
        yield clients


def derived(installation: Installation, symbol: str) -> Path:
    return installation.served.data_dir / "trades" / symbol / ".derived"


def is_current(installation: Installation, symbol: str) -> bool:
    """Whether the derived files hold the newest commit."""
    commits = (derived(installation, symbol).parent / "commits.jsonl").read_bytes().count(b"\n")
    manifest = read_manifest(derived(installation, symbol))
    return manifest is not None and manifest.commit == commits


def answers(clients: list[Client], symbol: str) -> list[bytes]:
    """The bars of every interval, from each process; new ones at each call, for their end is another."""
    end = format_timestamp(4 * 10**18 - next(_ends))
    paths = [f"{OHLC}?symbol={symbol}&interval={interval}&end={end}" for interval in INTERVALS]
    replies = [client.get(path) for client in clients for path in paths]
    assert {reply.status for reply in replies} == {200}
    return [reply.body for reply in replies]


_ends = iter(range(10**9, 2**62, 10**9))


def test_the_worker_derives_and_nobody_sees_a_difference(
    installation: Installation, clients: list[Client]
) -> None:
    before = answers(clients, "DERIVED")
    assert eventually(lambda: is_current(installation, "DERIVED"))
    assert answers(clients, "DERIVED") == before
    assert clients[0].ingest(body("DERIVED", 5)).status == 200
    with_a_tail = answers(clients, "DERIVED")
    assert eventually(lambda: is_current(installation, "DERIVED"))
    assert answers(clients, "DERIVED") == with_a_tail != before


def test_derived_files_may_be_deleted_while_they_are_served(
    installation: Installation, clients: list[Client]
) -> None:
    before = answers(clients, "DERIVED")
    for _ in range(5):
        shutil.rmtree(derived(installation, "DERIVED"), ignore_errors=True)
        assert answers(clients, "DERIVED") == before
    assert eventually(lambda: is_current(installation, "DERIVED"))
    assert answers(clients, "DERIVED") == before


def test_bars_over_http_are_those_of_the_reader_in_process(
    installation: Installation, clients: list[Client]
) -> None:
    reader = open_store(installation.served.data_dir)
    for interval in INTERVALS:
        bars = reader.bars("DERIVED", interval=interval)
        for client in clients:
            rows = client.bars("DERIVED", interval).json()["data"]
            assert [row["timestamp"] for row in rows] == [
                format_timestamp(at) for at in bars.time_ns.tolist()
            ]
            for name in ("open", "high", "low", "close", "volume"):
                assert [row[name] for row in rows] == getattr(bars, name).tolist()


def declare_policy(client: Client, policy: str) -> None:
    body = orjson.dumps({"bar_policy": policy})
    path, json = "/api/v1/instruments/INSTRUMENT", {"Content-Type": "application/json"}
    assert client.call("PUT", path, body, json).status == 200


def set_policy(installation: Installation, policy: str) -> None:
    """Sets it by a command, in a process of its own."""
    printed = installation.served.manage("instrument", "INSTRUMENT", "--bar-policy", policy)
    assert json.loads(printed)["bar_policy"] == policy


def test_another_bar_policy_counts_at_once_in_every_process(
    installation: Installation, clients: list[Client]
) -> None:
    def replies() -> list[Reply]:
        return [client.get(PATH) for client in clients]

    declare_policy(clients[0], "all")
    replies()
    of_all = undisturbed(replies)
    assert {reply.headers["x-cache"] for reply in of_all} == {"hit"}
    set_policy(installation, "us_equities")
    of_us = replies()
    if not is_disturbed(of_us):
        # The other one's, by way of Redis.
        assert sorted(reply.headers["x-cache"] for reply in of_us) == ["hit", "miss"]
    assert {reply.headers["etag"] for reply in of_us}.isdisjoint(reply.headers["etag"] for reply in of_all)
    assert len({reply.body for reply in of_us} | {reply.body for reply in of_all}) == 2
    tagged = {"If-None-Match": of_all[0].headers["etag"]}
    assert clients[0].get(PATH, tagged).status == 200
    declare_policy(clients[0], "all")
    again = undisturbed(replies)
    assert [(reply.headers["x-cache"], reply.headers["etag"], reply.body) for reply in again] == [
        ("hit", reply.headers["etag"], reply.body) for reply in of_all
    ]
