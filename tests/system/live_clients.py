"""Clients of the live feed: one that is talked to, and crowds that are cut off and continue from their tokens."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson
import uvloop
from websockets import ConnectionClosed, WebSocketException
from websockets.asyncio.client import ClientConnection, connect
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect as connect_at_once

from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from tests.system.live_logs import Frame, Received

PATH = "/ws/v1/stream"
_MEMBERS = {"ch", "seq", "prev", "committed_at", "sent_at"}
_TRY_AGAIN_SECONDS = 0.2
# So many clients of a crowd open a connection at a time.
_OPENING = 20


def headers_of(key: str | None) -> dict[str, str]:
    return {} if key is None else {"X-API-Key": key}


class Feed:
    """What a client has of a channel."""

    def __init__(self, token: str | None) -> None:
        """token: the client has all up to here; None: it subscribes to what comes from now on."""
        self.token = token
        self.began_at: str | None = None
        self.frames: list[Frame] = []
        self.resyncs = 0
        self._is_resync_due = False

    @property
    def received(self) -> Received:
        assert self.began_at is not None
        return Received(self.began_at, self.frames)

    def subscribed(self, token: str) -> None:
        if self.began_at is None:
            self.began_at = token
        elif token != self.token:
            self._is_resync_due = True
        self.token = token

    def resync(self, token: str) -> None:
        """Forget everything, and continue from a token."""
        self.began_at = self.token = token
        self.frames.clear()
        self.resyncs += 1
        self._is_resync_due = False

    def take(self, message: Mapping[str, Any], data: bytes | None = None) -> None:
        """Keep a frame; data: its rows as JSON. Raises AssertionError if it is not the next one."""
        assert message.keys() >= _MEMBERS, message.keys()
        assert not self._is_resync_due, f"{self.token} is not where the client was, without resync"
        assert message["prev"] == self.token, f"{message['prev']} after {self.token}"
        assert message["committed_at"] <= message["sent_at"], message["sent_at"]
        self.token = message["seq"]
        self.frames.append(Frame.of(message, data))


class LiveClient:
    """A client that connects again whenever it is cut off, and continues from its tokens.

    delays: seconds from each commit to the receipt of its frames. closings: what the server said before it closed
    connections; codes: with which it closed them. faults: what it should not have sent.
    """

    def __init__(self, crowd: "LiveCrowd", feeds: dict[str, Feed]) -> None:
        self._crowd = crowd
        self.feeds = feeds
        self.delays: list[float] = []
        self.closings: list[dict[str, Any]] = []
        self.codes: list[int | None] = []
        self.faults: list[str] = []
        self.connections = 0
        self._socket: ClientConnection | None = None
        self._is_subscribed = False
        self._wait = 0.0

    async def run(self) -> None:
        while not self._crowd.is_stopping:
            self._wait = _TRY_AGAIN_SECONDS
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                await self._connection()
            await asyncio.sleep(self._wait)

    def cut(self) -> None:
        """End the connection as the end of the process would. What has come and was not read is lost."""
        if self._socket is not None:
            self._socket.transport.abort()
            self._wait = 0.0

    async def _connection(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with self._crowd.opening:
                socket = await stack.enter_async_context(self._crowd.connection())
                await self._subscribe(socket)
            self._socket = socket
            self.connections += 1
            try:
                async for message in socket:
                    self._take(orjson.loads(message))
            finally:
                self.codes.append(socket.close_code)

    async def _subscribe(self, socket: ClientConnection) -> None:
        self._is_subscribed = False
        tokens = {name: feed.token for name, feed in self.feeds.items() if feed.token is not None}
        await socket.send(
            orjson.dumps({"op": "subscribe", "channels": list(self.feeds), "from": tokens}).decode()
        )

    def _take(self, message: dict[str, Any]) -> None:
        try:
            self._read(message)
        except AssertionError as error:
            self.faults.append(f"{message.get('ch')}: {error}")

    def _read(self, message: dict[str, Any]) -> None:
        match message.get("op"):
            case None:
                self.delays.append(time.time() - datetime.fromisoformat(message["committed_at"]).timestamp())
                data = orjson.dumps(message.get("data", []))
                self.feeds[message["ch"]].take(message, self._crowd.one_of(data))
            case "subscribed":
                self._is_subscribed = True
                for name, token in message["channels"].items():
                    self.feeds[name].subscribed(token)
            case "resync":
                self.feeds[message["ch"]].resync(message["seq"])
            case "closing":
                self.closings.append(message)
                self._wait = message["retry_after"]
                # A server that ends may do so before it reads what the client subscribes to.
                subscribed = self.feeds if self._is_subscribed else {}
                tokens = {name: feed.token for name, feed in subscribed.items()}
                assert message["from"] == tokens, message["from"]
            case other:
                assert other == "ping", message


class LiveCrowd:
    """Clients in an event loop of a thread of their own. Use it as a context manager."""

    def __init__(self, port: int, *keys: str) -> None:
        """keys: whose connections they are, in turns."""
        self._url, self._keys = f"ws://127.0.0.1:{port}{PATH}", itertools.cycle(keys)
        self._datas: dict[bytes, bytes] = {}
        self.clients: list[LiveClient] = []
        self.is_stopping = False
        self.opening = asyncio.Semaphore(_OPENING)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_stopping = True
        asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def add(self, *channels: str, token: str | None = None) -> LiveClient:
        """A new client of these channels, from a token or from now on."""
        client = LiveClient(self, {channel: Feed(token) for channel in channels})
        self.clients.append(client)
        asyncio.run_coroutine_threadsafe(client.run(), self._loop)
        return client

    def cut(self, clients: Sequence[LiveClient]) -> None:
        for client in clients:
            self._loop.call_soon_threadsafe(client.cut)

    def are_subscribed(self) -> bool:
        """Whether every client is told so, in the end."""
        return eventually(lambda: all(feed.began_at is not None for feed in self._feeds()))

    def have(self, tokens: Mapping[str, str]) -> bool:
        """Whether all clients of these channels come to these tokens, in the end."""

        def is_there() -> bool:
            return all(
                feed.token == tokens.get(name, feed.token)
                for client in self.clients
                for name, feed in client.feeds.items()
            )

        return eventually(is_there)

    def delays_ms(self) -> list[float]:
        """Milliseconds from each commit to the receipt of its frames, of all clients since the last call, ascending."""
        delays = sorted(delay * 1000 for client in self.clients for delay in client.delays)
        for client in self.clients:
            client.delays = []
        return delays

    def faults(self) -> list[str]:
        return [fault for client in self.clients for fault in client.faults]

    def connection(self) -> connect:
        return connect(
            self._url,
            additional_headers=headers_of(next(self._keys)),
            compression=None,
            proxy=None,
            max_size=None,
            ping_interval=None,
            close_timeout=2,
            open_timeout=PATIENCE_SECONDS,
        )

    def one_of(self, data: bytes) -> bytes:
        """The same object for the same bytes, so that a thousand clients do not need a thousand times the memory."""
        return self._datas.setdefault(data, data)

    def _feeds(self) -> Iterator[Feed]:
        return (feed for client in self.clients for feed in client.feeds.values())

    async def _ended(self) -> None:
        for client in self.clients:
            client.cut()
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_SECONDS)


class Ended(NamedTuple):
    """How a connection ended: the close frame's code (1006: none came), and what the server said before, or {}."""

    code: int
    closing: dict[str, Any]


