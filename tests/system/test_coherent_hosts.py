"""Several hosts over one PostgreSQL, one Redis and one ClickHouse: whoever is asked, the answer is the same."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ops.serve.embedded_redis import EmbeddedRedis
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served, start
from tests.system.clickhouse import clickhouse
from tests.system.clients import OHLC, Client, connected
from tests.system.installation import UNLIMITED
from tests.system.live_clients import talking
from tests.system.postgresql import postgresql
from tests.system.test_clickhouse_server import rows

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("cluster")]


class CoherentHosts:
    """Two hosts with web processes, and two with a worker, an engine and a job worker each."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self.key = ""
        self.all: list[Served] = []

    def start(self, name: str, roles: str) -> Served:
        output = self._folder / f"{name}.txt"
        host = start(self._folder / name, output, "--only", roles, **self._environment)
        self.all.append(host)
        host.says(r"Ready")
        return host

    def begin(self) -> None:
        self.webs = [self.start(f"web{number}", "web") for number in (1, 2)]
        self.others = [self.start(f"other{number}", "worker,engine,jobs") for number in (1, 2)]
        self.key = self.new_key("first", "--tier", "internal", "--rate", str(UNLIMITED))

    def new_key(self, name: str, *options: str) -> str:
        said = self.webs[0].manage(
            "apikey", "create", name, "--scope", "all", "--sensitivity", "confidential", "--account", "*",
            "--json", *options, **self._environment,
        )  # fmt: skip
        key: str = json.loads(said)["key"]
        return key


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Iterator[CoherentHosts]:
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as stack:
        postgres, shards = stack.enter_context(postgresql()), stack.enter_context(clickhouse())
        stack.enter_context(redis_at(folder))
        hosts = CoherentHosts(
            folder,
            {
                "DATABASE_URL": postgres,
                "MARKET_STORE": f"clickhouse://{shards}/market?{urlencode({'postgres': postgres})}",
                "REDIS_URL": f"unix://{folder}/redis.sock",
                "SECRET_KEY": "the same on all hosts, and long enough for whoever counts its characters",
                "EXPORTS_DIR": str(folder / "exports"),
                "UPLOADS_DIR": str(folder / "uploads"),
                "WEB_HOSTS": "2",
                "ADDRESS_RATE": str(UNLIMITED),
            },
        )
        try:
            hosts.begin()
            yield hosts
        finally:
            for each in hosts.all:
                each.kill()


@contextlib.contextmanager
def redis_at(folder: Path) -> Iterator[None]:
    redis = EmbeddedRedis(socket_path=folder / "redis.sock", run_dir=folder)
    process = subprocess.Popen(redis.command())
    try:
        assert eventually(redis.answers)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def clients(hosts: CoherentHosts) -> Iterator[list[Client]]:
    """A client of each web host."""
    with ExitStack() as stack:
        yield [stack.enter_context(connected(host.port, hosts.key)) for host in hosts.webs]


def has_volume(client: Client, expected: float) -> bool:
    """Whether the minute's bar has this volume. A host may not know the symbol yet."""
    path = f"{OHLC}?symbol=AAPL&interval=1min&start=2025-01-02T15:00:00Z&end=2025-01-02T15:01:00Z"
    bars = client.get(path).json().get("data")
    return bool(bars) and bars[0]["volume"] == expected


def test_rows_of_one_host_are_in_the_bars_and_the_live_feed_of_the_other(hosts, clients):
    here, there = clients
    assert here.ingest(rows(1, 11)).json()["stored"] == 2
    assert eventually(partial(has_volume, there, 2.0))
    with talking(hosts.webs[1].port, hosts.key) as feed:
        answer = feed.ask(op="subscribe", channels=["trades:AAPL"])
        assert answer["op"] == "subscribed", answer
        for count in range(2, 4):
            assert here.ingest(rows(count, count + 10)).json()["stored"] == 2
            frame = feed.next(lambda message: message.get("ch") == "trades:AAPL")
            assert len(frame["data"]) == 2
            assert eventually(partial(has_volume, there, 2.0 * count))
            assert has_volume(here, 2.0 * count)


def test_a_key_that_one_host_revokes_is_refused_by_the_other(hosts, clients):
    key = hosts.new_key("short")
    with ExitStack() as stack:
        own = [stack.enter_context(connected(host.port, key)) for host in hosts.webs]
        assert [client.get("/api/v1/clock").status for client in own] == [200, 200]
        listed = clients[0].get("/api/v1/keys").json()["data"]
        key_id = next(each["id"] for each in listed if each["name"] == "short")
        assert clients[0].call("DELETE", f"/api/v1/keys/{key_id}").status in {200, 204}
        began = time.monotonic()
        assert eventually(lambda: own[1].get("/api/v1/clock").status == 401)
        assert time.monotonic() - began < 5
        assert own[0].get("/api/v1/clock").status == 401
