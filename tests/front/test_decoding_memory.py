"""The memory for decoding: what fits is admitted, one body of a caller at a time; the others wait, and not for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from front.limits import MOST_DECODERS, DecodingMemory, DecodingPlace
from tests.patience import PATIENCE_SECONDS
from trades.children import MEMORY_BYTES, MEMORY_FACTOR
from trades.decoder import LARGE_BYTES

SMALL, LARGE = 100_000, LARGE_BYTES + 1
SMALL_SIZE = MEMORY_FACTOR * SMALL + MEMORY_BYTES
PLENTY = 100 * SMALL_SIZE


def run(scenario: Callable[[], Awaitable[object]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await scenario()

    asyncio.run(bounded())


def asked(memory: DecodingMemory, length: int, caller: str) -> "asyncio.Task[DecodingPlace]":
    return asyncio.create_task(memory.place(length, caller))


async def settled(*tasks: "asyncio.Task[DecodingPlace]") -> list[bool]:
    """Which of them have their place, once nothing more happens by itself."""
    for _ in range(10):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


def test_bodies_wait_for_the_memory_of_others():
    async def scenario() -> None:
        memory = DecodingMemory(2 * SMALL_SIZE)
        tasks = [asked(memory, SMALL, f"key:{number}") for number in range(4)]
        assert await settled(*tasks) == [True, True, False, False]
        (await tasks[0]).release()
        assert await settled(*tasks) == [True, True, True, False]
        (await tasks[0]).release()  # a second time
        assert await settled(*tasks) == [True, True, True, False]
        (await tasks[1]).release()
        assert await settled(*tasks) == [True] * 4

    run(scenario)


def test_a_caller_has_one_body_decoded_at_a_time_and_others_pass():
    async def scenario() -> None:
        memory = DecodingMemory(PLENTY)
        first, second, other = (asked(memory, SMALL, caller) for caller in ("key:1", "key:1", "key:2"))
        assert await settled(first, second, other) == [True, False, True]
        (await first).release()
        assert await settled(second) == [True]

    run(scenario)


def test_few_large_bodies_are_decoded_at_once_and_small_ones_pass():
    async def scenario() -> None:
        memory = DecodingMemory(PLENTY)
        large = [asked(memory, LARGE, f"key:{number}") for number in range(MOST_DECODERS + 1)]
        small = asked(memory, SMALL, "key:small")
        assert await settled(*large, small) == [True] * MOST_DECODERS + [False, True]

    run(scenario)


def test_a_body_that_needs_more_than_there_is_gets_all_of_it():
    async def scenario() -> None:
        memory = DecodingMemory(SMALL_SIZE)
        whole, other = asked(memory, 100 * LARGE, "key:1"), asked(memory, SMALL, "key:2")
        assert await settled(whole, other) == [True, False]

    run(scenario)


@pytest.mark.parametrize("ends", ["time", "cancel"])
def test_who_waits_in_vain_takes_nothing(ends):
    async def scenario() -> None:
        memory = DecodingMemory(SMALL_SIZE, wait_seconds=0.01 if ends == "time" else PATIENCE_SECONDS)
        first = await memory.place(SMALL, "key:1")
        waiting = asked(memory, SMALL, "key:2")
        assert await settled(waiting) == [False]
        if ends == "cancel":
            waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError), pytest.raises(TimeoutError):
            await waiting
        first.release()
        assert await memory.place(SMALL, "key:3")

    run(scenario)


def test_a_place_that_comes_while_the_wait_is_cancelled_is_free_again():
    async def scenario() -> None:
        memory = DecodingMemory(SMALL_SIZE)
        first = await memory.place(SMALL, "key:1")
        waiting = asked(memory, SMALL, "key:2")
        await settled(waiting)
        first.release()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        assert await memory.place(SMALL, "key:3")

    run(scenario)


def test_a_decoded_body_keeps_what_its_batch_takes():
    async def scenario() -> None:
        memory = DecodingMemory(SMALL_SIZE)
        first, second = asked(memory, SMALL, "key:1"), asked(memory, SMALL, "key:1")
        (await first).shrink(1)
        assert await settled(second) == [False]
        (await first).release()
        assert await settled(second) == [True]

    run(scenario)
