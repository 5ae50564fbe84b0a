"""Turns: which process accepts a connection, and what happens when one of them ends, stops or cannot accept."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

import pytest
import uvloop

from ops.serve import turns as turns_module
from ops.serve.turns import Acceptor, Turns, shared_memory
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def memory() -> Iterator[IO[bytes]]:
    with shared_memory(3) as file:
        yield file


@pytest.fixture
def three(memory: IO[bytes]) -> list[Turns]:
    """The turns of three processes that take part."""
    turns = [Turns(memory.fileno(), own=number) for number in range(3)]
    for each in turns:
        each.beat()
    return turns


@pytest.mark.parametrize("silence", ["left", "never began", "stopped long ago"])
def test_nobody_waits_for_a_process_that_takes_no_part(
    memory: IO[bytes], three: list[Turns], monkeypatch: pytest.MonkeyPatch, silence: str
):
    first, second, third = three
    first.connections = second.connections = 5
    assert not first.is_mine()
    if silence == "left":
        third.leave()
    elif silence == "never began":
        Turns(memory.fileno(), own=2)
    else:
        monkeypatch.setattr(turns_module, "SILENT_SECONDS", -1.0)
    assert first.is_mine()


def test_a_process_that_takes_anothers_place_has_none_of_its_connections(
    memory: IO[bytes], three: list[Turns]
):
    for each in three:
        each.connections = 5
    successor = Turns(memory.fileno(), own=1)
    successor.beat()
    assert [each.is_mine() for each in three] == [False, True, False]
    assert successor.connections == 0


@dataclass
class Process:
    """An acceptor with its protocols, as a web process has them."""

    turns: Turns
    listener: socket.socket
    open_now: set[asyncio.Transport] = field(default_factory=set)

    def start(self) -> None:
        self.acceptor = Acceptor(self.listener, self.turns, self._protocol, self.open_now)

    def _protocol(self) -> asyncio.Protocol:
        process = self

        class Protocol(asyncio.Protocol):
            transport: asyncio.Transport

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                self.transport = transport
                process.open_now.add(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                process.open_now.discard(self.transport)
                process.turns.connections -= 1

        return Protocol()


@dataclass
class World:
    """Three processes on one listening socket, all in one event loop, and their clients."""

    processes: list[Process]
    address: tuple[str, int]
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    def counts(self) -> list[int]:
        return [len(process.open_now) for process in self.processes]

    async def connect(self, count: int) -> None:
        """Open so many more connections, and wait until all are accepted."""
        total = sum(self.counts()) + count
        opened = await asyncio.gather(*(asyncio.open_connection(*self.address) for _ in range(count)))
        self.clients += [writer for _, writer in opened]
        await self.are(total)

    async def are(self, total: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(self.counts()) != total:
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def a_world(memory: IO[bytes]) -> AsyncIterator[World]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        processes = [Process(Turns(memory.fileno(), own=each), listener.dup()) for each in range(3)]
        world = World(processes, listener.getsockname())
        for process in processes:
            process.start()
        try:
            yield world
        finally:
            for process in processes:
                process.acceptor.close()
                process.listener.close()
            for client in world.clients:
                client.transport.abort()
            await world.are(0)


@pytest.fixture
def run(memory: IO[bytes]) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    """Run a story in a world."""

    def runner(story: Callable[[World], Awaitable[None]]) -> None:
        async def told() -> None:
            async with a_world(memory) as world:
                await story(world)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(told())

    return runner


@pytest.mark.parametrize("at_once", [1, 30])
def test_connections_are_spread_evenly(run, at_once: int):
    async def story(world: World) -> None:
        for _ in range(30 // at_once):
            await world.connect(at_once)
        assert world.counts() == [10, 10, 10]

    run(story)


def test_those_that_lost_connections_take_the_next_ones(run):
    async def story(world: World) -> None:
        await world.connect(12)
        for transport in list(world.processes[1].open_now):
            transport.abort()
        await world.are(8)
        await world.connect(4)
        assert world.counts() == [4, 4, 4]

    run(story)


def test_a_closed_one_takes_no_part_and_what_it_left_in_the_queue_is_taken(run):
    async def story(world: World) -> None:
        first, *others = world.processes
        for other in others:
            other.acceptor.close()
        await world.connect(4)
        assert world.counts() == [4, 0, 0]
        first.acceptor.close()
        waiting = asyncio.create_task(world.connect(6))
        await asyncio.sleep(0.01)
        assert world.counts() == [4, 0, 0]
        for other in others:
            other.start()
        await waiting
        assert world.counts() == [4, 3, 3]

    run(story)


def test_a_connection_counts_from_its_acceptance_and_a_wrong_number_is_corrected(run):
    async def story(world: World) -> None:
        first = world.processes[0]
        for other in world.processes[1:]:
            other.acceptor.close()
        with socket.create_connection(world.address):
            first.acceptor._accept()
            first.acceptor._beat()
            assert (len(first.open_now), first.turns.connections) == (0, 1)
            await world.are(1)
            first.turns.connections = 7
            await first.acceptor.wait_closed()
            first.acceptor._beat()
            assert first.turns.connections == 1
        await world.are(0)

    run(story)


def test_nobody_waits_for_long_for_one_that_stands_still(run):
    async def story(world: World) -> None:
        still = world.processes[0].acceptor
        still._beating.cancel()
        still._loop.remove_reader(still._listener)
        await world.connect(10)
        assert world.counts() == [0, 5, 5]

    run(story)


def test_one_that_cannot_accept_leaves_connections_to_the_others(run, caplog: pytest.LogCaptureFixture):
    class Full(socket.socket):
        def accept(self):
            raise OSError(errno.EMFILE, "Too many open files")

    async def story(world: World) -> None:
        full = world.processes[0]
        full.acceptor.close()
        full.listener = Full(fileno=full.listener.detach())
        full.start()
        await world.connect(10)
        assert world.counts() == [0, 5, 5]

    run(story)
    assert "Too many open files" in caplog.text
