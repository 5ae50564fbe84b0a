"""WebSockets at the front: what opens one, what it costs, what a hostile client gets, and how one ends."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from http import HTTPStatus
from http.client import parse_headers
from time import monotonic, thread_time
from typing import TypeVar

import pytest
import uvicorn
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from live.loop_time import SHARE
from live.sockets import ENVIRON, SOCKET, Socket, text_frame
from marketdata_project.front import sockets
from marketdata_project.front.application import Front
from marketdata_project.front.body import BodyReader
from marketdata_project.front.limits import ConnectionSlots
from marketdata_project.serve.web import WebServer
from metrics.declarations import CONNECTIONS, REQUESTS_IN_FLIGHT
from metrics.metric_types import Metric
from tests.marketdata_project.front_server import (
    ask,
    connected,
    echo,
    eventually,
    lane_by_method,
    read_reply,
    running,
)
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

Result = TypeVar("Result")

HEAD = b"GET /ws/v1/stream HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HANDSHAKE = HEAD + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + VERSION + b"\r\n"


class EchoFeed:
    """Answers each message with itself, in frames that it makes. Keeps the sockets, their environs, and their ends."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.environs: list[dict[str, object]] = []
        self.messages = 0
        self.ends: list[int] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        pass

    async def __call__(self, scope, receive, send) -> None:
        self.loop = asyncio.get_running_loop()
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept"})
        self.sockets.append(scope["extensions"][SOCKET])
        self.environs.append(scope["extensions"][ENVIRON])
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text") or f"{len(message['bytes'])} bytes"
            scope["extensions"][SOCKET].write(text_frame(text.encode()))
            self.messages += 1
        self.ends.append(message["code"])

    async def close(self) -> None:
        """Leave it to the front."""

    def start(self, coroutine: Coroutine[object, object, Result]) -> Future[Result]:
        """Run `coroutine` in the server's loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, function: Callable[[], Result]) -> Result:
        """Call `function` in the loop's thread."""

        async def call() -> Result:
            return function()

        return self.start(call()).result(PATIENCE_SECONDS)


class FeedOfTest(EchoFeed):
    """Leaves each socket to the feed of the test that runs. One server for all tests saves their seconds."""

    feed: EchoFeed

    async def __call__(self, scope, receive, send) -> None:
        await self.feed(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, FeedOfTest]]:
    live = FeedOfTest()
    with running(echo, live=live) as port:
        yield port, live


@pytest.fixture
def feed(server: tuple[int, FeedOfTest]) -> EchoFeed:
    server[1].feed = EchoFeed()
    return server[1].feed


@pytest.fixture
def port(server: tuple[int, FeedOfTest], feed: EchoFeed) -> int:
    return server[0]


@contextlib.contextmanager
def client(port: int, **options) -> Iterator[ClientConnection]:
    with connect(
        f"ws://127.0.0.1:{port}/ws/v1/stream", ping_interval=None, open_timeout=PATIENCE_SECONDS, **options
    ) as opened:
        yield opened


def opened(connection: socket.socket, *, early: bytes = b"") -> None:
    """Open a WebSocket on a raw connection."""
    connection.sendall(HANDSHAKE + early)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def read_frames(connection: socket.socket) -> list[tuple[int, bytes]]:
    """Read frames of less than 126 bytes until the connection's end: opcodes and payloads."""
    raw, frames = b"".join(iter(lambda: connection.recv(65536), b"")), []
    while raw:
        opcode, length = raw[0] & 15, raw[1]
        frames.append((opcode, raw[2 : 2 + length]))
        raw = raw[2 + length :]
    return frames


def close_code(payload: bytes) -> int:
    return int(struct.unpack("!H", payload[:2])[0])


def value(metric: Metric) -> float:
    return sum(values[0] for values in metric.series().values())


# Who gets a socket


def test_messages_go_both_ways(port: int, feed: EchoFeed):
    with client(port) as opened_:
        for text in ("a", "ä" * 30_000):
            opened_.send(text)
            assert opened_.recv() == text
        opened_.send(b"abc")
        assert opened_.recv() == "3 bytes"
        assert opened_.response is not None
        assert "Sec-WebSocket-Extensions" not in opened_.response.headers
        assert opened_.response.headers["Date"]
    assert eventually(lambda: feed.ends == [1000])


