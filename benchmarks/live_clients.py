"""Clients of the live feed that cost little, in a process of their own.

They split the stream into WebSocket frames by their lengths, note when each one came, and answer pings. Nothing else
is decoded. `python -m benchmarks.live_clients FILE` reads one line of JSON: `host`, `port`, and for each client its
`channel` and API key. It prints "connected" once all are subscribed. After the next line, or the end of its input, it
receives until a second passes without a message, and writes `Received` to FILE as JSON.
"""

import gc
import json
import os
import re
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.processes import CORES, line_with, running
from benchmarks.report import UnexpectedAnswer

_CHUNK = 1 << 16  # a larger buffer costs three times as much to allocate as to fill
_TIMEOUT_SECONDS = 60.0
_QUIET_SECONDS = 1.0
_LENGTH_IN_2_BYTES, _LENGTH_IN_8_BYTES = 126, 127
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_TOKENS = re.compile(rb'"seq": ?"([^"]+)".*?"prev": ?"([^"]+)"')
_TOKENS_END = 300  # bytes of a message; both tokens are before its rows


@dataclass(frozen=True, slots=True)
class Message:
    """A frame of rows: when it came by `time.monotonic`, its tokens, and its rows."""

    received: float
    seq: str
    prev: str
    rows: int


@dataclass(frozen=True, slots=True)
class Received:
    """What one client received. token: the one with which its subscription began."""

    channel: str
    token: str
    messages: list[Message]


class Clients:
    """A running process of clients. `received` ends it."""

    def __init__(self, stop: Callable[[], None], file: Path) -> None:
        self._stop, self._file = stop, file

    def received(self) -> list[Received]:
        """Wait until nothing more comes; return what each client received."""
        self._stop()
        return [
            Received(each["channel"], each["token"], [Message(*message) for message in each["messages"]])
            for each in json.loads(self._file.read_text())
        ]


@contextmanager
def live_clients(host: str, port: int, clients: Sequence[tuple[str, str]]) -> Iterator[Clients]:
    """Connect clients, each a channel and an API key, and yield them once they are subscribed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log, file = Path(folder) / "clients.log", Path(folder) / "received.json"
        command = [sys.executable, "-m", "benchmarks.live_clients", str(file)]
        with running(command, environment=os.environ, log=log, cores=CORES) as process:
            if process.stdin is None:
                raise UnexpectedAnswer("the clients have no input")
            stdin = process.stdin
            stdin.write(json.dumps({"host": host, "port": port, "clients": clients}).encode() + b"\n")
            line_with(process, "connected", log=log)

            def stop() -> None:
                stdin.close()
                if process.wait(_TIMEOUT_SECONDS):
                    raise UnexpectedAnswer(f"a client failed: {log.read_text()[-1000:]}")

            yield Clients(stop, file)


class _Client:
    """One connection. Its frames are read by the caller's selector."""

    def __init__(self, host: str, port: int, channel: str, key: str) -> None:
        self.socket = socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._channel, self._pending, self._heads = (
            channel,
            bytearray(),
            list[tuple[float, bytes, int]](),
        )
        self._upgrade(f"{host}:{port}", key)
        subscribe = {"op": "subscribe", "channels": [channel]}
        self.socket.sendall(_masked_frame(_TEXT, json.dumps(subscribe).encode()))
        self._token = self._subscribed()

    def receive(self) -> bool:
        """Take the bytes that have come. Return False if these were no rows."""
        data = self.socket.recv(_CHUNK)
        received = time.monotonic()
        if not data:
            raise UnexpectedAnswer(f"{self._channel}: the server closed the connection")
        self._pending += data
        count = len(self._heads)
        for opcode, payload in self._frames():
            if opcode == _PING:
                self.socket.sendall(_masked_frame(_PONG, payload))
            elif opcode == _CLOSE or b'"closing"' in payload[:_TOKENS_END]:
                raise UnexpectedAnswer(f"{self._channel}: {payload!r}")
            elif b'"data"' in payload[:_TOKENS_END]:
                head = payload[:_TOKENS_END]
                self._heads.append((received, head, payload.count(b'"timestamp"')))
        return len(self._heads) > count

    def received(self) -> Received:
        return Received(self._channel, self._token, [_message(*each) for each in self._heads])

    def _upgrade(self, host: str, key: str) -> None:
        lines = [
            "GET /ws/v1/stream HTTP/1.1",
            f"Host: {host}",
            f"X-API-Key: {key}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            self._pending += self._more()
        if b" 101 " not in self._pending[:end]:
            raise UnexpectedAnswer(f"{bytes(self._pending[:1000])!r}")
        del self._pending[: end + 4]

    def _subscribed(self) -> str:
        """Return the token of the answer to the subscription."""
        while True:
            for opcode, payload in self._frames():
                answer = json.loads(payload) if opcode == _TEXT else {}
                if answer.get("op") == "subscribed":
                    return str(answer["channels"][self._channel])
                if answer.get("op") == "error":
                    raise UnexpectedAnswer(f"{self._channel}: {answer}")
            self._pending += self._more()

    def _more(self) -> bytes:
        data = self.socket.recv(_CHUNK)
        if not data:
            raise UnexpectedAnswer(f"{self._channel}: the server closed the connection")
        return data

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Take the whole frames that have come; yield the opcode and the payload of each."""
        while len(self._pending) >= 2:
            length, start = self._pending[1], 2
            if length >= _LENGTH_IN_2_BYTES:
                start = 4 if length == _LENGTH_IN_2_BYTES else 10
                length = int.from_bytes(self._pending[2:start], "big")
            if len(self._pending) < start + length:
                return
            opcode, payload = self._pending[0] & 0xF, bytes(self._pending[start : start + length])
            del self._pending[: start + length]
            yield opcode, payload


def _masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame of at most 125 bytes. Its mask is zero, so the payload stays as it is."""
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def _message(received: float, head: bytes, rows: int) -> Message:
    found = _TOKENS.search(head)
    if not found:
        raise UnexpectedAnswer(f"a frame without tokens: {head!r}")
    return Message(received, found[1].decode(), found[2].decode(), rows)


def _receive_all(clients: Sequence[_Client]) -> None:
    """Receive until the standard input says or ends, and then until a second passes without rows."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        selector.register(sys.stdin, selectors.EVENT_READ)
        last, is_stopped = time.monotonic(), False
        while not is_stopped or time.monotonic() < last + _QUIET_SECONDS:
            for key, _ in selector.select(_QUIET_SECONDS):
                if key.data is None:
                    selector.unregister(sys.stdin)
                    is_stopped = True
                elif key.data.receive():
                    last = time.monotonic()


def main(file: Path) -> None:
    """Run the clients that the standard input names."""
    told = json.loads(sys.stdin.readline())
    clients = [_Client(told["host"], told["port"], *each) for each in told["clients"]]
    gc.disable()  # a collection would delay messages
    print("connected", flush=True)
    _receive_all(clients)
    found = [asdict(client.received()) for client in clients]
    for each in found:
        each["messages"] = [tuple(message.values()) for message in each["messages"]]
    file.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
