"""Several hosts over one PostgreSQL, one Redis and one ClickHouse: whoever is asked, the answer is the same."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import orjson
import psycopg
import pytest

from ops.serve.embedded_redis import EmbeddedRedis
from tests.front.front_server import eventually
from tests.marketdata_project.serve_process import Served, start
from tests.patience import PROGRAM_SECONDS, is_kept
from tests.system.clickhouse import clickhouse
from tests.system.clients import OHLC, Client, connected, trades_body
from tests.system.installation import UNLIMITED
from tests.system.live_clients import talking
from tests.system.postgresql import postgresql
from tests.system.test_clickhouse_server import rows

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("cluster")]

JSON = {"Content-Type": "application/json"}
DUTIES = "This process runs the duties"
ENGINE = "worker,engine,jobs"
RATE = 5


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
        self.others = [self.start(f"other{number}", ENGINE) for number in (1, 2)]
        self.key = self.new_key("first", "--tier", "internal", "--rate", str(UNLIMITED))

    def new_key(self, name: str, *options: str) -> str:
        said = self.manage(
            self.webs[0], "apikey", "create", name, "--scope", "all", "--sensitivity", "confidential", "--account", "*",
            "--json", *options,
        )  # fmt: skip
        key: str = json.loads(said)["key"]
        return key

    def manage(self, host: Served, *arguments: str) -> str:
        return host.manage(*arguments, **self._environment)

    def with_duties(self) -> list[Served]:
        """The hosts whose worker ever ran the duties."""
        return [each for each in self.others if DUTIES in each.output.read_text()]

    def engine(self) -> str | None:
        """The engine that has the lease now."""
        with psycopg.connect(self._environment["DATABASE_URL"]) as connection:
            found = connection.execute(
                "SELECT holder FROM trading_lease WHERE id = 1 AND leased_until_ns > %s",
                [time.time_ns()],
            ).fetchone()
        return str(found[0]) if found else None


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
        listed = clients[0].get("/api/v1/keys").json()["keys"]
        key_id = next(each["id"] for each in listed if each["name"] == "short")
        assert clients[0].call("DELETE", f"/api/v1/keys/{key_id}").status in {200, 204}
        began = time.monotonic()
        assert eventually(lambda: own[1].get("/api/v1/clock").status == 401)
        assert is_kept(5, time.monotonic() - began)
        assert own[0].get("/api/v1/clock").status == 401


def test_a_limit_holds_over_both_hosts(hosts):
    key = hosts.new_key("slow", "--rate", str(RATE))
    with ExitStack() as stack:
        own = [stack.enter_context(connected(host.port, key)) for host in hosts.webs]
        limit = int(own[0].get("/api/v1/clock").headers["x-ratelimit-limit"])
        began = time.monotonic()
        statuses = [own[number % 2].get("/api/v1/clock").status for number in range(3 * limit)]
        most = limit + RATE * (time.monotonic() - began) + 1
        assert set(statuses) == {200, 429}
        assert limit - 1 <= statuses.count(200) <= most


def test_a_job_is_run_once_and_its_file_is_read_at_both_hosts(clients):
    body = orjson.dumps({"dataset": "trades", "symbols": ["AAPL"], "format": "csv"})
    answer = clients[0].call("POST", "/api/v1/exports", body, JSON)
    assert answer.status == 202, answer.body

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = clients[1].get(f"/api/v1/exports/{answer.json()['id']}").json()
        return found

    assert eventually(lambda: shown()["state"] in {"succeeded", "failed"}, seconds=PROGRAM_SECONDS)
    assert (shown()["state"], shown()["attempts"]) == ("succeeded", 1)
    (link,) = [file["link"] for file in shown()["files"]]
    first, second = (client.get(link) for client in clients)
    assert (first.status, first.body) == (200, second.body)


def test_one_audit_chain_has_the_calls_of_both_hosts_and_one_host_has_its_head(hosts, clients):
    for number, client in enumerate(clients):
        client.get("/api/v1/clock", {"X-Correlation-ID": f"host-{number}"})

    def found() -> set[str]:
        records = clients[0].get("/api/v1/audit?limit=1000").json()["records"]
        return {record["correlation_id"] for record in records}

    assert eventually(lambda: {"host-0", "host-1"} <= found())
    (keeper,) = hosts.with_duties()
    assert eventually((keeper.data_dir / "audit" / "head").exists)
    (said,) = hosts.manage(keeper, "audit", "verify").splitlines()
    assert " records are as they were written" in said


def is_filled(here: Client, there: Client) -> bool:
    """Whether an order that one web host accepts is filled by an engine, as the other web host shows."""
    order = {
        "symbol": "COIN",
        "side": "buy",
        "quantity": 1,
        "time_in_force": "gtc",
        "client_order_id": uuid4().hex,
    }

    def printed() -> bool:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = trades_body("COIN", [{"timestamp": at, "price": 100.0, "volume": 1000.0}])
        return here.ingest(body).status in {200, 201}

    assert printed()
    placed = here.call("POST", "/api/v1/orders?account=MAIN", orjson.dumps(order), JSON)
    assert placed.status == 201, placed.body
    path = f"/api/v1/orders/{placed.json()['id']}?account=MAIN"
    return eventually(
        lambda: printed() and there.get(path).json()["status"] == "filled", seconds=PROGRAM_SECONDS
    )


def test_duties_and_engine_go_on_at_the_other_host_when_theirs_is_killed(hosts, clients):
    coin = orjson.dumps({"class": "crypto", "currency": "USD"})
    assert clients[0].call("PUT", "/api/v1/instruments/COIN", coin, JSON).status in {200, 201}
    hosts.manage(hosts.webs[0], "account", "create", "MAIN", "--deposit", "100000")
    started = clients[0].call("POST", "/api/v1/trading/start?account=MAIN")
    assert started.status == 200, started.body
    assert is_filled(*clients)
    (keeper,), engine = hosts.with_duties(), hosts.engine()
    (other,) = [host for host in hosts.others if host is not keeper]
    keeper.kill()
    assert eventually(lambda: hosts.with_duties() == hosts.others, seconds=PROGRAM_SECONDS)
    assert eventually(lambda: hosts.engine() is not None, seconds=PROGRAM_SECONDS)
    assert is_filled(*clients)
    if hosts.engine() == engine:
        hosts.start("other3", ENGINE)
        other.kill()
        assert eventually(lambda: hosts.engine() not in {None, engine}, seconds=PROGRAM_SECONDS)
        assert is_filled(*clients)
