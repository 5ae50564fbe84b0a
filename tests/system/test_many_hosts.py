"""Two web hosts, two shards, PostgreSQL and Redis, each on a host of its own: what faults between them do to clients.

Both hosts write batches to one log and read its bars all the while. A batch has rows of two dates, which are on two shards.
"""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ops.serve.embedded_redis import redis_binary
from tests.front.front_server import Reply, eventually
from tests.hostile.figures import Told
from tests.patience import is_kept
from tests.system.clickhouse import Shard
from tests.system.clients import OHLC, Client, trades_body
from tests.system.hosts import Network, network
from tests.system.installation import WEB_ONLY, Installation, installed
from tests.system.postgresql import PostgresServer, postgres_server, stopped
from tests.system.test_clocks import LIBRARY

pytestmark = [pytest.mark.soak, pytest.mark.seconds, pytest.mark.xdist_group("hosts")]

WEBS = ("web1", "web2")
DAYS = (date(2025, 1, 2), date(2025, 1, 3))
HELD_SECONDS = 8.0
ANSWERS_SECONDS = 12.0
RECOVERS_SECONDS = 10.0
STALE_SECONDS = 3.0
"""Commits of the other host may be missing for less."""
QUIET_SECONDS = 2.0
PAUSE_SECONDS = 0.1
DISK_BYTES = 48 * 2**20


@dataclass
class Site:
    """Everything that runs."""

    network: Network
    shards: list[Shard]
    postgres: PostgresServer
    webs: dict[str, Installation]
    disk: Path
    clock: Path

    @contextlib.contextmanager
    def client(self, web: str) -> Iterator[Client]:
        """A client on a web host; the thread is there meanwhile."""
        installation = self.webs[web]
        with (
            self.network.hosts[web].entered(),
            contextlib.closing(Client(installation.port, installation.key)) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hosts")
    disk, clock = folder / "disk", folder / "clock"
    clock.write_text("+0\n")
    with ExitStack() as stack:
        hosts = stack.enter_context(network(*WEBS, "shard1", "shard2", "postgres", "redis"))
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
        stack.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        shards = _shards(stack, hosts, [folder / "shard1", disk / "shard2"])
        with hosts.hosts["postgres"].entered():
            postgres = stack.enter_context(postgres_server(address=hosts.hosts["postgres"].address))
        redis_url = _redis(stack, hosts)
        places = ",".join(shard.place for shard in shards)
        environment: dict[str, Any] = {
            **WEB_ONLY,
            "WORKERS": "1",
            "LOAD_SAMPLE": "0",
            "CLOCK_AHEAD_SECONDS": "7200",
            "REDIS_URL": redis_url,
            "MARKET_STORE": f"clickhouse://{places}/market?{urlencode({'postgres': postgres.url})}",
        }
        webs = {}
        for name in WEBS:
            own = _clocked(clock) if name == "web2" else {}
            (folder / name).mkdir()
            with hosts.hosts[name].entered():
                webs[name] = stack.enter_context(installed(folder / name, **environment, **own))
        yield Site(hosts, shards, postgres, webs, disk, clock)


def _shards(stack: ExitStack, hosts: Network, homes: list[Path]) -> list[Shard]:
    shards = [Shard(home, hosts.hosts[home.name].address, (8123, 9000, 9009)) for home in homes]
    for home, shard in zip(homes, shards, strict=True):
        shard.configure(shards)
        with hosts.hosts[home.name].entered():
            stack.callback(shard.kill)
            shard.start()
            shard.wait()
    return shards


def _redis(stack: ExitStack, hosts: Network) -> str:
    host = hosts.hosts["redis"]
    with host.entered():
        options = ["--bind", host.address, "--protected-mode", "no", "--save", ""]
        server = subprocess.Popen([str(redis_binary()), *options], stdout=subprocess.DEVNULL)
    stack.callback(server.wait)
    stack.callback(server.kill)
    return f"redis://{host.address}:6379/0"


def _clocked(clock: Path) -> dict[str, Any]:
    """The environment of processes whose clock can be set."""
    if not LIBRARY.exists():
        assert not os.environ.get("REQUIRE_ALL"), f"there is no {LIBRARY}"
        return {}
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
        "NO_FAKE_STAT": "1",
    }


