"""WebSockets at the front: what opens one, what it holds, and how the server ends one."""

import asyncio
import contextlib
import logging
import struct
from http import HTTPStatus
from http.client import parse_headers

import pytest
import uvicorn
from prometheus_client import Gauge
from websockets.frames import Opcode

from front.application import Front
from front.body import BodyReader
from front.limits import ConnectionSlots
from front.process import WebServer
from ops.metrics.declarations import CONNECTIONS, REQUESTS_IN_FLIGHT
from stats.live.sockets import text_frame
from tests.front.front_server import (
    ask,
    connected,
    echo,
    eventually,
    lane_by_method,
    read_reply,
    running,
)
from tests.front.front_sockets import (
    HANDSHAKE,
    HEAD,
    VERSION,
    EchoFeed,
    client,
    close_code,
    filled,
    frame,
    open_socket,
    read_frames,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


def value(metric: Gauge) -> float:
    return sum(sample.value for family in metric.collect() for sample in family.samples)


# Who gets a socket


def test_messages_go_both_ways(feed: EchoFeed):
    with client(feed) as opened_:
        for text in ("a", "ä" * 30_000):
            opened_.send(text)
            assert opened_.recv() == text
        opened_.send(b"abc")
        assert opened_.recv() == "3 bytes"
        assert opened_.response is not None
        assert "Sec-WebSocket-Extensions" not in opened_.response.headers
        assert opened_.response.headers["Date"]
    assert eventually(lambda: feed.ends == [1000])


def test_frames_in_the_segment_of_the_request_are_read_after_it_is_accepted(feed: EchoFeed):
    with open_socket(feed, early=frame(Opcode.PING, b"p") + frame(Opcode.TEXT, b"first")) as connection:
        assert eventually(lambda: feed.messages == 1)
        connection.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        assert read_frames(connection) == [(10, b"p"), (1, b"first"), (8, b"\x03\xe8")]


def test_the_application_learns_of_the_request(feed: EchoFeed):
    target = HANDSHAKE.replace(b"stream ", b"stream?a=%e4 ").replace(
        b"Host: h\r\n", b"Host: h\r\nX-Long: " + b"a" * 15_000 + b"\r\nX-Correlation-ID: mine\r\n"
    )
    with connected(feed.port) as connection:
        connection.sendall(target)
        assert connection.recv(12) == b"HTTP/1.1 101"
        assert eventually(lambda: feed.environs)
    environ = feed.environs[0]
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/ws/v1/stream", "a=%e4")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_CORRELATION_ID"] == "mine"
    # websockets itself takes no line over 8 KiB.
    assert len(str(environ["HTTP_X_LONG"])) == 15_000


PLAIN = {
    "another path": HANDSHAKE.replace(b"/stream", b"/streams"),
    "another protocol": HANDSHAKE.replace(b"WebSocket\r", b"h2c\r"),
    "several protocols": HANDSHAKE.replace(b"WebSocket\r", b"h2c, websocket\r"),
    "another method": HANDSHAKE.replace(b"GET", b"OPTIONS"),
    "HTTP/1.0": HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a body": HANDSHAKE.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\nab"),
    "no Connection": HANDSHAKE.replace(b"keep-alive, Upgrade", b"keep-alive"),
}


@pytest.mark.parametrize("sent", PLAIN.values(), ids=PLAIN)
def test_anything_else_is_answered_as_plain_http(feed: EchoFeed, sent: bytes):
    assert ask(feed.port, sent).status == 200
    assert feed.sockets == []


@pytest.mark.parametrize("is_pipelined", [True, False], ids=["pipelined", "in turn"])
def test_a_request_behind_another_opens_its_socket_after_the_other_is_answered(
    feed: EchoFeed, is_pipelined: bool
):
    get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(feed.port) as connection, connection.makefile("rb") as answers:
        connection.sendall(get + HANDSHAKE if is_pipelined else get)
        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
        answers.read(int(parse_headers(answers)["Content-Length"]))
        if not is_pipelined:
            connection.sendall(HANDSHAKE)
        assert answers.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"


INVALID = {
    "no key": HEAD + VERSION + b"\r\n",
    "a wrong key": HEAD + b"Sec-WebSocket-Key: abc\r\n" + VERSION + b"\r\n",
    "another version": HANDSHAKE.replace(b"13", b"8"),
    "two hosts": HANDSHAKE.replace(b"Host: h\r\n", b"Host: h\r\nHost: i\r\n"),
    "a target that is not ASCII": HANDSHAKE.replace(b"stream ", b"stream?a=\xe4 "),
    "two origins": HANDSHAKE.replace(b"Host: h\r\n", b"Host: h\r\nOrigin: h\r\nOrigin: i\r\n"),
}


