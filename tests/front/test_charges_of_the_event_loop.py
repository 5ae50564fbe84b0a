"""The event loop charges in Redis, without a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from front.answers import ReadyAnswer
from ratelimit.keys.api_keys import prefix_of
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.limiter import process_limiter
from ratelimit.limits.shared_limits import admission_script
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, make_key
from tests.front.repeated import Headers, Process, headers_of, visible
from tests.patience import PATIENCE_SECONDS
from tests.system.batches import Batch
from tests.system.clients import OHLC
from tests.system.held_reads import SYMBOL

RATE = 10
BARS = f"{OHLC}?symbol={SYMBOL}"


@pytest.fixture
def stored(api: Api, project_redis: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stored symbol, and keys that stay cached however long the test takes."""
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    monkeypatch.setattr(key_cache, "_max_age", PATIENCE_SECONDS)
    process_limiter.cache_clear()
    yield
    process_limiter.cache_clear()
    RESPONSE_CACHE.local.clear()


async def answers(
    process: Process, headers: Headers, count: int, target: str = BARS
) -> list[ReadyAnswer | None]:
    """The answers to requests of one iteration of the loop; None is left to Django."""
    told: list[ReadyAnswer | None] = []
    for _ in range(count):
        if not process.ask(target, headers, told.append):
            told.append(None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(told) < count:
            await asyncio.sleep(0.01)
    return told


def run(process: Process, test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a loop, with a connection to Redis, which knows the script."""

    async def main() -> None:
        loaded, redis = asyncio.Event(), process.reads._redis
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not redis.ask(lambda _: loaded.set(), "SCRIPT", "LOAD", admission_script().text):
                await asyncio.sleep(0.01)
            await loaded.wait()
        try:
            await test()
        finally:
            redis.close()
            await asyncio.sleep(0)

    uvloop.run(main())


def test_an_answer_that_waited_for_redis_is_djangos(stored):
    process, key = Process(), make_key(rate=RATE)
    expected = visible(process.by_django(BARS, {"X-API-Key": key}))

    async def test() -> None:
        (answer,) = await answers(process, {"X-API-Key": key}, 1)
        found = visible(answer)
        assert found.pop("x-correlation-id") != expected.pop("x-correlation-id")
        assert found == expected

    run(process, test)


def test_calls_of_one_iteration_are_charged_one_by_one_and_refusals_are_left_to_django(stored):
    process, key = Process(), make_key(rate=RATE)
    process.by_django(BARS, {"X-API-Key": key})

    async def test() -> None:
        given = [
            int(headers_of(answer)["x-ratelimit-remaining"])
            for answer in await answers(process, {"X-API-Key": key}, 60)
            if answer is not None
        ]
        assert len(given) < 60
        # Tokens flow in while the first calls are made, none from one call in Redis to the next.
        assert given[:10] == list(range(given[0], given[0] - 10, -1))

    run(process, test)


def test_calls_that_another_key_answers_for_are_also_charged_to_their_address(stored, settings):
    settings.ADDRESS_RATE, settings.UDF_KEY = 2, prefix_of(make_key())
    chart = f"/udf/history?symbol={SYMBOL}&resolution=1&from=0&to=1736000000&countback=5"
    process = Process()
    process.by_django(chart, {})

    async def test() -> None:
        given = [each is not None for each in await answers(process, {}, 60, chart)]
        assert 0 < sum(given) < 60

    run(process, test)
