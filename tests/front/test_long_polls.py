"""Answers that wait for an event hold no thread, and end when the event, the time, the client or the server does."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

import pytest
from django.http import HttpResponse

from front.lanes import Lane
from front.long_polls import LongPolls
from tests.front.front_server import Reply, ask, connected, eventually, read_reply, running
from web.requests.waiting import AnswerWait, Renewed
from web.requests.wsgi_variables import ANSWER_WAIT

pytestmark = pytest.mark.system

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Scene:
    """A server whose answers wait for one event."""

    def __init__(self) -> None:
        self.lane = Lane("waiting", threads=1, after=lambda: None)
        self.waiting = LongPolls(self.lane, {str: self.wait})
        self.callers = 0
        self.happened = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.port = 0

    async def wait(self, name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.callers += 1
        try:
            if name == "failing":
                raise OSError("no such event")
            await self.happened.wait()
        finally:
            self.callers -= 1

    def happen(self) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.happened.set)

    def respond(self, environ: dict[str, object]) -> HttpResponse:
        path = environ["PATH_INFO"]
        if path != "/now":
            event = "failing" if path == "/failing" else "event"
            environ[ANSWER_WAIT] = AnswerWait(0 if path == "/briefly" else 30, event, lambda: renewed(path))
        return HttpResponse(b"old", headers={"Retry-After": "1", "X-Kept": "yes"})


def renewed(path: object) -> Renewed | None:
    if path == "/broken":
        raise ValueError("cannot be made")
    return None if path == "/gone" else Renewed(b"newer", {"Retry-After": None, "X-New": "yes"})


@contextmanager
def scene() -> Iterator[Scene]:
    serving = Scene()
    with running(serving.respond, long_polls=serving.waiting) as serving.port:
        yield serving


def later(serving: Scene, path: bytes) -> Reply:
    """Ask, and let the event happen once somebody waits."""
    with connected(serving.port) as connection:
        connection.sendall(GET % path)
        assert eventually(lambda: serving.callers)
        serving.happen()
        return read_reply(connection)


def test_the_answer_is_renewed_after_the_event() -> None:
    with scene() as serving:
        reply = later(serving, b"/event")
    assert (reply.status, reply.body) == (200, b"newer")
    assert reply.headers["preference-applied"] == "wait"
    assert (reply.headers["x-new"], reply.headers["x-kept"]) == ("yes", "yes")
    assert "retry-after" not in reply.headers


def test_and_after_the_time() -> None:
    with scene() as serving:
        assert ask(serving.port, GET % b"/briefly").body == b"newer"


@pytest.mark.parametrize("path", [b"/gone", b"/broken"])
def test_an_answer_that_cannot_be_renewed_is_sent_as_it_was(path: bytes) -> None:
    with scene() as serving:
        reply = later(serving, path)
    assert (reply.body, reply.headers["retry-after"]) == (b"old", "1")


def test_an_event_that_cannot_be_waited_for_ends_the_wait() -> None:
    with scene() as serving:
        assert ask(serving.port, GET % b"/failing").body == b"newer"


@pytest.mark.parametrize("is_reset", [True, False])
def test_a_client_that_goes_away_leaves_nothing_behind(is_reset: bool) -> None:
    with scene() as serving:
        with connected(serving.port) as connection:
            connection.sendall(GET % b"/event")
            assert eventually(lambda: serving.callers)
            if is_reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        began = monotonic()
        assert eventually(lambda: not serving.callers)
        assert monotonic() - began < 10


def test_a_client_that_sends_no_more_is_answered_at_once() -> None:
    with scene() as serving, connected(serving.port) as connection:
        connection.sendall(GET % b"/event")
        assert eventually(lambda: serving.callers)
        connection.shutdown(socket.SHUT_WR)
        assert read_reply(connection).body == b"newer"
        assert not serving.callers


def test_the_end_of_the_server_ends_all_waiting() -> None:
    with scene() as serving, connected(serving.port) as connection:
        connection.sendall(GET % b"/event")
        assert eventually(lambda: serving.callers)
        began = monotonic()
        assert serving.loop is not None
        serving.loop.call_soon_threadsafe(serving.waiting.close)
        assert read_reply(connection).body == b"old"
        assert ask(serving.port, GET % b"/event").body == b"old"
        assert monotonic() - began < 10


def test_callers_who_wait_hold_no_thread() -> None:
    with scene() as serving, ExitStack() as stack:
        assert ask(serving.port, GET % b"/now").body == b"old"
        connections = [stack.enter_context(connected(serving.port)) for _ in range(100)]
        for connection in connections:
            connection.sendall(GET % b"/event")
        assert eventually(lambda: serving.callers == 100)
        threads = threading.active_count()
        assert ask(serving.port, GET % b"/now").body == b"old"
        serving.happen()
        assert {read_reply(connection).body for connection in connections} == {b"newer"}
        assert threading.active_count() <= threads + 1
