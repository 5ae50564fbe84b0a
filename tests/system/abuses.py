"""What strangers and small keys do to a service, as a program of its own: `python -m tests.system.abuses NAME PORT SECONDS KEY`.

It writes a line when it begins, and at its end one with how often it got each status.

Traffic goes to 127.0.0.1 only, from few threads, and ends by itself.
"""

import base64
import contextlib
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import msgspec
import pyarrow as pa

BODY_BYTES = 16 * 2**20
THREADS = 8
STALLED = 40
INGEST = "/api/v1/trades/ingest"
# Long enough for an answer in the worst case that is measured here.
_SECONDS = 30.0


def nested_lists(start: bytes) -> bytes:
    """A document of the largest size that has as many empty lists as fit."""
    return start + b"[]," * ((BODY_BYTES - len(start) - 4) // 3) + b"[]]}"


def large_batch() -> bytes:
    """100,000 rows, and spaces up to the largest size."""
    row = b'{"timestamp":"2025-01-02T15:04:05Z","symbol":"LARGE","price":1,"volume":1}'
    body = b'{"trades":[' + b",".join([row] * 100_000) + b"]}"
    return body + b" " * (BODY_BYTES - len(body))


def shared_texts() -> bytes:
    """A stream of Arrow of 2.5 MiB whose 100,000 rows share few long texts."""
    rows = 100_000

    def shared(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array([text]))

    table = pa.table(
        {
            "timestamp": pa.array(range(1_735_830_000 * 10**9, 1_735_830_000 * 10**9 + rows)),
            "symbol": shared("SHARED"),
            "price": pa.array([1.0] * rows),
            "volume": pa.array([1.0] * rows),
            "conditions": shared(";".join(["w" * 60] * 30)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def dates_of_a_year(symbol: str) -> bytes:
    days = (date(2024, 1, 1) + timedelta(days=number) for number in range(366))
    rows = [{"timestamp": f"{day}T15:00:00Z", "symbol": symbol, "price": 1, "volume": 1} for day in days]
    return json.dumps({"trades": rows}).encode()


def wrong_columns() -> bytes:
    """Columns of MessagePack of which every value is wrong."""
    columns: dict[str, list[object]] = {"timestamp": ["x"] * 90_000}
    columns |= {name: [True] * 90_000 for name in ("symbol", "price", "volume")}
    return bytes(msgspec.msgpack.encode(columns))


def cancels(symbol: str) -> bytes:
    """Two cancels, at the ends of what is stored, of trades that do not exist, for each of 30 dates."""
    days = (date(2025, 1, 1) + timedelta(days=number) for number in range(30))
    times = (f"{day}T{clock}:00Z" for day in days for clock in ("00:00", "23:59"))
    corrections = [{"action": "cancel", "timestamp": instant, "trade_id": "none"} for instant in times]
    return json.dumps({"symbol": symbol, "corrections": corrections}).encode()


def one_row(symbol: str) -> bytes:
    row = {"timestamp": "2025-01-02T15:00:00Z", "symbol": symbol, "price": 1, "volume": 1}
    return json.dumps({"trades": [row]}).encode()


def text_frame(**message: object) -> bytes:
    """A client's message on a WebSocket."""
    return frame(0x1, json.dumps(message).encode())


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A client's frame of a WebSocket (RFC 6455, 5.2), masked with zeros."""
    size = len(payload)
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def handshake(key: str) -> bytes:
    lines = ["GET /ws/v1/stream HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
    if key:
        lines.append(f"X-API-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode()


def request(
    method: str,
    path: str,
    *,
    length: int | None = None,
    key: str = "",
    media_type: str = "application/json",
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {media_type}"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if key:
        lines.append(f"X-API-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode()


class Abuse:
    """Threads that each call `act` until the time is over; what the server does about it is not looked at."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._seconds, self._ends_at = seconds, 0.0
        self._addresses = itertools.cycle(["127.0.0.1"])
        self.statuses: Counter[str] = Counter()

    def run(self, act: Callable[[socket.socket], None], threads: int) -> None:
        sys.stdout.write("begins\n")
        sys.stdout.flush()
        self._ends_at = time.monotonic() + self._seconds
        running = [threading.Thread(target=self._repeat, args=(act,)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def _repeat(self, act: Callable[[socket.socket], None]) -> None:
        while not self.is_over:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(
                    ("127.0.0.1", self._port), timeout=_SECONDS, source_address=(next(self._addresses), 0)
                ) as connection,
            ):
                act(connection)

    def read(self, connection: socket.socket) -> bool:
        """Note the status of an answer; return whether there was one."""
        answer = connection.recv(65_536)
        status = answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/1.1 ") else "none"
        self.statuses[status] += 1
        return bool(answer)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._ends_at

    def bodies(self, path: str, body: bytes, key: str, *, media_type: str = "application/json") -> None:
        """Whole bodies, again and again."""
        head = request("POST", path, length=len(body), key=key, media_type=media_type)

        def act(connection: socket.socket) -> None:
            connection.sendall(head + body)
            self.read(connection)

        self.run(act, THREADS)

    def new_symbols(self, body_of: Callable[[str], bytes], key: str) -> None:
        """Batches, each of another symbol."""
        number, name = itertools.count(), f"NEW{os.getpid()}"

        def act(connection: socket.socket) -> None:
            while not self.is_over:
                body = body_of(f"{name}.{next(number)}")
                connection.sendall(request("POST", INGEST, length=len(body), key=key) + body)
                if not self.read(connection):
                    return

        self.run(act, THREADS)

    def reads(self, path: str, key: str) -> None:
        """Reads, each of another window: `%d` in the path is a number."""
        number = itertools.count()

        def act(connection: socket.socket) -> None:
            call = request("GET", path.replace("%d", str(next(number) % 1000)), key=key)
            connection.sendall(call.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            self.read(connection)
            while connection.recv(65_536):
                pass

        self.run(act, THREADS)

    def unfinished(self, path: str, key: str) -> None:
        """Bodies but for their last byte, whose connections stay as long as the server lets them."""
        head, body = request("POST", path, length=BODY_BYTES, key=key), b"a" * (BODY_BYTES - 1)

        def act(connection: socket.socket) -> None:
            connection.sendall(head + body)
            while not self.is_over and self.read(connection):
                pass

        self.run(act, STALLED)

    def passwords(self) -> None:
        """Attempts to log in, each with another name and from the next of many addresses."""
        self._addresses = itertools.cycle(
            [f"127.0.{net}.{host}" for net in range(4) for host in range(2, 250)]
        )
        number = itertools.count()

        def act(connection: socket.socket) -> None:
            body = json.dumps({"username": f"name{next(number)}", "password": "a guess"}).encode()
            connection.sendall(request("POST", "/api/v1/auth/token", length=len(body)) + body)
            self.read(connection)

        self.run(act, STALLED)

    def half_read(self, path: str, key: str) -> None:
        """Streams of which only the beginning is read, and whose connections stay."""
        call = request("GET", path, key=key)

        def act(connection: socket.socket) -> None:
            connection.sendall(call)
            self.read(connection)
            time.sleep(1)

        self.run(act, STALLED)

    def sockets(self, key: str, again: Callable[[], list[bytes]]) -> None:
        """Connections of the live feed on which messages are sent again and again; what comes is read."""

        def act(connection: socket.socket) -> None:
            connection.sendall(handshake(key))
            if not self.read(connection):
                return
            connection.settimeout(0.05)
            while not self.is_over:
                connection.sendall(b"".join(again()))
                with contextlib.suppress(TimeoutError):
                    while connection.recv(1 << 20):
                        pass

        self.run(act, STALLED)

    def frames(self, key: str, frames: bytes) -> None:
        """Frames on connections of the live feed, as many as the server takes; what comes is thrown away."""

        def act(connection: socket.socket) -> None:
            connection.sendall(handshake(key))
            if not self.read(connection):
                return
            connection.settimeout(0.05)
            unsent = b""
            while not self.is_over:
                unsent = unsent or frames
                with contextlib.suppress(TimeoutError):
                    unsent = unsent[connection.send(unsent) :]
                with contextlib.suppress(BlockingIOError):
                    if not connection.recv(1 << 20, socket.MSG_DONTWAIT):
                        return

        self.run(act, THREADS)

    def refusals(self, path: str) -> None:
        """Requests without a credential, most of them refused, on connections that stay."""
        call = request("GET", path)

        def act(connection: socket.socket) -> None:
            while not self.is_over:
                connection.sendall(call)
                if not self.read(connection):
                    return

        self.run(act, THREADS)


def resubscriptions(channels: list[str]) -> list[bytes]:
    """Messages that subscribe to channels, single ones from the beginning, and leave them."""
    tokens = {each: "0" for each in channels if not each.endswith("*")}
    return [
        text_frame(op="subscribe", channels=channels, **{"from": tokens}),
        text_frame(op="unsubscribe", channels=channels),
    ]


LONG, WALKED = "LONG", "WALKED"
_TREE = "/api/v1/market-data/equities"
ABUSES: dict[str, Callable[[Abuse, str], None]] = {
    "lists to a login": lambda abuse, _key: abuse.bodies(
        "/api/v1/auth/refresh", nested_lists(b'{"refresh":['), ""
    ),
    "lists to ingest": lambda abuse, key: abuse.bodies(INGEST, nested_lists(b'{"trades":['), key),
    "bodies of strangers that never end": lambda abuse, _key: abuse.unfinished(INGEST, ""),
    "bodies of a caller that never end": lambda abuse, key: abuse.unfinished(INGEST, key),
    "a flood of refusals": lambda abuse, _key: abuse.refusals("/api/v1/stats/ohlc?symbol=AAPL"),
    "the login page": lambda abuse, _key: abuse.refusals("/login"),
    "passwords from many addresses": lambda abuse, _key: abuse.passwords(),
    "large batches": lambda abuse, key: abuse.bodies(INGEST, large_batch(), key),
    "shared texts of Arrow": lambda abuse, key: abuse.bodies(
        INGEST, shared_texts(), key, media_type="application/vnd.apache.arrow.stream"
    ),
    "wrong columns": lambda abuse, key: abuse.bodies(
        INGEST, wrong_columns(), key, media_type="application/msgpack"
    ),
    "cancels over many dates": lambda abuse, key: abuse.bodies(
        "/api/v1/trades/corrections", cancels(LONG), key
    ),
    "dates of a year": lambda abuse, key: abuse.new_symbols(dates_of_a_year, key),
    "new symbols": lambda abuse, key: abuse.new_symbols(one_row, key),
    "revisions": lambda abuse, key: abuse.reads(
        f"{_TREE}/{WALKED}/revisions?start=2025-01-02T00:00:00.%dZ&end=2025-01-03&limit=1", key
    ),
    "all bars": lambda abuse, key: abuse.reads(
        f"/v1/stats/ohlc?symbol={LONG}&start=2025-01-01T00:00:00.%dZ", key
    ),
    "explanations": lambda abuse, key: abuse.reads(
        f"{_TREE}/{LONG}/ohlcv/explain?at=2025-01-02T00:00:00.%dZ&resolution=1d", key
    ),
    "gaps": lambda abuse, key: abuse.reads(
        f"/api/v1/gaps?symbols={LONG}&start=2025-01-02T00:00:00.%dZ&end=2025-02-01&resolution=1m", key
    ),
    "replays": lambda abuse, key: abuse.sockets(
        key, lambda: resubscriptions([f"trades:{LONG}", f"bars.1m:{LONG}"])
    ),
    "channels of all symbols": lambda abuse, key: abuse.sockets(key, lambda: resubscriptions(["trades:*"])),
    "credentials again and again": lambda abuse, key: abuse.frames(key, 200 * text_frame(op="auth", key=key)),
    "long pongs": lambda abuse, key: abuse.frames(key, 8 * text_frame(op="pong", sent_at="a" * 65_000)),
    "pings of strangers": lambda abuse, _key: abuse.frames("", 10_000 * frame(0x9)),
    "pongs of strangers": lambda abuse, _key: abuse.frames("", 10_000 * frame(0xA)),
    "streams that are half read": lambda abuse, key: abuse.half_read(
        f"{_TREE}/{LONG}/trades/stream.ndjson?start=2025-01-01", key
    ),
    "streams": lambda abuse, key: abuse.reads(
        f"{_TREE}/{LONG}/trades/stream.ndjson?start=2025-01-01T00:00:00.%dZ", key
    ),
}


def main(name: str, port: str, seconds: str, key: str) -> None:
    abuse = Abuse(int(port), float(seconds))
    ABUSES[name](abuse, key)
    sys.stdout.write(json.dumps(abuse.statuses) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
