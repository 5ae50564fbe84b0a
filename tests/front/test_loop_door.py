"""The event loop gives the front door's own answers, and charges for them in Redis without a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from front.door import FrontDoor
from front.loop_door import LoopDoor
from front.ready_answer import Awaited, ReadyAnswer
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.limiter import process_limiter
from ratelimit.limits.shared_limits import admission_script
from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, make_key
from tests.patience import PATIENCE_SECONDS
from tests.system.batches import Batch
from tests.system.clients import OHLC
from tests.system.front_door import SYMBOL, environ_of, visible

RATE = 10


@pytest.fixture
def stored(api: Api, project_redis: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stored symbol, and keys that stay cached however long the test takes."""
    assert api.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status_code == 200
    monkeypatch.setattr(key_cache, "_max_age", PATIENCE_SECONDS)
    process_limiter.cache_clear()
    yield
    process_limiter.cache_clear()
    RESPONSE_CACHE.local.clear()


class Client:
    """A caller in front of a loop door."""

    def __init__(self, door: LoopDoor, key: str) -> None:
        self._door = door
        self._headers = [(b"host", b"localhost"), (b"x-api-key", key.encode())]

    def ask(self, deliver: Callable[[ReadyAnswer | None], object]) -> ReadyAnswer | Awaited | None:
        call = self._door.read("127.0.0.1", b"", f"{OHLC}?symbol={SYMBOL}".encode(), self._headers)
        return None if call is None else self._door.answer(call, deliver)

    async def answers(self, count: int) -> list[ReadyAnswer | None]:
        """The answers to calls of one turn of the loop; None is left to the front."""
        told: list[ReadyAnswer | None] = []
        for _ in range(count):
            answer = self.ask(told.append)
            if not isinstance(answer, Awaited):
                told.append(answer)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(told) < count:
                await asyncio.sleep(0.01)
        return told


def run(key: str, test: Callable[[Client], Awaitable[None]]) -> None:
    """Run a test in a loop, with a connection to Redis, which knows the script."""

    async def main() -> None:
        door = LoopDoor()
        loaded = asyncio.Event()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not door._redis.ask(lambda _: loaded.set(), "SCRIPT", "LOAD", admission_script().text):
                await asyncio.sleep(0.01)
            await loaded.wait()
        try:
            await test(Client(door, key))
        finally:
            door._redis.close()
            await asyncio.sleep(0)

    uvloop.run(main())


def prepared(key: str) -> dict[str, str]:
    """Have the answer in memory; return the headers of the front door's answer."""
    environ = environ_of("GET", "", {"X-API-Key": key})
    _, answer = FrontDoor()(environ), FrontDoor()(environ)
    assert answer is not None
    return answer.headers


def headers_of(answer: ReadyAnswer | None) -> dict[str, str]:
    assert answer is not None
    lines = answer.lines.decode().split("\r\n")[:-1]
    return dict(line.split(": ", 1) for line in lines)


def remaining(answer: ReadyAnswer | None) -> int:
    return int(headers_of(answer)["X-RateLimit-Remaining"])


def test_an_answer_that_waited_for_redis_is_the_front_doors(stored):
    key = make_key(rate=RATE)
    expected = prepared(key)

    async def test(client: Client) -> None:
        (answer,) = await client.answers(1)
        headers = headers_of(answer)
        assert int(headers.pop("Content-Length")) > 0
        assert headers.pop("X-Correlation-ID") != expected.pop("X-Correlation-ID")
        assert visible(headers) == visible(expected)

    run(key, test)


def test_calls_of_one_turn_are_charged_one_by_one_and_refusals_are_left_to_the_front(stored):
    key = make_key(rate=RATE)
    prepared(key)

    async def test(client: Client) -> None:
        given = [remaining(answer) for answer in await client.answers(60) if answer is not None]
        assert len(given) < 60
        # Tokens flow in while the first calls are made, none from one call in Redis to the next.
        assert given[:10] == list(range(given[0], given[0] - 10, -1))

    run(key, test)
