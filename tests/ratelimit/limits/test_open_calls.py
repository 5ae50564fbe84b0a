"""Calls that stay open: how many of a caller, and whose turn it is to do a piece of their work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ratelimit.limits.open_calls import OpenCalls, StreamPacing
from ratelimit.limits.token_bucket import Bucket, BucketState, Taken, bucket_state

BUCKET = Bucket(rate=10, burst=20)


def owing(tokens: int) -> BucketState:
    taken = Taken(True, (BUCKET.burst + tokens) * BUCKET.period_us)
    return bucket_state(BUCKET, taken, name="read", now_us=0, epoch_now_us=0)


def run(scene: Callable[[list[Any]], Awaitable[None]]) -> None:
    """Run a scene in a loop whose clock stands still. It gets the calls that wait for their time."""

    async def main() -> None:
        later: list[Any] = []
        loop: Any = asyncio.get_running_loop()
        loop.call_later = lambda delay, *call: later.append((delay, call)) if delay else loop.call_soon(*call)
        await scene(later)

    asyncio.run(main())


async def soon() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_caller_has_so_many_open_calls():
    calls = OpenCalls(2)
    ends = [calls.opened("key:1"), calls.opened("key:1")]
    assert calls.opened("key:1") is None
    assert calls.opened("key:2") is not None
    for end in (ends[0], ends[0]):
        assert end is not None
        end()
    assert calls.opened("key:1") is not None
    assert calls.opened("key:1") is None


@pytest.mark.parametrize("debt", [0, 5])
def test_pieces_of_a_caller_are_made_one_at_a_time_and_none_while_it_owes(debt: int):
    async def scene(later: list[Any]) -> None:
        turns, at_work, most, made = StreamPacing(), 0, 0, 0

        async def piece() -> None:
            nonlocal at_work, most, made
            async with turns.turn("key:1", "read") as turn:
                at_work += 1
                most = max(most, at_work)
                await asyncio.sleep(0)
                at_work -= 1
                made += 1
                turn.charged(owing(debt))

        pieces = [asyncio.create_task(piece()) for _ in range(3)]
        await soon()
        for number in range(3 if debt else 0):
            assert made == number + 1
            (delay, (end, *arguments)) = later.pop()
            # Five tokens flow in half a second.
            assert (delay, later) == (0.5, [])
            end(*arguments)
            await soon()
        await asyncio.gather(*pieces)
        assert (made, most) == (3, 1)
        assert turns._turns == {}

    run(scene)


def test_nobody_waits_for_another_caller_and_who_leaves_holds_up_nobody():
    async def scene(later: list[Any]) -> None:
        turns = StreamPacing()
        async with turns.turn("key:1", "read") as turn:
            waiting = asyncio.create_task(turns.turn("key:1", "read").__aenter__())
            async with turns.turn("key:2", "read"):
                pass
            await soon()
            assert waiting.cancel()
            await soon()
            turn.charged(None)
        async with turns.turn("key:1", "read"):
            pass
        await soon()
        assert (later, turns._turns) == ([], {})

    run(scene)
