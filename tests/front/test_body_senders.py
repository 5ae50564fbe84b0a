"""Whose body is read: a large one of a known caller only, and nobody holds more than a share of what all may."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError
from django.http import HttpResponse

from front import body
from front.limits import BodyBudget
from tests.front.front_server import ask, connected, echo, eventually, read_reply, running
from tests.front.test_front_limits import from_address
from web.endpoints import SMALL_BODY_BYTES
from web.requests.wsgi_variables import BODY_TOO_LARGE

pytestmark = pytest.mark.system

LIMIT = 2**20
LARGE = SMALL_BODY_BYTES + 1


def post(length: int, *, key: str = "", more: bytes = b"") -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nX-API-Key: %s\r\n%s\r\n"
    return head % (length, key.encode(), more)


def owner(environ) -> str | None:
    """Whoever sends a key is known by it."""
    return environ["HTTP_X_API_KEY"] or None


def told(environ) -> HttpResponse:
    """Answer what an endpoint that needs a caller would, with what it found of the body."""
    read = environ["wsgi.input"].read()
    if BODY_TOO_LARGE in environ:
        return HttpResponse(b"%d" % environ[BODY_TOO_LARGE], status=413)
    return HttpResponse(b"%d" % len(read), status=200 if owner(environ) else 401)


@contextlib.contextmanager
def serving(**options) -> Iterator[int]:
    with running(told, max_body_bytes=LIMIT, authorize_large_body=owner, **options) as port:
        yield port


def test_a_large_body_of_nobody_is_not_read():
    with serving() as port, connected(port) as connection:
        connection.sendall(post(LARGE, more=b"Expect: 100-continue\r\n"))
        reply = read_reply(connection)
    assert (reply.status, reply.body, reply.headers["connection"]) == (401, b"0", "close")


def test_nor_is_one_whose_length_is_not_said():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nX-API-Key: \r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving() as port:
        small = ask(port, head + b"5\r\nabcde\r\n0\r\n\r\n")
        large = ask(port, head + b"%x\r\n%s\r\n" % (LARGE, b"a" * LARGE))
    assert (small.status, small.body) == (401, b"5")
    assert (large.status, large.body, large.headers["connection"]) == (401, b"0", "close")


def test_whoever_sends_a_large_body_unknown_gets_to_read_the_answer():
    with serving() as port:
        assert ask(port, post(LIMIT) + b"a" * LIMIT).status == 401


def test_a_small_body_is_read_of_anybody_and_of_nobody_is_asked_who():
    asked = []

    def note(environ) -> None:
        asked.append(environ)

    with running(told, max_body_bytes=LIMIT, authorize_large_body=note) as port:
        reply = ask(port, post(SMALL_BODY_BYTES) + b"a" * SMALL_BODY_BYTES)
    assert (reply.status, reply.body) == (401, b"%d" % SMALL_BODY_BYTES)
    assert asked == []


def test_without_the_database_a_large_body_is_refused(caplog):
    def owner_in_database(_environ) -> str | None:
        raise OperationalError("disk I/O error")

    with running(told, max_body_bytes=LIMIT, authorize_large_body=owner_in_database) as port:
        reply = ask(port, post(LARGE, key="key:1") + b"a" * LARGE)
    assert (reply.status, reply.json()["code"]) == (503, "database_unavailable")
    assert "the database cannot be used" in caplog.messages


def test_a_known_caller_is_told_the_endpoints_own_limit():
    with serving() as port:
        assert ask(port, post(LIMIT, key="key:1") + b"a" * LIMIT).body == b"%d" % LIMIT
        reply = ask(port, post(LIMIT + 1, key="key:1") + b"a" * (LIMIT + 1))
    assert (reply.status, reply.body) == (413, b"%d" % LIMIT)


def unfinished(stack: contextlib.ExitStack, port: int, *, address: str, key: str) -> socket.socket:
    """A connection that has sent a large body but for its last byte."""
    connection = stack.enter_context(from_address(address, port))
    connection.sendall(post(LARGE, key=key) + b"a" * (LARGE - 1))
    return connection


@pytest.mark.parametrize(
    ("keys", "same_address"),
    [(lambda _: "key:1", False), (lambda number: f"key:{number}", True)],
    ids=["a caller", "an address"],
)
def test_nobody_holds_more_than_a_quarter(keys: Callable[[int], str], *, same_address: bool):
    budget = BodyBudget(12 * LARGE)
    with serving(budget=budget) as port, contextlib.ExitStack() as stack:
        held = [unfinished(stack, port, address="127.0.0.2", key=keys(number)) for number in range(3)]
        assert eventually(lambda: budget.taken == 3 * (LARGE - 1))
        # The same caller from elsewhere, or the same address as somebody else.
        address, key = ("127.0.0.2", "key:9") if same_address else ("127.0.0.3", "key:1")
        with from_address(address, port) as connection:
            connection.sendall(post(LARGE, key=key) + b"a" * LARGE)
            refused = read_reply(connection)
        assert (refused.status, refused.json()["code"]) == (503, "server_busy")
        with from_address("127.0.0.4", port) as connection:
            connection.sendall(post(LARGE, key="key:10") + b"a" * LARGE)
            assert read_reply(connection).status == 200
        for connection in held:
            connection.sendall(b"a")
            assert read_reply(connection).status == 200
        assert eventually(lambda: budget.taken == 0)


def test_small_bodies_of_one_address_leave_room_for_others(monkeypatch):
    monkeypatch.setattr("front.body.MOST_SMALL_BODY_BYTES", 8 * 1000)
    with serving() as port, contextlib.ExitStack() as stack:
        for _ in range(2):
            slow = stack.enter_context(from_address("127.0.0.2", port))
            slow.sendall(post(1000) + b"a" * 999)
        time.sleep(0.2)
        with from_address("127.0.0.2", port) as connection:
            connection.sendall(post(1000) + b"a" * 1000)
            assert read_reply(connection).status == 503
        with from_address("127.0.0.3", port) as connection:
            connection.sendall(post(1000) + b"a" * 1000)
            assert read_reply(connection).status == 401


def test_a_body_of_which_nothing_more_comes_ends(monkeypatch):
    monkeypatch.setattr(body, "PROGRESS_SECONDS", 0.3)
    with running(echo, max_body_bytes=LIMIT) as port:
        began = time.monotonic()
        reply = ask(port, post(LIMIT) + b"a" * (LIMIT - 1))
    assert (reply.status, reply.json()["code"]) == (408, "request_timeout")
    assert 0.3 <= time.monotonic() - began < body.GRACE_SECONDS


def test_a_body_that_comes_byte_by_byte_ends_too(monkeypatch):
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.5)
    with running(echo, max_body_bytes=LIMIT) as port, connected(port) as connection:
        connection.sendall(post(LIMIT))
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"a")
                time.sleep(0.05)
        reply = read_reply(connection)
    assert (reply.status, reply.headers["connection"]) == (408, "close")
