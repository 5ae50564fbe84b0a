"""The watchdog: what is silence, what proves that a process can answer, and what is neither."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing

import pytest

from front.lanes import Lane
from front.pulse import Pulse
from ops.serve.watchdog import LONGEST_LOOK_SECONDS, Watchdog
from tests.patience import PATIENCE_SECONDS

THREADS = 3


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchdog(clock: Clock) -> Iterator[Watchdog]:
    with closing(Watchdog(clock)) as made:
        yield made


@pytest.fixture
def looks(clock: Clock, watchdog: Watchdog) -> Callable[..., list[float]]:
    """What several looks say, `every` seconds apart."""

    def several(count: int, every: float = 1.0) -> list[float]:
        seen = []
        for _ in range(count):
            clock.now += every
            seen.append(watchdog.look())
        return seen

    return several


def test_silence_is_counted_from_the_last_proof(looks, watchdog):
    os.write(watchdog.sender, b"..")
    assert looks(3) == [0.0, 1.0, 2.0]
    os.write(watchdog.sender, b".")
    assert looks(2) == [0.0, 1.0]


def test_a_process_that_starts_is_not_silent_and_its_predecessor_does_not_count(looks, watchdog):
    assert looks(1000) == [0.0] * 1000
    os.write(watchdog.sender, b".")
    assert looks(2) == [0.0, 1.0]
    os.write(watchdog.sender, b".")
    watchdog.reset()
    assert looks(1000) == [0.0] * 1000


def test_what_the_supervisor_did_not_see_is_not_silence(looks, watchdog):
    os.write(watchdog.sender, b".")
    assert looks(1) == [0.0]
    assert looks(1, every=3600.0) == [LONGEST_LOOK_SECONDS]
    assert looks(1) == [LONGEST_LOOK_SECONDS + 1]


@pytest.fixture
def lane() -> Lane:
    return Lane("watched", threads=THREADS, after=lambda: None)


@pytest.fixture
def pulse(lane: Lane, watchdog: Watchdog) -> Pulse:
    return Pulse(watchdog.sender, lane)


async def proves(pulse: Pulse, watchdog: Watchdog, clock: Clock) -> bool:
    """Whether a beat sends a proof; the time between it and a look is a second."""
    pulse.beat()
    clock.now += 1
    return watchdog.look() == 0.0


async def proves_in_the_end(pulse: Pulse, watchdog: Watchdog, clock: Clock) -> bool:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not await proves(pulse, watchdog, clock):
        if time.monotonic() > ends_at:
            return False
        await asyncio.sleep(0.01)
    return True


@pytest.fixture
def beating(pulse: Pulse, watchdog: Watchdog, clock: Clock, lane: Lane):
    """Runs a coroutine function in an event loop whose lane of reads has proved itself before."""

    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            assert await proves(pulse, watchdog, clock)
            assert await proves_in_the_end(pulse, watchdog, clock)
            await scenario()

        asyncio.run(begin())

    return run


def test_a_lane_without_work_is_a_proof(beating, pulse, watchdog, clock):
    async def idle() -> None:
        for _ in range(3):
            assert await proves_in_the_end(pulse, watchdog, clock)

    beating(idle)


def test_a_lane_whose_threads_all_wait_is_silent_until_one_is_free(beating, pulse, watchdog, clock, lane):
    async def wait() -> None:
        gates = [threading.Event() for _ in range(THREADS)]
        entered = threading.Barrier(THREADS + 1)

        def stand(gate: threading.Event) -> None:
            entered.wait(PATIENCE_SECONDS)
            gate.wait(PATIENCE_SECONDS)

        jobs = [lane.run(stand, gate) for gate in gates]
        await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
        assert await proves_in_the_end(pulse, watchdog, clock)
        assert [await proves(pulse, watchdog, clock) for _ in range(100)] == [False] * 100
        gates[0].set()
        assert await proves_in_the_end(pulse, watchdog, clock)
        for gate in gates:
            gate.set()
        await asyncio.gather(*jobs)

    beating(wait)


def test_a_lane_that_is_busy_is_not_silent(beating, pulse, watchdog, clock, lane):
    async def compute() -> None:
        ending = threading.Event()

        def spin() -> None:
            while not ending.is_set():
                sum(range(1000))

        jobs = [lane.run(spin) for _ in range(THREADS)]
        for _ in range(5):
            assert await proves_in_the_end(pulse, watchdog, clock)
        assert not any(job.done() for job in jobs)
        ending.set()
        await asyncio.gather(*jobs)

    beating(compute)


def test_a_queue_before_the_probe_is_not_silence_while_it_gets_shorter(beating, pulse, watchdog, clock, lane):
    async def queue() -> None:
        gates = [threading.Event() for _ in range(20)]
        jobs = [lane.run(gate.wait, PATIENCE_SECONDS) for gate in gates]
        assert await proves_in_the_end(pulse, watchdog, clock)
        for gate in gates:
            gate.set()
            assert await proves_in_the_end(pulse, watchdog, clock)
        await asyncio.gather(*jobs)

    beating(queue)


def test_a_full_pipe_and_one_that_nobody_reads_do_not_end_a_process(lane):
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    pulse = Pulse(sender, lane)

    async def beat() -> None:
        for _ in range(3):
            pulse.beat()
            await lane.run(int)

    def fill() -> None:
        while True:
            os.write(sender, b"." * 1000)

    with pytest.raises(BlockingIOError):
        fill()
    asyncio.run(beat())
    os.close(receiver)
    asyncio.run(beat())
    os.close(sender)