@pytest.mark.parametrize("sent", INVALID.values(), ids=INVALID)
def test_an_invalid_handshake_is_a_problem(feed: EchoFeed, sent: bytes):
    reply = ask(feed.port, sent)
    assert (reply.status, reply.json()["code"]) == (HTTPStatus.BAD_REQUEST, "malformed_request")
    assert feed.sockets == []


def test_without_a_live_feed_sockets_are_refused():
    with running(echo) as port:
        assert ask(port, HANDSHAKE).status == HTTPStatus.FORBIDDEN


# What a socket holds


def test_a_thousand_sockets_give_their_slots_back():
    feed, slots, before = EchoFeed(), ConnectionSlots(8), value(CONNECTIONS)
    with running(echo, live=feed, slots=slots) as feed.port:
        for _ in range(125):
            with contextlib.ExitStack() as stack:
                for _ in range(8):
                    stack.enter_context(open_socket(feed))
                assert slots.taken() == {"127.0.0.1": 8}
            assert eventually(lambda: slots.taken() == {})
        assert len(feed.sockets) == 1000
        assert value(CONNECTIONS) == before


def test_sockets_count_as_connections_and_not_as_requests():
    feed, slots = EchoFeed(), ConnectionSlots(2)
    before, in_flight = value(CONNECTIONS), value(REQUESTS_IN_FLIGHT)
    with running(echo, live=feed, slots=slots) as feed.port, client(feed), client(feed):
        assert value(CONNECTIONS) == before + 2
        assert value(REQUESTS_IN_FLIGHT) == in_flight
        with connected(feed.port) as third:
            assert read_reply(third).json()["code"] == "too_many_connections"


# Ready frames


def test_ready_frames_and_pings_arrive_whole_and_in_order(feed: EchoFeed):
    texts = [str(number) * (1 + number * 7 % 3000) for number in range(300)]

    def write_all() -> None:
        for text in texts:
            assert feed.sockets[0].write(text_frame(text.encode()))
            feed.sockets[0].ping()

    with client(feed) as opened_:
        before = feed.run(lambda: feed.sockets[0].heard_at)
        waiter = opened_.ping()
        feed.run(write_all)
        assert [opened_.recv() for _ in texts] == texts
        assert waiter.wait(PATIENCE_SECONDS)
        assert eventually(lambda: feed.sockets[0].heard_at > before)


def test_a_socket_that_is_closing_writes_nothing(feed: EchoFeed):
    def close_and_write() -> bool:
        feed.sockets[0].close(4408, "idle")
        feed.sockets[0].close(4413, "again")
        feed.sockets[0].ping()
        return feed.sockets[0].write(text_frame(b"too late"))

    with open_socket(feed) as connection:
        assert feed.run(close_and_write) is False
        connection.sendall(frame(Opcode.CLOSE, b""))
        assert read_frames(connection) == [(Opcode.CLOSE, struct.pack("!H", 4408) + b"idle")]
    assert eventually(lambda: feed.ends == [4408])


# The server's end


def test_a_shutdown_closes_sockets_and_does_not_wait_for_clients_that_do_not_read(caplog):
    feed = EchoFeed()
    with contextlib.ExitStack() as stack:
        with running(echo, live=feed) as feed.port:
            stack.enter_context(open_socket(feed))
            filled(feed)
            polite = stack.enter_context(open_socket(feed))
        assert close_code(read_frames(polite)[-1][1]) == 1012
    assert feed.ends == [1012, 1012]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_web_server_has_the_feed_send_its_clients_away_first(monkeypatch):
    ended = []

    class Feed(EchoFeed):
        async def close(self) -> None:
            ended.append("feed")

    async def shut_down(_server, _sockets) -> None:
        ended.append("connections")

    monkeypatch.setattr(uvicorn.Server, "shutdown", shut_down)
    server = WebServer(uvicorn.Config("unused", log_config=None))
    bodies = BodyReader(body_limit=lambda *_: 0, authorize_large_body=lambda _environ: None)
    server.front = Front(echo, bodies=bodies, lane_of=lane_by_method, live=Feed())
    asyncio.run(server.shutdown())
    assert ended == ["feed", "connections"]
