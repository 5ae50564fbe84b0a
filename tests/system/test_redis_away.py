"""Redis killed, frozen, emptied and filled with garbage under load: every answer is given, and right."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply, eventually
from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, Installation
from tests.system.limits import BURST, RATE, Answered, as_fast_as_they_go
from tests.system.redis_faults import (
    HEALS_SECONDS,
    KINDS_OF_GARBAGE,
    fill_with_garbage,
    frozen_redis,
    is_degraded,
    is_degraded_everywhere,
    is_whole_everywhere,
    kill_redis,
)

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

logger = logging.getLogger(__name__)

KILLS = 3 if SOAK else 1
SLOWEST_SECONDS = 1.0
QUIET_SECONDS = 0.5
_symbols = (f"REDIS{number}" for number in count())


@dataclass
class Load:
    """Clients that each write a row to a symbol of their own and read its bars, which must have it."""

    seconds: list[float] = field(default_factory=list)
    degraded_at: dict[int | None, float] = field(default_factory=dict)

    def work(self, client: Client, stopping: threading.Event) -> None:
        symbol, sent = next(_symbols), 0
        while not stopping.is_set():
            sent += 1
            body = Batch(sent, symbol, size=1, has_ids=sent % 2 == 0).body
            stored = self.timed(client, partial(client.ingest, body))
            assert (stored.status, stored.json()["stored"]) == (200, 1), stored.body
            for _ in range(3):
                bars = self.timed(client, lambda: client.bars(symbol, "1d"))
                assert bars.status == 200, bars.body
                assert [bar["volume"] for bar in bars.json()["data"]] == [sent * (sent + 1) // 2]

    def timed(self, client: Client, ask) -> Reply:
        began = time.monotonic()
        reply: Reply = ask()
        self.seconds.append(time.monotonic() - began)
        if reply.headers.get("x-degraded") == "redis":
            self.degraded_at[client.process] = time.monotonic()
        return reply

    def is_whole(self) -> bool:
        """Whether no process has called itself degraded for a while."""
        return max(self.degraded_at.values()) < time.monotonic() - QUIET_SECONDS

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * len(self.seconds))]


@contextlib.contextmanager
def under_load(installation: Installation) -> Iterator[Load]:
    """What goes on meanwhile must go well to the end, and no one request in a hundred may take a second."""
    load = Load()
    key = installation.new_key(rate=UNLIMITED)
    with clients_of_every_web(installation.served, key, each=2) as clients:
        with Crowd(clients, load.work) as crowd:
            yield load
        assert crowd.errors == []
    logger.info("%d answers, p99 %.3f s, slowest %.3f s", len(load.seconds), load.p99, max(load.seconds))
    assert is_kept(SLOWEST_SECONDS, load.p99)


def assert_within_the_tier(answers: list[Answered], *, bursts: int = 1) -> None:
    seconds = max(answer.received for answer in answers) - min(answer.sent for answer in answers)
    assert 1 <= sum(answer.admitted for answer in answers) <= bursts * BURST + RATE * seconds


@pytest.fixture(autouse=True)
def _whole(installation: Installation) -> None:
    assert is_whole_everywhere(installation)


def test_a_killed_redis_is_replaced_and_nobody_notices(installation):
    healed = []
    with under_load(installation):
        for _ in range(KILLS):
            began = time.monotonic()
            kill_redis(installation)
            assert installation.is_ready()
            healed.append(time.monotonic() - began)
    assert is_kept(HEALS_SECONDS, *healed)


def test_a_frozen_redis_degrades_and_heals(installation):
    with under_load(installation) as load:
        with frozen_redis(installation):
            assert eventually(lambda: load.degraded_at.keys() == set(installation.webs()))
            assert is_degraded_everywhere(installation)
        began = time.monotonic()
        assert installation.is_ready()
        assert eventually(load.is_whole)
        assert is_kept(HEALS_SECONDS, time.monotonic() - began)


def test_limits_hold_while_redis_is_frozen(installation):
    """Each process gives its share of the burst and of the rate: together never more than the tier."""
    key = installation.new_key()
    with frozen_redis(installation):
        assert eventually(lambda: is_degraded(installation))
        answers = as_fast_as_they_go(installation, key)
    assert {answer.reply.status for answer in answers} == {404, 429}
    assert_within_the_tier(answers)
    assert {answer.reply.headers["x-degraded"] for answer in answers} == {"redis"}


def test_losing_and_regaining_redis_gives_one_more_burst_each(installation):
    key = installation.new_key()
    answers = as_fast_as_they_go(installation, key)
    with frozen_redis(installation):
        answers += as_fast_as_they_go(installation, key)
    assert is_whole_everywhere(installation)
    answers += as_fast_as_they_go(installation, key)
    assert_within_the_tier(answers, bursts=3)


def test_an_emptied_and_a_garbled_redis_change_no_answer(installation):
    with connected(installation.port, installation.key) as client, under_load(installation):
        batch = Batch(7, next(_symbols), size=5, has_ids=False)
        header = {"Idempotency-Key": "kept-in-the-commit"}
        first = client.ingest(batch.body, headers=header)
        bars = client.bars(batch.symbol).body
        garbled, revoked = 0, {"X-API-Key": installation.new_key(revoked=True)}
        for turn in range(2 * KINDS_OF_GARBAGE):
            garbled += fill_with_garbage(installation, turn)
            assert client.bars(batch.symbol).body == bars
            installation.redis.flushall()
            replay = client.ingest(batch.body, headers=header)
            assert (replay.status, replay.body) == (200, first.body)
            assert replay.headers["idempotency-replayed"] == "true"
            assert client.get("/v1/stats/ohlc", revoked).json()["code"] == "revoked_api_key"
            time.sleep(0.05)
    assert garbled > 20
    assert installation.is_ready()
