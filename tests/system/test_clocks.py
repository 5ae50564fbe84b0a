"""Clocks that are wrong, differently in each process: limits hold, what has ended stays ended, and commits stay in order."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from ratelimit.limits.token_bucket import burst_of
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.system.clients import OHLC, Client, clients_of_every_web, trades_body
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed, switched
from tests.system.limits import PATH
from tests.system.swarm import Seen, admitted_of, is_refused, rates_from, swarm

pytestmark = pytest.mark.xdist_group("clocks")

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
HOUR = timedelta(hours=1)
CLIENTS = 20
RATE = 10
KEY_TO_MAKE = b'{"name": "clocks", "scopes": ["market:read"]}'
STEP_SECONDS = 3.0 if SOAK else 1.0
# Each a second before: the leap day begins and ends, the clocks of Berlin are put forward and back, a year
# and a month end.
INSTANTS = (
    "2028-02-28T23:59:59", "2028-02-29T23:59:59", "2027-03-28T00:59:59", "2027-10-31T00:59:59",
    "2026-12-31T23:59:59", "1999-12-31T23:59:59", "2038-01-19T03:14:06",
)  # fmt: skip


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation in Berlin, the clock of each of whose processes can be set."""
    if not LIBRARY.exists():
        assert not os.environ.get("REQUIRE_ALL"), f"there is no {LIBRARY}"
        pytest.skip("libfaketime is not installed")
    with installed(
        tmp_path_factory.mktemp("clocks"),
        **WEB_ONLY,
        **switched(own_clocks="1"),
        LD_PRELOAD=str(LIBRARY),
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        FAKETIME_CACHE_DURATION="1",
        NO_FAKE_STAT="1",
        TZ="Europe/Berlin",
    ) as installation:
        yield installation


def set_clock(installation: Installation, process: int, ahead: timedelta) -> None:
    """Put the clock of a process ahead of the right time; Redis's is that of the process that started it."""
    file = installation.served.data_dir.parent / f"clock-{process}"
    new = file.with_suffix(".new")
    new.write_text(f"{ahead.total_seconds():+.0f}\n")
    new.replace(file)


def offsets() -> list[timedelta]:
    now = datetime.now(UTC)
    ahead = [datetime.fromisoformat(f"{instant}Z") - now for instant in INSTANTS]
    return [HOUR, -HOUR, *(ahead if SOAK else ahead[:1]), timedelta(0)]


def assert_the_clock_is_seen(client: Client, ahead: timedelta) -> None:
    def is_seen() -> bool:
        said = datetime.strptime(client.get(PATH).headers["date"], "%a, %d %b %Y %H:%M:%S GMT")
        return abs(said.replace(tzinfo=UTC) - datetime.now(UTC) - ahead) < timedelta(seconds=3)

    assert eventually(is_seen)


@pytest.fixture
def each(clocked: Installation) -> Iterator[list[Client]]:
    """A client of each web process; their clocks are right before and after."""
    with clients_of_every_web(clocked.served, clocked.key, each=1) as clients:
        yield clients
        for process in [clocked.served.process.pid, *(client.process for client in clients)]:
            assert process is not None
            set_clock(clocked, process, timedelta(0))
        for client in clients:
            assert_the_clock_is_seen(client, timedelta(0))


def seen_while_set(clocked: Installation, process: int, steps: list[timedelta], *, rate: int) -> list[Seen]:
    """What clients with one key see while a process's clock is put to each of the offsets."""
    seconds = (len(steps) + 1) * STEP_SECONDS
    with ThreadPoolExecutor(1) as pool:
        key = clocked.new_key(rate=rate)
        asking = pool.submit(swarm, clocked.port, key, PATH, clients=CLIENTS, seconds=seconds)
        for ahead in steps:
            time.sleep(STEP_SECONDS)
            set_clock(clocked, process, ahead)
        return asking.result()


