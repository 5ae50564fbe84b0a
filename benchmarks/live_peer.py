"""A bare `websockets` server that fans batches out: what the live feed is compared with.

Two processes share the port of the WebSockets. The first one also takes batches by `POST`, on a port of its own. It
acknowledges each at once, hands it to the second process, and both send it to their clients by `broadcast()`. Batches
are not stored; there are no keys, limits or records. Requests and messages are those of this project.
"""

import asyncio
import os
import socket
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.processes import CORES, line_with, running
from benchmarks.servers import Server
from store.datasets import TRADES

PEER = "benchmarks.live_peer"
_LENGTH_BYTES = 4
_EMPTY_ROW = dict.fromkeys(TRADES.schema.names)
_HOST = "127.0.0.1"


@contextmanager
def live_peer() -> Iterator[tuple[Server, int]]:
    """Run the peer on all cores; yield its server of batches, and the port of its WebSockets."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "peer.log"
        command = [sys.executable, "-m", PEER]
        with running(command, environment=os.environ, log=log, cores=CORES) as process:
            batches, clients = map(int, line_with(process, "Ready on", log=log).split()[-2:])
            yield Server(_HOST, batches, ["key"], Path(folder), (process.pid,), pinned=False), clients


class _Feed:
    """The clients of one process by channel, and the number of each channel's commits."""

    def __init__(self) -> None:
        self._clients: defaultdict[str, set[ServerConnection]] = defaultdict(set)
        self._commits: Counter[str] = Counter()

    async def serve(self, connection: ServerConnection) -> None:
        """Subscribe a client to the channel that its first message names, until it goes."""
        (channel,) = orjson.loads(await connection.recv())["channels"]
        subscribed = {"op": "subscribed", "channels": {channel: self.token(channel)}}
        await connection.send(orjson.dumps(subscribed), text=True)
        self._clients[channel].add(connection)
        await connection.wait_closed()
        self._clients[channel].discard(connection)

    def publish(self, channel: str, rows: list[dict[str, object]]) -> None:
        """Send rows to a channel's clients, if there are any, as the next commit: all columns but the symbol."""
        previous = self.token(channel)
        self._commits[channel] += 1
        if not (clients := self._clients[channel]):
            return
        for row in rows:
            del row["symbol"]
        data, now = [_EMPTY_ROW | row for row in rows], datetime.now(UTC)
        message = {"ch": channel, "seq": self.token(channel), "prev": previous, "committed_at": now}
        broadcast(clients, orjson.dumps(message | {"sent_at": now, "data": data}), text=True)

    def next_commit(self, channel: str) -> str:
        return f"{self._commits[channel] + 1}-abcdef"

    def token(self, channel: str) -> str:
        """Return the token of a channel's newest commit. The rest of it has the usual length, without a meaning."""
        return f"{self._commits[channel]}-abcdef.99"


def _parsed(body: bytes) -> tuple[str, list[dict[str, object]]]:
    """Return the channel and the rows of a batch."""
    rows = orjson.loads(body)["trades"]
    return f"trades:{rows[0]['symbol']}", rows


class _Batches:
    """Takes batches in the first process."""

    def __init__(self, feed: _Feed, other: asyncio.StreamWriter) -> None:
        self._feed, self._other = feed, other

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Acknowledge each batch of a persistent connection, then send it to the clients of both processes."""
        while head := await _head(reader):
            body = await reader.readexactly(_content_length(head))
            channel, rows = _parsed(body)
            self._acknowledge(writer, self._feed.next_commit(channel), len(rows))
            self._other.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
            self._feed.publish(channel, rows)
        writer.close()

    @staticmethod
    def _acknowledge(writer: asyncio.StreamWriter, commit: str, stored: int) -> None:
        body = b'{"stored":%d}' % stored
        fields = f"Content-Length: {len(body)}\r\nX-Commit: trades={commit}".encode()
        writer.write(b"HTTP/1.1 201 Created\r\n%b\r\n\r\n%b" % (fields, body))


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _content_length(head: bytes) -> int:
    fields = (line.partition(b":") for line in head.split(b"\r\n"))
    return next(int(value) for name, _, value in fields if name.lower() == b"content-length")


async def _first(clients: socket.socket, batches: socket.socket, other: socket.socket) -> None:
    feed = _Feed()
    _, writer = await asyncio.open_connection(sock=other)
    async with serve(feed.serve, sock=clients, compression=None):
        server = await asyncio.start_server(_Batches(feed, writer).serve, sock=batches)
        print(f"Ready on {batches.getsockname()[1]} {clients.getsockname()[1]}", flush=True)
        await server.serve_forever()


async def _second(clients: socket.socket, other: socket.socket) -> None:
    """Send what the first process hands over, until it ends."""
    feed = _Feed()
    reader, _ = await asyncio.open_connection(sock=other)
    async with serve(feed.serve, sock=clients, compression=None):
        while length := await reader.read(_LENGTH_BYTES):
            missing = await reader.readexactly(_LENGTH_BYTES - len(length))
            body = await reader.readexactly(int.from_bytes(length + missing, "big"))
            feed.publish(*_parsed(body))


def _listener(port: int = 0) -> socket.socket:
    """Return a socket that shares its port with another one. A connection goes to either."""
    return socket.create_server((_HOST, port), reuse_port=True, backlog=1024)


def main() -> None:
    """Run both processes until SIGTERM."""
    first = _listener()
    second = _listener(first.getsockname()[1])
    ends = socket.socketpair()
    if os.fork() == 0:
        first.close()
        ends[0].close()
        uvloop.run(_second(second, ends[1]))
        os._exit(0)
    second.close()
    ends[1].close()
    uvloop.run(_first(first, _listener(), ends[0]))


if __name__ == "__main__":
    main()