# --- the load -------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the clients of a fault saw."""

    part: str
    acknowledged: dict[int, tuple[str, float]] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    refused: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {web: [] for web in WEBS})
    slowest: float = 0.0
    torn: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def is_refusal(self, web: str, began: float, reply: Reply) -> bool:
        """Take in an answer; return whether it is 503."""
        now = time.monotonic()
        self.slowest = max(self.slowest, now - began)
        if reply.status == 200:
            return False
        problem = reply.json()
        code, detail = problem["code"], problem["detail"]
        is_named = code in {"store_busy", "outcome_unknown"} or (self.part and self.part in detail)
        if reply.status != 503 or not is_named:
            self.wrong.append(f"{reply.status} {code}: {detail}")
        self.refused[web].append((began, now))
        return True

    def seconds_of_503(self) -> float:
        """The seconds in which requests waited for a 503, on the host with more of them."""
        return max(_covered(spans) for spans in self.refused.values())

    def last_503(self) -> float:
        return max((end for spans in self.refused.values() for _, end in spans), default=0.0)


def _covered(spans: list[tuple[float, float]]) -> float:
    total, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(ended - max(began, until), 0.0)
        until = max(until, ended)
    return total


def batch_body(symbol: str, number: int) -> bytes:
    """Two rows of a minute of each date."""
    return trades_body(
        symbol,
        [
            {
                "timestamp": f"{day}T{number // 60:02}:{number % 60:02}:{second:02}Z",
                "price": 100.0,
                "volume": 1.0,
                "trade_id": f"{number}-{day}-{second}",
            }
            for day in DAYS
            for second in (1, 2)
        ],
    )


@dataclass
class Load:
    """What two threads of each web host do."""

    symbol: str
    seen: Seen
    numbers: Iterator[int] = field(default_factory=count)
    end: threading.Event = field(default_factory=threading.Event)

    def write(self, web: str, client: Client) -> None:
        """Send batches until each is acknowledged."""
        for number in self.numbers:
            while True:
                if self.end.is_set():
                    return
                began = time.monotonic()
                reply = client.ingest(batch_body(self.symbol, number))
                if not self.seen.is_refusal(web, began, reply):
                    break
                if reply.status != 503 or reply.json()["code"] == "outcome_unknown":
                    self.seen.uncertain.add(number)
                time.sleep(PAUSE_SECONDS)
            answer = reply.json()
            is_new = number not in self.seen.uncertain
            if answer["stored"] + answer["duplicates"] != 4 or (is_new and answer["stored"] != 4):
                self.seen.wrong.append(f"batch {number}: {answer}")
            self.seen.acknowledged[number] = web, time.monotonic()
            time.sleep(PAUSE_SECONDS)

    def read(self, web: str, client: Client) -> None:
        """Read all bars and check them."""
        while not self.end.is_set():
            began = time.monotonic()
            known = {
                number
                for number, (writer, at) in self.seen.acknowledged.copy().items()
                if writer == web or at < began - STALE_SECONDS
            }
            if known:
                reply = client.get(bars_path(self.symbol))
                if not self.seen.is_refusal(web, began, reply):
                    check(reply.json()["data"], known, self.seen)
            time.sleep(PAUSE_SECONDS)

    @contextlib.contextmanager
    def running(self, site: Site) -> Iterator[None]:
        def run(web: str, work: Callable[[str, Client], None]) -> None:
            with site.client(web) as client:
                work(web, client)

        with ThreadPoolExecutor(2 * len(WEBS)) as pool:
            running = [pool.submit(run, web, work) for web in WEBS for work in (self.write, self.read)]
            try:
                yield
            finally:
                self.end.set()
        for each in running:
            each.result()


def bars_path(symbol: str) -> str:
    return f"{OHLC}?symbol={symbol}&interval=1min&start={DAYS[0]}&end=2025-01-04"


def check(bars: list[dict[str, Any]], known: set[int], seen: Seen) -> None:
    """Check that bars are of whole batches, and have all that are known."""
    found: dict[str, set[int]] = {str(day): set() for day in DAYS}
    for bar in bars:
        at = datetime.fromisoformat(bar["timestamp"])
        found[str(at.date())].add(at.hour * 60 + at.minute)
        if bar["volume"] != 2.0:
            seen.torn.append(f"{bar}")
    first, second = found.values()
    if first != second:
        seen.torn.append(f"on one date only: {first ^ second}")
    if known - first:
        seen.wrong.append(f"missing: {known - first}")


# --- the faults -----------------------------------------------------------------------------------------------------

Fault = Callable[[Site], AbstractContextManager[None]]


@contextlib.contextmanager
def killed(server: Callable[[Site], Shard | PostgresServer], host: str, site: Site) -> Iterator[None]:
    server(site).kill()
    yield
    with site.network.hosts[host].entered():
        server(site).start()


