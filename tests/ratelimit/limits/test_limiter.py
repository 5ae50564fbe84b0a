import logging
import os
import threading

import pytest
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from ops.metrics.declarations import LIMIT_DECISIONS
from ops.redis.connection import breaker
from ratelimit.limits.limiter import Limiter, process_limiter
from ratelimit.limits.shared_limits import SharedAnswer, SharedCharge
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.ratelimit.processes import asked_at_once

pytestmark = pytest.mark.system

ATTEMPTS = 5


class Clock:
    """Both clocks of a limiter, in nanoseconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 5_000 * 10**9

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 10**9)


def made_limiter(workers: int = 2) -> tuple[Limiter, Clock]:
    clock = Clock()
    return Limiter(workers=workers, clock=clock, wall_clock=clock), clock


def charge_of(rate: int, *, kind: str = "read", identity: str = "key:1") -> Charge:
    return Charge(identity, kind, Bucket(rate, 2 * rate))


def admit(rate: int) -> BucketState:
    """What the process's own limiter says."""
    return process_limiter().admit(charge_of(rate)).bucket


def ask(limiter: Limiter, rate: int = 10, kind: str = "read", identity: str = "key:1") -> BucketState:
    return limiter.admit(charge_of(rate, kind=kind, identity=identity)).bucket


def admitted_of(limiter: Limiter, tries: int, rate: int = 10) -> int:
    return sum(ask(limiter, rate).admitted for _ in range(tries))


@pytest.fixture
def no_redis(monkeypatch):
    """The shared buckets cannot be reached; this stands where a dead Redis stands in the other tests."""

    def away(charge: SharedCharge) -> SharedAnswer:
        raise RedisError("away")

    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", away)


@pytest.mark.system
@pytest.mark.parametrize("rate", [10, 1000 if SOAK else 200])
def test_two_processes_share_one_bucket(redis_server, rate):
    """Never more than there is. Nor less, in one of the soak's attempts: who stands still lets a full bucket lose tokens."""
    for _ in range(ATTEMPTS):
        told = asked_at_once(redis_url=redis_server.url, rate=rate, seconds=2.03)
        span = (max(t["last"] for t in told) - min(t["first"] for t in told)) / SECOND_US
        bound = 2 * rate + rate * span
        admitted = sum(t["admitted"] for t in told)
        assert admitted <= bound
        if not SOAK or (admitted >= 0.98 * bound and min(t["admitted"] for t in told) > 0):
            return
        get_redis_connection("default").flushall()
    pytest.fail(f"{admitted} of {bound:.1f} admitted")


def test_a_refused_caller_is_admitted_after_retry_after(redis_server):
    while (denied := admit(10)).admitted:
        pass
    assert 0 < denied.retry_after_us <= SECOND_US // 10
    client, now = get_redis_connection("default"), 0
    while now < denied.now_us + denied.retry_after_us:
        seconds, microseconds = client.time()
        now = seconds * SECOND_US + microseconds
    assert admit(10).admitted


def test_the_smallest_share_is_a_token_that_comes_back(no_redis):
    limiter, clock = made_limiter(workers=8)
    assert admitted_of(limiter, 5, rate=1) == 1
    denied = ask(limiter, rate=1)
    assert denied.retry_after_us == 8 * SECOND_US
    clock.forward(7.9)
    assert not ask(limiter, rate=1).admitted
    clock.forward(0.1)
    assert ask(limiter, rate=1).admitted


def test_without_redis_a_cost_above_the_share_is_its_whole_burst(no_redis):
    limiter, clock = made_limiter(workers=4)
    charge = charge_of(10)._replace(cost=20)
    assert [limiter.admit(charge).admitted for _ in range(2)] == [True, False]
    clock.forward(2)
    assert limiter.admit(charge).admitted


def test_a_local_bucket_has_its_reset_in_epoch_time(no_redis):
    clock = Clock()
    limiter = Limiter(workers=1, clock=clock, wall_clock=lambda: 1_800_000_000 * 10**9)
    bucket = ask(limiter)
    assert (bucket.reset, bucket.remaining, bucket.limit) == (1_800_000_001, 19, 20)


def test_a_restarted_redis_is_used_again_by_itself(redis_server, caplog):
    limiter, _ = made_limiter(workers=2)
    with caplog.at_level(logging.INFO, logger="ratelimit.limits.limiter"):
        assert ask(limiter).limit == 20
        redis_server.kill()
        assert ask(limiter).limit == 10
        assert ask(limiter).limit == 10
        redis_server.start()
        assert eventually(lambda: ask(limiter, identity="key:2").limit == 20)
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(",")[0] for message in messages] == ["Redis is away", "Redis is back"]


@pytest.mark.parametrize("redis_timeout", [2.0])
def test_a_frozen_redis_costs_one_timeout_and_stays_limited(redis_server, monkeypatch):
    limiter, _ = made_limiter(workers=1)
    ask(limiter)
    waited, failed = [], breaker.failed

    def counted(who: object) -> None:
        waited.append(who)
        failed(who)

    monkeypatch.setattr(breaker, "failed", counted)
    monkeypatch.setattr(breaker, "_clock", lambda: 0.0)
    redis_server.freeze()
    assert admitted_of(limiter, 1000) == 20
    assert len(waited) == 1


def test_each_thread_keeps_one_connection_and_ends_it_with_itself(redis_server):
    def ask_thrice() -> None:
        for _ in range(3):
            admit(100)

    client = get_redis_connection("default")
    before = client.info("stats")["total_connections_received"]
    for _ in range(20):
        thread = threading.Thread(target=ask_thrice)
        thread.start()
        thread.join()
    assert client.info("stats")["total_connections_received"] - before == 20
    assert eventually(lambda: len(client.client_list()) <= 3)


def test_a_forked_child_does_not_speak_on_its_parents_socket(redis_server):
    admit(100)
    child = os.fork()
    if child == 0:
        admitted = [admit(100).limit for _ in range(20)]
        os._exit(0 if admitted == [200] * 20 else 1)
    own = [admit(100).limit for _ in range(20)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own == [200] * 20


def decided() -> dict[tuple[str, ...], float]:
    """How many decisions there were about a bucket of these tests, by outcome and by who kept it."""
    return {
        (each.labels["outcome"], each.labels["kept_by"]): each.value
        for family in LIMIT_DECISIONS.collect()
        for each in family.samples
        if each.labels["bucket"] == "counted"
    }


def test_decisions_are_counted_by_where_the_bucket_was(redis_server, monkeypatch):
    limiter, _ = made_limiter(workers=1)
    for _ in range(3):
        ask(limiter, 1, kind="counted", identity="key:counted")
    assert decided() == {("admitted", "redis"): 2, ("refused", "redis"): 1}

    def away(charge: SharedCharge) -> SharedAnswer:
        raise RedisError("away")

    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", away)
    admitted = ask(limiter, 1, kind="counted", identity="key:other").admitted
    assert decided()["admitted" if admitted else "refused", "process"] == 1


def test_a_debt_holds_while_redis_is_away(no_redis):
    limiter, clock = made_limiter(workers=1)
    limiter.charge_debt(charge_of(10)._replace(cost=30))
    assert ask(limiter).retry_after_us == 1_100_000
    clock.forward(1.1)
    assert [ask(limiter).admitted for _ in range(2)] == [True, False]