@pytest.mark.parametrize("whose", ["one web process", "Redis"])
def test_limits_hold_on_a_wrong_clock(clocked: Installation, each: list[Client], told: Told, whose: str):
    process = clocked.served.process.pid if whose == "Redis" else each[0].process
    assert process is not None
    steps = offsets()
    # A clock of Redis that is put forward fills its buckets: docs/limits.md.
    forwards = (
        sum(after > before for before, after in pairwise([timedelta(0), *steps])) if whose == "Redis" else 0
    )
    for rate in rates_from(RATE):
        seen = seen_while_set(clocked, process, steps, rate=rate)
        admitted, burst = admitted_of(seen), burst_of(rate)
        share = admitted.share_of(burst=burst, rate=rate)
        told(
            f"06 clock of {whose} set {len(steps)} times",
            f"{admitted.count} of {len(seen)} admitted in {admitted.seconds:.1f} s: {share:.3f} of burst + rate x time",
        )
        assert {each.status for each in seen} <= {404, 429}
        assert admitted.count <= (1 + forwards) * burst + rate * admitted.seconds
        if is_refused(seen):
            return
    raise AssertionError("nobody is refused")


def test_the_clock_of_a_process_decides_what_has_expired_and_nothing_else(
    clocked: Installation, each: list[Client]
):
    ahead, right = each
    keys = {
        "expires soon": clocked.new_key(expires_in=HOUR / 2),
        "has expired": clocked.new_key(expires_in=-HOUR / 2),
        "is revoked": clocked.new_key(revoked=True),
    }

    def codes(client: Client) -> list[str]:
        return [client.get(PATH, {"X-API-Key": key}).json()["code"] for key in keys.values()]

    now = ["unknown_symbol", "expired_api_key", "revoked_api_key"]
    for offset, expected in (
        (HOUR, ["expired_api_key", "expired_api_key", "revoked_api_key"]),
        (-HOUR, ["unknown_symbol", "unknown_symbol", "revoked_api_key"]),
        (timedelta(0), now),
    ):
        assert ahead.process is not None
        set_clock(clocked, ahead.process, offset)
        assert_the_clock_is_seen(ahead, offset)
        assert (codes(ahead), codes(right)) == (expected, now), offset


def test_a_log_that_a_fast_clock_wrote_to_takes_no_writes_until_all_clocks_are_there(
    clocked: Installation, each: list[Client]
):
    first, second = (
        trades_body("FAST", [{"timestamp": f"2025-01-02T15:00:0{number}Z", "price": 100.0, "volume": 1.0}])
        for number in (1, 2)
    )

    def set_all(ahead: timedelta, *clients: Client) -> None:
        for client in clients:
            assert client.process is not None
            set_clock(clocked, client.process, ahead)
            assert_the_clock_is_seen(client, ahead)

    set_all(HOUR, each[0])
    assert each[0].ingest(first).status == 200
    set_all(timedelta(0), each[0])
    for client in each:
        reply = client.ingest(second)
        assert (reply.status, reply.json()["code"]) == (503, "log_ahead_of_clock"), reply.body
        assert "trades/FAST" in reply.json()["message"]
        assert client.ingest(second.replace(b"FAST", b"OTHER")).status == 200
    assert volumes(each[1]) == [1.0]
    set_all(HOUR, *each)
    assert [client.ingest(second).json()["stored"] for client in each] == [1, 0]
    assert volumes(each[1]) == [2.0]


def volumes(client: Client) -> list[float]:
    """The volume of each minute's bar of the symbol."""
    path = f"{OHLC}?symbol=FAST&interval=1min&start=2025-01-02T15:00:00Z&end=2025-01-02T15:01:00Z"
    return [bar["volume"] for bar in client.get(path).json()["data"]]


def test_audit_records_are_in_the_order_of_what_was_done_and_not_of_the_clocks(
    clocked: Installation, each: list[Client]
):
    wrong = each[0]
    manager = clocked.new_key(tier="internal", rate=UNLIMITED, accounts='["*"]')
    headers = {"X-API-Key": manager, "Content-Type": "application/json"}
    done: list[str] = []
    for offset in (HOUR, -HOUR, timedelta(0)):
        assert wrong.process is not None
        set_clock(clocked, wrong.process, offset)
        assert_the_clock_is_seen(wrong, offset)
        for client in each:
            done.append(f"clock-{len(done):03}")
            reply = client.call(
                "POST", "/api/v1/keys", KEY_TO_MAKE, {**headers, "X-Correlation-ID": done[-1]}
            )
            assert reply.status == 201, reply.body
    records = [record for record in clocked.audited("clock-") if record["audit_class"] == "keys"]
    assert list(dict.fromkeys(record["correlation_id"] for record in records)) == done
    assert [record["at"] for record in records] != sorted(record["at"] for record in records)
    assert "Traceback" not in clocked.served.output.read_text()
    assert "are as they were written" in clocked.served.manage("audit", "verify")
