"""Answers that the event loop delivers when Redis has charged the caller: in order, once, and else by the application."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from django.http import HttpResponse

from front.answers import ReadyAnswer
from tests.front.front_server import FunctionOfTarget, connected, eventually, read_reply, running

pytestmark = pytest.mark.system

Deliver = Callable[[ReadyAnswer | None], object]


def application(environ: dict[str, str]) -> HttpResponse:
    return HttpResponse(f"application {environ['PATH_INFO']}")


def ready(text: str) -> ReadyAnswer:
    return ReadyAnswer(200, f"Content-Length: {len(text)}\r\n".encode(), text.encode())


class Loop:
    """Awaits an answer to each path that begins with /soon, /never, and refuses the others. Remembers who waits."""

    def __init__(self, *, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.asked: list[str] = []
        self.delivered = 0

    def __call__(self, target: bytes, deliver: Deliver) -> bool:
        path = target.decode()
        self.asked.append(path)
        if not path.startswith(("/soon", "/refused")):
            return False
        answer = ready(f"loop {path}") if path.startswith("/soon") else None
        asyncio.get_running_loop().call_later(self.seconds, self._deliver, deliver, answer)
        return True

    def _deliver(self, deliver: Deliver, answer: ReadyAnswer | None) -> None:
        deliver(answer)
        self.delivered += 1


def request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def bodies(port: int, sent: bytes, count: int) -> list[str]:
    with connected(port) as connection:
        connection.sendall(sent)
        return received_bodies(connection, count)


def received_bodies(connection: socket.socket, count: int) -> list[str]:
    """The bodies of the answers, which may arrive together."""
    answers = []
    with connection.makefile("rb") as received:
        for _ in range(count):
            lines = iter(received.readline, b"\r\n")
            length = [
                int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length")
            ]
            answers.append(received.read(*length).decode())
    return answers


def test_a_request_that_arrives_while_another_one_is_awaited_is_answered_after_it():
    loop = Loop(seconds=0.2)
    with running(application, repeated=FunctionOfTarget(loop)) as port, connected(port) as connection:
        connection.sendall(request("/soon"))
        assert eventually(lambda: loop.asked == ["/soon"])
        connection.sendall(request("/behind"))
        assert received_bodies(connection, 2) == ["loop /soon", "application /behind"]


@pytest.mark.parametrize("path", ["/soon", "/refused"])
def test_a_client_that_is_gone_before_its_answer_harms_nobody(path):
    loop = Loop(seconds=0.1)
    with running(application, repeated=FunctionOfTarget(loop)) as port:
        with connected(port) as connection:
            connection.sendall(request(path))
            assert eventually(lambda: loop.asked == [path])
        assert eventually(lambda: loop.delivered == 1)
        assert bodies(port, request("/soon"), 1) == ["loop /soon"]


def test_a_malformed_request_behind_an_awaited_one_ends_the_connection_without_harm():
    loop = Loop(seconds=0.2)
    with running(application, repeated=FunctionOfTarget(loop)) as port:
        with connected(port) as connection:
            connection.sendall(request("/soon"))
            assert eventually(lambda: loop.asked == ["/soon"])
            connection.sendall(b"NONSENSE\r\n\r\n")
            while connection.recv(1000):
                pass
        assert eventually(lambda: loop.delivered == 1)
        assert bodies(port, request("/soon"), 1) == ["loop /soon"]


def test_a_server_that_ends_answers_what_is_awaited_and_closes():
    loop = Loop(seconds=0.3)
    with running(application, repeated=FunctionOfTarget(loop)) as port:
        connection = connected(port)
        client = connection.__enter__()
        client.sendall(request("/soon"))
        assert eventually(lambda: loop.asked == ["/soon"])
    reply = read_reply(client)
    assert reply.body == b"loop /soon"
    assert client.recv(1) == b""
    connection.__exit__(None, None, None)


@pytest.mark.parametrize("paths", [["/soon"], ["/refused"], ["/soon/1", "/soon/2"], ["/soon", "/2"]], ids=str)
def test_a_client_that_sends_no_more_gets_what_is_awaited(paths):
    loop = Loop(seconds=0.1)
    with running(application, repeated=FunctionOfTarget(loop)) as port, connected(port) as connection:
        for path in paths:
            connection.sendall(request(path))
            assert eventually(lambda: loop.asked)
        connection.shutdown(socket.SHUT_WR)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [raw.count(f" {path}".encode()) for path in paths] == [1] * len(paths)
