"""Requests that arrive behind others of their connection: parsed and answered one at a time, and held within a limit."""

import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from django.http import HttpResponse

from front.limits import BodyBudget
from tests.chance import chosen_seed
from tests.front.front_server import (
    Reply,
    connected,
    eventually,
    read_reply,
    running,
)
from tests.front.test_repeated_requests import next_reply
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
# Each with what the application reads of its body.
REQUESTS = [
    (GET, b""),
    (b"\r\n\r\n" + GET, b""),
    (b"HEAD /%d HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    (b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b""),
    (b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n" + b"\r\n\r\nGET /", b"\r\n\r\nGET /"),
    (CHUNKED + b"4\r\n\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n0\r\n\r\n"),
    (CHUNKED + b"2;a=b\r\nab\r\n00\r\nX-Trailer: c\r\n\r\n", b"ab"),
    (CHUNKED + b"0\r\n\r\n", b""),
    (b"PROPFIND /%d HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    (b"GET /%d HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", b""),
]


def respond(environ: dict[str, object]) -> HttpResponse:
    body = environ["wsgi.input"].read()  # type: ignore[attr-defined]
    return HttpResponse(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {body!r}")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(respond) as number:
        yield number


@pytest.mark.parametrize("number", range(20))
def test_however_requests_are_cut_into_segments_each_has_its_answer(port: int, number: int):
    rng = random.Random(f"{chosen_seed()} {number}")
    chosen = [rng.choice(REQUESTS) for _ in range(12)]
    sent = b"".join(request.replace(b"%d", b"%d" % place) for place, (request, _) in enumerate(chosen))
    cuts = sorted(rng.choices(range(len(sent)), k=rng.choice([0, 1, 5, 40])))
    expected = []
    for place, (request, body) in enumerate(chosen):
        method = request.strip().split()[0].decode()
        expected.append("" if method == "HEAD" else f"{method} /{place} {body!r}")
    with connected(port) as connection, connection.makefile("rb") as stream:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            connection.sendall(sent[start:end])
            if rng.random() < 0.2:
                time.sleep(0.003)
        replies = [reply_to(stream, request) for request, _ in chosen]
    assert [reply.body.decode() for reply in replies] == expected


def reply_to(stream, request):
    if not request.strip().startswith(b"HEAD"):
        return next_reply(stream)
    while stream.readline() != b"\r\n":
        pass
    return Reply(200, {}, b"")


def test_a_request_before_a_malformed_one_gets_its_answer_and_the_malformed_one_its_refusal(port: int):
    with connected(port) as connection:
        connection.sendall(GET % 1 + b"GET /2 HTTP/1.1\r\nno header\r\n\r\n" + GET % 3)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.index(b"HTTP/1.1 200") < raw.index(b"GET /1 b''") < raw.index(b"HTTP/1.1 400")
    assert raw.count(b"HTTP/1.1 ") == 2


def test_a_client_that_sends_no_more_gets_all_its_answers(port: int):
    with connected(port) as connection:
        connection.sendall(b"".join(GET % number for number in range(50)) + b"GET /half")
        connection.shutdown(socket.SHUT_WR)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.count(b"HTTP/1.1 200") == raw.count(b"HTTP/1.1") == 50


@pytest.mark.parametrize("last", [b"", b"GET /half"])
def test_a_client_that_sends_no_more_gets_the_answer_to_a_request_behind_a_body(port: int, last: bytes):
    """The application's call for the body reads on."""
    with connected(port) as connection:
        connection.sendall((CHUNKED % 1 + b"2\r\nab\r\n0\r\n\r\n" + GET % 2) * 20 + last)
        connection.shutdown(socket.SHUT_WR)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.count(b"HTTP/1.1 200") == raw.count(b"HTTP/1.1") == 40


class Held:
    """An application that answers when it may, and notes which calls it has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_answer = threading.Event()

    def __call__(self, environ: dict[str, object]) -> HttpResponse:
        self.begun.append(str(environ["PATH_INFO"]))
        assert self.may_answer.wait(PATIENCE_SECONDS)
        return HttpResponse(b"ok")


def filled(connection: socket.socket) -> int:
    """Send requests until the connection takes no more. Return the bytes that it took."""
    connection.settimeout(1.0)
    sent, requests = 0, (GET % 2) * 10_000
    try:
        while True:
            sent += connection.send(requests)
    except TimeoutError:
        connection.settimeout(PATIENCE_SECONDS)
    return sent


def test_nothing_more_is_read_while_an_answer_is_outstanding():
    held, budget = Held(), BodyBudget(4 * 2**20)
    with running(held, held_bytes=budget) as port, connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        connection.sendall(GET % 1)
        assert eventually(lambda: held.begun == ["/1"])
        # The rest is in the buffers of the kernel.
        assert filled(connection) > 256 * 1024
        assert 0 < budget.taken <= 256 * 1024
        assert held.begun == ["/1"]
        held.may_answer.set()
        assert eventually(lambda: len(held.begun) > 100)
    assert eventually(lambda: budget.taken == 0)


def test_a_connection_that_would_hold_too_much_ends_after_its_answer():
    held, budget = Held(), BodyBudget(4 * 10_000)
    with running(held, held_bytes=budget) as port, connected(port) as connection:
        connection.sendall(GET % 1)
        assert eventually(lambda: held.begun == ["/1"])
        connection.sendall((GET % 2) * 1_000)
        time.sleep(0.05)
        held.may_answer.set()
        reply = read_reply(connection)
        assert (reply.body, reply.headers["connection"]) == (b"ok", "close")
    assert (held.begun, budget.taken) == (["/1"], 0)
