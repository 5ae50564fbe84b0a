"""Charges from an event loop: the same limits as with `admit`, without waiting."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from django.conf import settings as project_settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from ops.redis.connection import breaker
from ops.redis.loop_connection import LoopConnection
from ratelimit.limits.admission import Admission
from ratelimit.limits.limiter import Limiter
from ratelimit.limits.quotas import DAY, QuotaCharge
from ratelimit.limits.shared_limits import MAX_TOGETHER, SharedCharge, admission_script, take_shared
from ratelimit.limits.token_bucket import Bucket, Charge, bucket_state, take
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

USUAL_SECONDS = project_settings.REDIS_TIMEOUT_SECONDS
SLOW = Bucket(1, 5)


class Caller:
    """A key that asks a limiter from a loop."""

    def __init__(self, redis: LoopConnection, bucket: Bucket, quotas: tuple[QuotaCharge, ...] = ()) -> None:
        self._redis = redis
        self.charge = Charge("key:1", "read", bucket)
        self.quotas = quotas
        self.limiter = Limiter(workers=1)

    def asks(self, then: Callable[[Admission | None], object]) -> bool:
        """Whether a call is sent; then `then` is told what follows."""
        return self.limiter.admit_soon(self.charge, self.quotas, redis=self._redis, then=then)

    async def told(self) -> Admission | None:
        """What the next call is told; "None" if nothing was sent, too."""
        admission = asyncio.get_running_loop().create_future()
        if not self.asks(admission.set_result):
            return None
        async with asyncio.timeout(PATIENCE_SECONDS):
            told: Admission | None = await admission
        return told


def script_calls() -> int:
    """How often a script was called by its name since the server was reset."""
    commands = get_redis_connection("default").info("commandstats")
    count: int = commands.get("cmdstat_evalsha", {"calls": 0})["calls"]
    return count


def run(
    test: Callable[[Caller], Awaitable[None]], bucket: Bucket, quotas: tuple[QuotaCharge, ...] = ()
) -> None:
    """Run a test in a loop, with a script that Redis knows and an open connection."""

    async def main() -> None:
        redis = LoopConnection()
        opened = asyncio.Event()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not redis.ask(lambda _: opened.set(), "SCRIPT", "LOAD", admission_script().text):
                await asyncio.sleep(0.01)
            await opened.wait()
        try:
            await test(Caller(redis, bucket, quotas))
        finally:
            redis.close()
            await asyncio.sleep(0)

    uvloop.run(main())


def test_calls_of_one_turn_are_charged_exactly(redis_server):
    async def test(caller: Caller) -> None:
        told: list[Admission | None] = []
        for _ in range(8):
            assert caller.asks(told.append)
        assert told == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(told) < 8:
                await asyncio.sleep(0.01)
        assert [one.bucket.remaining for one in told if one is not None] == [4, 3, 2, 1, 0]
        assert told[5:] == [None] * 3

    run(test, SLOW)


def test_keys_of_one_turn_are_charged_together_and_each_by_its_own_limit(redis_server):
    def charge_of(number: int) -> Charge:
        return Charge(f"key:{number}", "read", Bucket(number, 2 * number), cost=number % 3)

    async def test(caller: Caller) -> None:
        told: dict[int, list[Admission | None]] = {number: [] for number in range(1, 11)}
        calls = script_calls()
        for _ in range(3):
            for number, admissions in told.items():
                caller.charge = charge_of(number)
                assert caller.asks(admissions.append)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(len(admissions) == 3 for admissions in told.values()):
                await asyncio.sleep(0.01)
        assert script_calls() - calls == 1
        assert told == {number: expected(charge_of(number), told[3][0]) for number in told}
        assert told[1][2] is told[2][2] is None

    def expected(charge: Charge, first: Admission | None) -> list[Admission | None]:
        """What three calls of a key get at the time of the first call."""
        assert first is not None
        now_us, full_at, admissions = first.bucket.now_us, None, []
        for _ in range(3):
            taken = take(charge.bucket, full_at=full_at, now_us=now_us, cost=charge.cost)
            state = bucket_state(
                charge.bucket, taken, name="read", now_us=now_us, epoch_now_us=now_us, cost=charge.cost
            )
            admissions.append(Admission(state) if taken.admitted else None)
            full_at = taken.full_at
        return admissions

    run(test, SLOW)


def test_a_turn_with_many_calls_occupies_redis_several_times_for_a_moment_each(redis_server):
    async def test(caller: Caller) -> None:
        told: list[Admission | None] = []
        calls = script_calls()
        for _ in range(2 * MAX_TOGETHER + 1):
            assert caller.asks(told.append)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(told) < 2 * MAX_TOGETHER + 1:
                await asyncio.sleep(0.01)
        assert [one.bucket.remaining for one in told if one is not None] == [4, 3, 2, 1, 0]
        assert script_calls() - calls == 3

    run(test, SLOW)


def test_a_call_that_fails_does_not_harm_those_that_are_charged_with_it(redis_server, caplog):
    async def test(caller: Caller) -> None:
        assert caller.asks(lambda _: 1 / 0)
        told = await caller.told()
        assert told is not None
        assert told.bucket.remaining == 3

    run(test, SLOW)
    assert "An answer of Redis could not be used" in caplog.text


def test_calls_that_are_not_sent_yet_when_the_connection_ends_are_decided_by_admit(redis_server):
    async def test(caller: Caller) -> None:
        told: list[Admission | None] = []
        assert caller.asks(told.append)
        caller._redis.close()
        await asyncio.sleep(0)
        assert told == [None]

    run(test, SLOW)


def test_a_refused_call_is_decided_by_admit(redis_server):
    async def test(caller: Caller) -> None:
        take_shared(SharedCharge(caller.charge._replace(cost=5)))
        assert await caller.told() is None
        assert not caller.limiter.admit(caller.charge).admitted

    run(test, SLOW)


def test_a_count_that_redis_lacks_is_read_back_by_admit_and_then_used_in_the_loop(redis_server):
    quotas = (QuotaCharge(DAY, 5000, 1),)

    async def test(caller: Caller) -> None:
        assert await caller.told() is None
        admitted = await asyncio.to_thread(caller.limiter.admit, caller.charge, quotas)
        assert admitted.quotas[0].remaining == 4999
        told = await caller.told()
        assert told is not None
        assert told.quotas[0].remaining == 4998

    run(test, SLOW, quotas)


def test_a_script_that_redis_does_not_know_is_sent_by_admit(redis_server):
    async def test(caller: Caller) -> None:
        caller._redis.ask(lambda _: None, "SCRIPT", "FLUSH")
        assert await caller.told() is None
        assert caller.limiter.admit(caller.charge).bucket.remaining == 4
        told = await caller.told()
        assert told is not None
        assert told.bucket.remaining == 3

    run(test, SLOW)


@pytest.mark.parametrize("redis_timeout", [USUAL_SECONDS])
def test_without_redis_admit_decides(redis_server):
    async def test(caller: Caller) -> None:
        redis_server.freeze()
        assert await caller.told() is None
        assert not caller.asks(lambda _: None)
        assert caller.limiter.admit(caller.charge).admitted

    run(test, SLOW)


def test_a_redis_that_is_back_is_noticed_in_the_loop_too(redis_server, monkeypatch, caplog):
    def away(*_: object, **__: object) -> None:
        raise RedisError("away")

    async def test(caller: Caller) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("ratelimit.limits.limiter.take_shared", away)
            caller.limiter.admit(caller.charge)
        assert await caller.told() is not None

    with caplog.at_level(logging.INFO, logger="ratelimit.limits.limiter"):
        run(test, SLOW)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "Redis is away",
        "Redis is back",
    ]
    assert not breaker.is_open
