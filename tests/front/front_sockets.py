"""A live feed that echoes, and WebSocket clients that speak raw frames to it."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import TypeVar

from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from stats.live.sockets import ENVIRON, SOCKET, Socket, text_frame
from tests.front.front_server import connected, eventually
from tests.patience import PATIENCE_SECONDS

Result = TypeVar("Result")

HEAD = b"GET /ws/v1/stream HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
HANDSHAKE = HEAD + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + VERSION + b"\r\n"


class EchoFeed:
    """Answers each message with itself, in frames that it makes. Keeps the sockets, their environs, and their ends.

    port: of the server, once it runs.
    """

    port: int

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


@contextlib.contextmanager
def client(feed: EchoFeed) -> Iterator[ClientConnection]:
    count = len(feed.sockets)
    with connect(
        f"ws://127.0.0.1:{feed.port}/ws/v1/stream",
        ping_interval=None,
        open_timeout=PATIENCE_SECONDS,
    ) as opened:
        assert eventually(lambda: len(feed.sockets) > count)
        yield opened


def opened(connection: socket.socket, *, early: bytes = b"") -> None:
    """Open a WebSocket on a raw connection."""
    connection.sendall(HANDSHAKE + early)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")


@contextlib.contextmanager
def open_socket(feed: EchoFeed, *, early: bytes = b"") -> Iterator[socket.socket]:
    """Open a WebSocket on a raw connection, which the feed keeps as its last one."""
    with connected(feed.port) as connection:
        count = len(feed.sockets)
        opened(connection, early=early)
        assert eventually(lambda: len(feed.sockets) > count)
        yield connection


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


def filled(feed: EchoFeed) -> None:
    """Write more than the kernel's buffers take."""
    large = text_frame(os.urandom(30_000).hex().encode())
    while feed.run(lambda: feed.sockets[0].unsent_bytes) < 2**20:
        assert feed.run(lambda: feed.sockets[0].write(large))