def test_frames_in_the_segment_of_the_request_are_read_after_it_is_accepted(port: int, feed: EchoFeed):
    with connected(port) as connection:
        opened(connection, early=frame(Opcode.PING, b"p") + frame(Opcode.TEXT, b"first"))
        assert eventually(lambda: feed.messages == 1)
        connection.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        assert read_frames(connection) == [(10, b"p"), (1, b"first"), (8, b"\x03\xe8")]


def test_the_application_learns_of_the_request(port: int, feed: EchoFeed):
    target = HANDSHAKE.replace(b"stream ", b"stream?a=%e4 ").replace(
        b"Host: h\r\n", b"Host: h\r\nX-Long: " + b"a" * 15_000 + b"\r\nX-Correlation-ID: mine\r\n"
    )
    with connected(port) as connection:
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
def test_anything_else_is_answered_as_plain_http(port: int, feed: EchoFeed, sent: bytes):
    assert ask(port, sent).status == 200
    assert feed.sockets == []


@pytest.mark.parametrize("is_pipelined", [True, False], ids=["pipelined", "in turn"])
def test_a_request_behind_another_opens_its_socket_after_the_other_is_answered(port: int, is_pipelined: bool):
    get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(port) as connection, connection.makefile("rb") as answers:
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
def test_an_invalid_handshake_is_a_problem(port: int, feed: EchoFeed, sent: bytes):
    reply = ask(port, sent)
    assert (reply.status, reply.json()["code"]) == (HTTPStatus.BAD_REQUEST, "malformed_request")
    assert feed.sockets == []


def test_without_a_live_feed_sockets_are_refused():
    with running(echo) as port:
        assert ask(port, HANDSHAKE).status == HTTPStatus.FORBIDDEN


# What a socket holds


def test_a_thousand_sockets_give_their_slots_back():
    feed, slots, before = EchoFeed(), ConnectionSlots(8), value(CONNECTIONS)
    with running(echo, live=feed, slots=slots) as port:
        for _ in range(125):
            with contextlib.ExitStack() as stack:
                connections = [stack.enter_context(connected(port)) for _ in range(8)]
                for connection in connections:
                    opened(connection)
                assert slots.taken() == {"127.0.0.1": 8}
            assert eventually(lambda: slots.taken() == {})
        assert len(feed.sockets) == 1000
        assert value(CONNECTIONS) == before


def test_sockets_count_as_connections_and_not_as_requests():
    slots, before, in_flight = ConnectionSlots(2), value(CONNECTIONS), value(REQUESTS_IN_FLIGHT)
    with running(echo, live=EchoFeed(), slots=slots) as port, client(port), client(port):
        assert value(CONNECTIONS) == before + 2
        assert value(REQUESTS_IN_FLIGHT) == in_flight
        with connected(port) as third:
            assert read_reply(third).json()["code"] == "too_many_connections"


# Hostile clients

TEXT, CONT, BINARY = Opcode.TEXT, Opcode.CONT, Opcode.BINARY
HOSTILE = {
    "not masked": (Frame(TEXT, b"a").serialize(mask=False), 1002),
    "a continuation of nothing": (frame(CONT, b"a"), 1002),
    "a message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"a"), 1002),
    "a close frame of one byte": (frame(Opcode.CLOSE, b"a"), 1002),
    "no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "no UTF-8 in fragments": (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
    "no UTF-8 twice": (frame(TEXT, b"\xff") * 2, 1007),
    "no UTF-8 before a close frame": (frame(TEXT, b"\xff") + frame(Opcode.CLOSE, b"\x03\xe8"), 1000),
    "a close reason that is no UTF-8": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "65,537 bytes": (frame(BINARY, bytes(65_537)), 1009),
    "2^63 bytes": (b"\x82\xff" + struct.pack("!Q", 2**63), 1009),
    "a megabyte": (frame(BINARY, bytes(2**20)), 1009),
    "65,537 bytes in fragments": (frame(BINARY, bytes(65_536), fin=False) + frame(CONT, b"a"), 1009),
    "empty fragments without end": (frame(TEXT, b"", fin=False) + 1000 * frame(CONT, b"", fin=False), 1009),
}


