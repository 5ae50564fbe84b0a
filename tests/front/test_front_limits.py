"""How much a request, a client address, and all bodies together may bring: what is too much is a problem, and costs nothing."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from front.limits import BodyBudget, ConnectionSlots, client_of
from front.protocol import GuardedProtocol
from tests.front.front_server import Reply, ask, connected, echo, eventually, read_reply, running
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
MOST = 16 * 1024


def lines(count: int) -> bytes:
    return b"".join(b"X-%d: a\r\n" % number for number in range(count))


TAKEN = {
    "100 headers": GET + lines(99),
    "a header of 16 KiB": GET + b"X-A: " + b"a" * (MOST - 3) + b"\r\n",
    "a target of 16 KiB": b"GET /?" + b"a" * (MOST - 2) + b" HTTP/1.1\r\nHost: h\r\n",
    "63 KiB of headers": GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 15 * 1024) for n in range(4)),
}
REFUSED = {
    "101 headers": (GET + lines(100), 431, "too_many_headers"),
    "a header longer than that": (GET + b"X-A: " + b"a" * (MOST - 2) + b"\r\n", 431, "header_too_long"),
    "a name longer than that": (GET + b"X" * MOST + b": a\r\n", 431, "header_too_long"),
    "a target longer than that": (b"GET /?" + b"a" * MOST + b" HTTP/1.1\r\nHost: h\r\n", 414, "target_too_long"),
    "more together": (
        GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 15 * 1024) for n in range(5)), 431, "headers_too_large"
    ),
}  # fmt: skip


@pytest.mark.parametrize("request_lines", TAKEN.values(), ids=TAKEN)
def test_what_is_within_the_limits_is_answered(request_lines: bytes):
    with running(echo) as port:
        assert ask(port, request_lines + b"\r\n").status == 200


@pytest.mark.parametrize(("request_lines", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_beyond_them_is_a_problem_and_reaches_nobody(request_lines: bytes, status: int, code: str):
    calls: list[str] = []

    def respond(environ) -> HttpResponse:
        calls.append(environ["PATH_INFO"])
        return HttpResponse(b"")

    with running(respond) as port:
        reply = ask(port, request_lines + b"\r\n")
    assert (reply.status, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers
    assert calls == []


FIRST = b"X-Correlation-ID: find-me-again\r\n"


@pytest.mark.parametrize(
    "request_lines",
    [
        GET + FIRST + lines(100),
        GET + FIRST + b"X-A: " + b"a" * MOST + b"\r\n",
        b"GET /?" + b"a" * MOST + b" HTTP/1.1\r\nHost: h\r\n" + FIRST,
        b"GET / HTTP/1.1\r\n" + FIRST,
    ],
)
def test_what_is_refused_for_its_headers_has_the_clients_id_too(request_lines: bytes):
    with running(echo) as port:
        reply = ask(port, request_lines + b"\r\n")
    assert reply.status in {400, 414, 431}
    assert reply.headers["x-correlation-id"] == reply.json()["correlation_id"] == "find-me-again"


@pytest.mark.parametrize("query", [b"", b"?a=" + b"a" * MOST])
def test_what_is_refused_at_the_path_of_a_dialect_has_its_body(query: bytes):
    with running(echo) as port:
        reply = ask(port, b"GET /api/v2/clock" + query + b" HTTP/1.1\r\nHost: h\r\n" + lines(100) + b"\r\n")
    assert reply.status in {414, 431}
    assert reply.json()["code"] == reply.status * 100_000


@pytest.mark.parametrize(
    "ids", [b"", FIRST * 2, b"X-Correlation-ID: \xff<b>\r\n"], ids=["none", "two", "insane"]
)
def test_without_one_sane_id_it_has_one_of_its_own(ids: bytes):
    with running(echo) as port:
        reply = ask(port, GET + ids + lines(100) + b"\r\n")
    assert reply.status == 431
    assert len(bytes.fromhex(reply.headers["x-correlation-id"])) == 16


def test_an_id_is_of_its_own_request_alone():
    with running(echo) as port, connected(port) as connection:
        connection.sendall(GET + FIRST + b"\r\n")
        assert read_reply(connection).status == 200
        connection.sendall(b"nonsense\r\n\r\n")
        reply = read_reply(connection)
    assert reply.status == 400
    assert reply.headers["x-correlation-id"] != "find-me-again"


@pytest.fixture
def few(monkeypatch) -> ConnectionSlots:
    slots = ConnectionSlots(3)
    monkeypatch.setattr(GuardedProtocol, "slots", slots)
    return slots


@contextlib.contextmanager
def from_address(address: str, port: int) -> Iterator[socket.socket]:
    with socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE_SECONDS, source_address=(address, 0)
    ) as connection:
        yield connection


def asked(connection: socket.socket) -> Reply:
    connection.sendall(GET + b"\r\n")
    return read_reply(connection)


def test_an_address_has_its_fill_of_connections_and_others_do_not_notice(few: ConnectionSlots):
    with running(echo) as port, contextlib.ExitStack() as stack:
        mine = [stack.enter_context(from_address("127.0.0.2", port)) for _ in range(3)]
        assert [asked(connection).status for connection in mine] == [200] * 3
        with from_address("127.0.0.2", port) as fourth:
            reply = read_reply(fourth)
        assert (reply.status, reply.json()["code"]) == (429, "too_many_connections")
        assert reply.headers["retry-after"] == "1"
        with from_address("127.0.0.3", port) as another:
            assert asked(another).status == 200
        assert asked(mine[0]).status == 200
        mine[1].close()
        assert eventually(lambda: few.taken().get("127.0.0.2") == 2)
        with from_address("127.0.0.2", port) as fourth:
            assert asked(fourth).status == 200
    assert eventually(lambda: few.taken() == {})


def test_slots_come_back_however_a_connection_ends(few: ConnectionSlots):
    ends = [
        b"",
        b"nonsense\r\n\r\n",
        GET,
        GET + b"Connection: close\r\n\r\n",
        GET + b"Content-Length: 9\r\n\r\na",
    ]
    with running(echo) as port:
        for sent in 3 * ends:
            with from_address("127.0.0.2", port) as connection:
                connection.sendall(sent)
            assert eventually(lambda: few.taken() == {})


ADDRESSES = {
    "127.0.0.1": "127.0.0.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "2001:db8::1": "2001:db8::/64",
    "2001:db8::ffff:1": "2001:db8::/64",
    "2001:db8:0:1::1": "2001:db8:0:1::/64",
    "10.1.2.3": "",
    "::ffff:10.1.2.3": "",
    "": "",
    "a socket": "",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_counts_as_its_client(address: str):
    assert client_of(address, (ip_network("10.0.0.0/8"),)) == ADDRESSES[address]


@given(st.lists(st.sampled_from(["192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:1::1", ""])))
def test_places_are_never_more_than_there_are_and_all_come_back(addresses: list[str]):
    slots = ConnectionSlots(2)
    inside = [address for address in addresses if slots.take(address)]
    counted = [client_of(address, ()) for address in inside if address]
    assert all(counted.count(client) <= 2 for client in counted)
    assert {client: counted.count(client) for client in counted} == slots.taken()
    for address in inside:
        slots.give_back(address)
    assert slots.taken() == {}


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length


def test_bodies_that_find_no_room_are_503_and_those_under_way_end_well():
    budget = BodyBudget(4 * 100_000)
    with running(echo, budget=budget) as port, from_address("127.0.0.1", port) as slow:
        slow.sendall(post(80_000) + b"a" * 60_000)
        assert eventually(lambda: budget.taken == 60_000)
        reply = ask(port, post(50_000) + b"a" * 50_000)
        assert (reply.status, reply.json()["code"]) == (503, "server_busy")
        assert reply.headers["retry-after"] == "1"
        assert ask(port, post(10) + b"a" * 10).status == 200
        slow.sendall(b"a" * 20_000)
        assert read_reply(slow).json()["body_length"] == 80_000
        assert eventually(lambda: budget.taken == 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(9) + b"a",
        post(200_000) + b"a",
        post(9) + b"a" * 9,
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
    ids=["cut off", "too large", "whole", "broken"],
)
def test_room_comes_back_however_a_body_ends(request_bytes: bytes):
    budget = BodyBudget(4 * 100_000)
    with running(echo, budget=budget) as port:
        with from_address("127.0.0.1", port) as connection:
            connection.sendall(request_bytes)
        assert eventually(lambda: budget.taken == 0)
        assert ask(port, post(9) + b"a" * 9).status == 200
        assert eventually(lambda: budget.taken == 0)


def test_a_failing_application_gives_the_room_back():
    def fail(_environ):
        raise ZeroDivisionError

    budget = BodyBudget(4 * 100_000)
    with running(fail, budget=budget) as port:
        assert ask(port, post(9) + b"a" * 9).status == 500
        assert eventually(lambda: budget.taken == 0)


def test_no_more_of_a_body_is_read_than_the_application_asks_for():
    """Until the caller is known, only so much of the body is in memory."""
    known = threading.Event()
    length = 64 * 2**20
    piece = b" " * 2**20

    def sender(_environ) -> str:
        assert known.wait(PATIENCE_SECONDS)
        return "key:1"

    with (
        running(echo, max_body_bytes=length, authorize_large_body=sender) as port,
        connected(port) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
        connection.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < length:
                sent += connection.send(piece[: length - sent])
        # What the system holds of both sides.
        assert sent < length // 2
        known.set()
        connection.settimeout(PATIENCE_SECONDS)
        while sent < length:
            sent += connection.send(piece[: length - sent])
        assert read_reply(connection).json()["body_length"] == length