class Conversation:
    """One connection, on which each message is sent and read when a test says so."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.waiting: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.socket.send(orjson.dumps(message).decode())

    def ask(self, **message: Any) -> dict[str, Any]:
        """Send a message; return its answer. Frames and pings that come before are kept in `waiting`."""
        self.send(**message)
        while True:
            answer = self._receive(PATIENCE_SECONDS)
            if "ch" not in answer and answer["op"] != "ping":
                return answer
            self.waiting.append(answer)

    def next(
        self, is_it: Callable[[dict[str, Any]], object], *, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The next message of a kind; all others before it are dropped. Raises TimeoutError, ConnectionClosed."""
        ends_at = time.monotonic() + seconds
        while True:
            message = self.waiting.pop(0) if self.waiting else self._receive(ends_at - time.monotonic())
            if is_it(message):
                return message

    def collect(self, feed: Feed, last: str) -> None:
        """Read frames of a channel up to the one with this `seq`. Raises ConnectionClosed."""
        while feed.token != last:
            feed.take(self.next(lambda message: "seq" in message))

    def ended(
        self,
        *,
        keep: Callable[[dict[str, Any]], object] = lambda _message: None,
        seconds: float = PATIENCE_SECONDS,
    ) -> Ended:
        """Read until the connection has ended. keep: is given each message. Raises TimeoutError if it does not end."""
        closing: dict[str, Any] = {}
        ends_at = time.monotonic() + seconds
        try:
            while True:
                message = self.next(lambda _message: True, seconds=ends_at - time.monotonic())
                keep(message)
                closing = message if message.get("op") == "closing" else closing
        except ConnectionClosed as closed:
            return Ended(1006 if closed.rcvd is None else closed.rcvd.code, closing)

    def _receive(self, seconds: float) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(self.socket.recv(timeout=max(0.0, seconds)))
        return message


@contextlib.contextmanager
def talking(port: int, key: str | None = None, *, query: str = "", **options: Any) -> Iterator[Conversation]:
    """A connection. options: those of `connect`. Raises InvalidStatus if it is refused."""
    options = {"additional_headers": headers_of(key), "compression": None, "proxy": None, **options}
    options.setdefault("open_timeout", PATIENCE_SECONDS)
    url = f"ws://127.0.0.1:{port}{PATH}{query}"
    with connect_at_once(url, max_size=None, ping_interval=None, close_timeout=2, **options) as socket:
        yield Conversation(socket)
