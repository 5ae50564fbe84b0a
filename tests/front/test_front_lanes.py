"""Lanes of threads: what fails in them, how many threads they have."""

import asyncio
import threading

import pytest

from front.lanes import Lane
from web.requests.after_answer import after_answer


def test_a_lane_survives_what_fails_in_it(caplog):
    def tidy():
        raise ValueError("tidying")

    lane = Lane("test", threads=1, after=tidy)

    async def use():
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0)
        return await lane.run(int, "7")

    assert asyncio.run(use()) == 7
    assert "tidying" in caplog.text


def test_a_lane_does_postponed_work_after_the_result_was_handed_on(caplog):
    lane, gate, done = Lane("test", threads=1, after=lambda: None), threading.Event(), []

    def job(number: int) -> int:
        after_answer(gate.wait)
        after_answer(lambda: 1 // 0)
        after_answer(lambda: done.append(number))
        return number

    async def use() -> None:
        assert await lane.run(job, 1) == 1
        assert done == []
        gate.set()
        assert await lane.run(job, 2) == 2
        await lane.run(int)

    asyncio.run(use())
    assert done == [1, 2]
    assert "ZeroDivisionError" in caplog.text


def test_other_threads_postpone_nothing():
    done: list[int] = []
    after_answer(lambda: done.append(1))
    assert done == [1]


def test_a_lane_has_no_thread_before_a_job_and_never_more_than_it_may():
    lane = Lane("counted", threads=4, after=lambda: None)

    async def use(together: int) -> int:
        gate = threading.Event()
        jobs = [lane.run(gate.wait, 10.0) for _ in range(together)]
        gate.set()
        assert await asyncio.gather(*jobs) == [True] * together
        return sum(thread.name.startswith("counted_") for thread in threading.enumerate())

    async def in_turn() -> list[int]:
        return [await use(together) for together in (0, 9)]

    assert asyncio.run(in_turn()) == [0, 4]


def test_callers_take_turns():
    lane, gate = Lane("turns", threads=1, after=lambda: None), threading.Event()
    done: list[str] = []

    async def use() -> None:
        first = lane.run(gate.wait, 10.0)
        jobs = [lane.run_for("greedy", done.append, f"greedy {n}") for n in range(4)]
        jobs += [lane.run_for("modest", done.append, f"modest {n}") for n in range(2)]
        gate.set()
        await asyncio.gather(first, *jobs)

    asyncio.run(use())
    assert done == ["greedy 0", "modest 0", "greedy 1", "modest 1", "greedy 2", "greedy 3"]


def test_one_caller_never_has_all_threads():
    lane, gate = Lane("shared", threads=3, after=lambda: None), threading.Event()
    running: list[int] = []

    def job(number: int) -> None:
        running.append(number)
        gate.wait(10.0)

    async def use() -> None:
        jobs = [asyncio.create_task(lane.run_for("greedy", job, n)) for n in range(5)]
        assert await lane.run_for("modest", int, "7") == 7
        assert await lane.run(int, "8") == 8
        assert running == [0, 1]
        gate.set()
        await asyncio.gather(*jobs)

    asyncio.run(use())
    assert sorted(running) == [0, 1, 2, 3, 4]
