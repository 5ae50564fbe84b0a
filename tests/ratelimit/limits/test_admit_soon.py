"""Charges from an event loop: the same limits as with `admit`, without waiting."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from django.conf import settings as project_settings
from redis.exceptions import RedisError

from ratelimit.limits.admission import Admission
from ratelimit.limits.limiter import Limiter
from ratelimit.limits.quotas import DAY, QuotaCharge
from ratelimit.limits.shared_limits import admission_script, take_shared
from ratelimit.limits.token_bucket import Bucket, Charge
from redis_calls.connection import breaker
from redis_calls.loop_connection import LoopConnection
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

USUAL_SECONDS = project_settings.REDIS_TIMEOUT_SECONDS
SLOW, INTERNAL = Bucket(1, 5), Bucket(1000, 2000)


class Caller:
    """A key that asks a limiter from a loop."""

    def __init__(self, redis: LoopConnection, bucket: Bucket, quotas: tuple[QuotaCharge, ...] = ()) -> None:
        self._redis = redis
        self.charge = Charge("key:1", "read", bucket)
        self.quotas = quotas
        self.limiter = Limiter(workers=1)

    def asks(self, then: Callable[[Admission | None], object]) -> bool:
        return self.limiter.admit_soon(self.charge, self.quotas, redis=self._redis, then=then)

    async def told(self) -> Admission | None:
        """What the next call is told; "None" if nothing was sent, too."""
        admission = asyncio.get_running_loop().create_future()
        if not self.asks(admission.set_result):
            return None
        async with asyncio.timeout(PATIENCE_SECONDS):
            told: Admission | None = await admission
        return told


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


def test_tokens_taken_ahead_in_the_loop_are_spent_without_redis(redis_server):
    async def test(caller: Caller) -> None:
        await caller.told()
        told = await caller.told()
        assert told is not None
        assert caller.limiter.admit_reserved(caller.charge) is told
        assert caller.limiter.admit_reserved(caller.charge) is None

    run(test, INTERNAL)


def test_a_refused_call_is_decided_by_admit(redis_server):
    async def test(caller: Caller) -> None:
        take_shared(caller.charge._replace(cost=5))
        assert await caller.told() is None
        assert not caller.limiter.admit(caller.charge).admitted

    run(test, SLOW)


def test_a_quota_is_reserved_in_the_database_by_admit_and_then_spent_in_the_loop(redis_server):
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