@contextlib.contextmanager
def slow(site: Site) -> Iterator[None]:
    """The second shard runs for a tenth of the time."""
    end = threading.Event()

    def run() -> None:
        while not end.wait(0.05):
            with stopped(site.shards[1].pids()):
                time.sleep(0.45)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextlib.contextmanager
def full(site: Site) -> Iterator[None]:
    filler = site.disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()


@contextlib.contextmanager
def clock_ahead(site: Site) -> Iterator[None]:
    if "LD_PRELOAD" not in _clocked(site.clock):
        pytest.skip("libfaketime is not installed")
    _set_clock(site, timedelta(hours=1))
    yield
    _set_clock(site, timedelta(0))


def _set_clock(site: Site, ahead: timedelta) -> None:
    site.clock.write_text(f"{ahead.total_seconds():+.0f}\n")

    def is_seen() -> bool:
        with site.client("web2") as client:
            said = client.get("/healthz").headers["date"]
        at = datetime.strptime(said, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        return abs(at - datetime.now(UTC) - ahead) < timedelta(seconds=30)

    assert eventually(is_seen)


def lost(*ways: tuple[str, str]) -> Fault:
    return lambda site: site.network.lost(*ways)


def _cuts(host: str, part: str) -> dict[str, tuple[str, Fault]]:
    return {
        f"network cut between a web host and {host}": (part, lost(("web1", host), (host, "web1"))),
        f"network cut from a web host to {host}, one way": (part, lost(("web1", host))),
        f"network cut from {host} to a web host, one way": (part, lost((host, "web1"))),
    }


# For each fault, the part that a 503 names; '' if none is away.
FAULTS: dict[str, tuple[str, Fault]] = {
    "shard killed": ("ClickHouse", partial(killed, lambda site: site.shards[1], "shard2")),
    "shard frozen": ("ClickHouse", lambda site: stopped(site.shards[1].pids())),
    "shard slow": ("ClickHouse", slow),
    "shard with a full disk": ("ClickHouse", full),
    **_cuts("shard1", "ClickHouse"),
    "network cut between two shards": ("ClickHouse", lost(("shard1", "shard2"), ("shard2", "shard1"))),
    "PostgreSQL killed": ("PostgreSQL", partial(killed, lambda site: site.postgres, "postgres")),
    "PostgreSQL frozen": ("PostgreSQL", lambda site: stopped(site.postgres.pids())),
    **_cuts("postgres", "PostgreSQL"),
    **_cuts("redis", ""),
    "clocks an hour apart": ("", clock_ahead),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_are_whole_or_503_and_nothing_is_lost(site: Site, told: Told, fault: str):
    part, begin = FAULTS[fault]
    symbol = f"F{[*FAULTS].index(fault)}"
    load = Load(symbol, seen := Seen(part))
    with load.running(site):
        assert eventually(lambda: len({web for web, _ in seen.acknowledged.copy().values()}) == len(WEBS))
        time.sleep(PAUSE_SECONDS)
        with begin(site):
            time.sleep(HELD_SECONDS)
        over = time.monotonic()
        done = len(seen.acknowledged)
        assert eventually(lambda: time.monotonic() > max(over, seen.last_503()) + QUIET_SECONDS)
        assert eventually(lambda: len(seen.acknowledged) > done + len(WEBS))
    lost_batches = missing_at_the_end(site, symbol, seen)
    recovered = max(seen.last_503() - over, 0.0)
    told(
        f"hosts: {fault}",
        f"{seen.seconds_of_503():4.1f} s of 503 ({recovered:.1f} s after the fault), slowest {seen.slowest:.1f} s,"
        f" {len(seen.acknowledged)} acknowledged, {len(lost_batches)} lost, {len(seen.torn)} torn, {len(seen.wrong)} wrong",
    )
    assert (lost_batches, seen.torn, seen.wrong) == ([], [], [])
    assert is_kept(RECOVERS_SECONDS, recovered)
    assert is_kept(ANSWERS_SECONDS, seen.slowest)


def missing_at_the_end(site: Site, symbol: str, seen: Seen) -> list[int]:
    """Return the acknowledged batches that a host does not have; take in what is torn."""
    missing: set[int] = set()
    for web in WEBS:
        with site.client(web) as client:
            bars = client.get(bars_path(symbol)).json()["data"]
        check(bars, set(), seen)
        found = [datetime.fromisoformat(bar["timestamp"]) for bar in bars]
        missing |= seen.acknowledged.keys() - {at.hour * 60 + at.minute for at in found}
    return sorted(missing)