@pytest.mark.parametrize(("sent", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_frames_close_the_socket_and_log_nothing(port: int, feed: EchoFeed, caplog, sent, code):
    with caplog.at_level(logging.WARNING), connected(port) as connection:
        opened(connection)
        # The server may have closed before it has read everything.
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        opcode, payload = read_frames(connection)[-1]
        assert (Opcode(opcode), close_code(payload)) == (Opcode.CLOSE, code)
        assert eventually(lambda: len(feed.ends) == 1)
    assert caplog.records == []


def test_answers_to_messages_before_a_hostile_frame_log_nothing(caplog):
    class Answering(EchoFeed):
        async def __call__(self, scope, receive, send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": "answer"})

    sent = frame(TEXT, b"a") + frame(TEXT, b"\xff")
    with caplog.at_level(logging.WARNING), running(echo, live=Answering()) as port:
        with connected(port) as connection:
            opened(connection, early=sent)
            assert close_code(read_frames(connection)[-1][1]) == 1007
    assert caplog.records == []


def test_fragments_are_one_message(port: int):
    with client(port) as opened_:
        opened_.send(["a"] * 200)
        assert opened_.recv() == "a" * 200


def test_pings_of_a_client_that_reads_nothing_do_not_fill_the_memory(port: int, feed: EchoFeed):
    with connected(port) as connection:
        opened(connection)
        pings, sent = frame(Opcode.PING, b"p" * 125) * 500, 0
        assert eventually(lambda: feed.sockets)
        # The kernel's buffers take the first pongs.
        while sent < 16 * 2**20:
            connection.sendall(pings)
            sent += len(pings)
        assert feed.run(lambda: feed.sockets[0].unsent_bytes) < 2**20


@pytest.mark.parametrize(("opcode", "payload"), [(Opcode.PING, b""), (Opcode.PONG, b"p" * 125)])
def test_frames_without_end_take_a_small_share_of_the_loop(
    port: int, feed: EchoFeed, opcode: Opcode, payload: bytes
):
    seconds, frames = 1.5, frame(opcode, payload) * 1000
    with connected(port) as connection:
        opened(connection)
        connection.settimeout(0.02)
        assert eventually(lambda: feed.sockets)
        before, ends_at, unsent = feed.run(thread_time), monotonic() + seconds, b""
        while monotonic() < ends_at:
            unsent = unsent or frames
            with contextlib.suppress(TimeoutError):
                unsent = unsent[connection.send(unsent) :]
            with contextlib.suppress(TimeoutError):
                connection.recv(65536)
        # Without a budget the loop does nothing else.
        assert feed.run(thread_time) - before < 3 * SHARE * seconds


def test_only_the_newest_ping_of_a_segment_is_answered(port: int):
    pings = [frame(Opcode.PING, str(number).encode()) for number in range(50)]
    with connected(port) as connection:
        opened(connection)
        connection.sendall(b"".join(pings))
        connection.sendall(frame(Opcode.CLOSE, b"\x03\xe8"))
        *pongs, _ = read_frames(connection)
    assert pongs[-1] == (Opcode.PONG, b"49")
    assert len(pongs) < 50


def test_many_messages_at_once_do_not_fill_the_memory_and_arrive_in_order():
    class Counting(EchoFeed):
        texts: list[str]
        most: int

        async def __call__(self, scope, receive, send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                self.texts.append(message["text"])
                self.most = max(self.most, scope["extensions"][SOCKET].queue.qsize())

    feed, texts = Counting(), [str(number) for number in range(20_000)]
    feed.texts, feed.most = [], 0
    sent = b"".join(frame(TEXT, text.encode()) for text in texts)
    with running(echo, live=feed) as port, connected(port) as connection:
        opened(connection)
        connection.sendall(sent)
        assert eventually(lambda: len(feed.texts) == len(texts))
    assert feed.texts == texts
    assert feed.most < 1000


# Ready frames


def test_ready_frames_and_pings_arrive_whole_and_in_order(port: int, feed: EchoFeed):
    texts = [str(number) * (1 + number * 7 % 3000) for number in range(300)]

    def write_all() -> None:
        for text in texts:
            assert feed.sockets[0].write(text_frame(text.encode()))
            feed.sockets[0].ping()

    with client(port) as opened_:
        assert eventually(lambda: feed.sockets)
        before = feed.run(lambda: feed.sockets[0].heard_at)
        waiter = opened_.ping()
        feed.run(write_all)
        assert [opened_.recv() for _ in texts] == texts
        assert waiter.wait(PATIENCE_SECONDS)
        assert eventually(lambda: feed.sockets[0].heard_at > before)


def test_a_socket_that_is_closing_writes_nothing(port: int, feed: EchoFeed):
    def close_and_write() -> bool:
        feed.sockets[0].close(4408, "idle")
        feed.sockets[0].close(4413, "again")
        feed.sockets[0].ping()
        return feed.sockets[0].write(text_frame(b"too late"))

    with connected(port) as connection:
        opened(connection)
        assert eventually(lambda: feed.sockets)
        assert feed.run(close_and_write) is False
        connection.sendall(frame(Opcode.CLOSE, b""))
        assert read_frames(connection) == [(Opcode.CLOSE, struct.pack("!H", 4408) + b"idle")]
    assert eventually(lambda: feed.ends == [4408])


# Clients that do not read


@pytest.fixture
def _soon(monkeypatch) -> None:
    """Abort connections early."""
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 0.2)


def filled(feed: EchoFeed) -> None:
    """Write more than the kernel's buffers take."""
    large = text_frame(os.urandom(30_000).hex().encode())
    while feed.run(lambda: feed.sockets[0].unsent_bytes) < 2**20:
        assert feed.run(lambda: feed.sockets[0].write(large))


@pytest.mark.usefixtures("_soon")
def test_the_connection_of_a_client_that_does_not_read_is_aborted():
    feed, slots = EchoFeed(), ConnectionSlots(1)
    with running(echo, live=feed, slots=slots) as port, connected(port) as connection:
        opened(connection)
        assert eventually(lambda: feed.sockets)
        filled(feed)
        waiting = feed.start(feed.sockets[0].drained())
        assert not waiting.done()
        feed.run(lambda: feed.sockets[0].close(4413, "slow"))
        assert eventually(lambda: slots.taken() == {})
        waiting.result(PATIENCE_SECONDS)
        assert feed.ends == [4413]


def test_drained_waits_until_the_client_has_read(port: int, feed: EchoFeed):
    with connected(port) as connection:
        opened(connection)
        assert eventually(lambda: feed.sockets)
        filled(feed)
        waiting = feed.start(feed.sockets[0].drained())
        while not waiting.done():
            assert connection.recv(65536)
        assert feed.run(lambda: feed.sockets[0].unsent_bytes) <= 16 * 1024


ENDS: dict[str, Callable[[socket.socket], object]] = {
    "sends wrong frames": lambda connection: connection.sendall(b"\x00" * 9),
    "closes": lambda connection: connection.sendall(frame(Opcode.CLOSE, b"")),
    "sends no more": lambda connection: connection.shutdown(socket.SHUT_WR),
}


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_client_that_ends_without_reading_gives_its_slot_back(end):
    feed, slots = EchoFeed(), ConnectionSlots(1)
    with running(echo, live=feed, slots=slots) as port, connected(port) as connection:
        opened(connection)
        assert eventually(lambda: feed.sockets)
        filled(feed)
        end(connection)
        assert eventually(lambda: slots.taken() == {} and len(feed.ends) == 1)


# The server's end


def test_a_shutdown_closes_sockets_and_does_not_wait_for_clients_that_do_not_read(caplog):
    feed = EchoFeed()
    with contextlib.ExitStack() as stack:
        with running(echo, live=feed, drain_seconds=60) as port:
            deaf, polite = (stack.enter_context(connected(port)) for _ in range(2))
            opened(deaf)
            assert eventually(lambda: feed.sockets)
            filled(feed)
            opened(polite)
            assert eventually(lambda: len(feed.sockets) == 2)
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
    bodies = BodyReader(body_limit=lambda _path, _method: 0, body_sender=lambda _environ: None)
    server.front = Front(echo, bodies=bodies, lane_of=lane_by_method, live=Feed())
    asyncio.run(server.shutdown())
    assert ended == ["feed", "connections"]
