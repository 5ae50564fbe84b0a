"""A WebSocket that sends exactly the bytes that it is given, and reads frames of the server."""

import base64
import contextlib
import os
import socket
import struct
from typing import Any, NamedTuple, Self

import orjson

from tests.patience import PATIENCE_SECONDS
from tests.system.live_clients import PATH

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80


def frame(payload: bytes, *, first: int = FINAL | TEXT, is_masked: bool = True) -> bytes:
    """A client's frame. first: its first byte, the opcode and the flags."""
    mask = os.urandom(4) if is_masked else b""
    length = len(payload)
    bit = MASKED if is_masked else 0
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 2**16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    return head + mask + (masked(payload, mask) if is_masked else payload)


def masked(payload: bytes, mask: bytes) -> bytes:
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class Message(NamedTuple):
    """A frame of the server. code: of a close frame, else 0; 1006 for a connection that ended without one."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        if self.opcode != CLOSE:
            return 0
        return int(struct.unpack("!H", self.payload[:2])[0]) if self.payload else 1006

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.payload)
        return found


class RawSocket:
    """An open connection. Use it as a context manager."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._read = b""

    @classmethod
    def opened(cls, port: int, key: str) -> Self:
        """Open a WebSocket. Raises ConnectionRefusedError if the server does not want to."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {PATH} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {nonce}",
            f"X-API-Key: {key}",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        raw = cls(connection)
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in raw._read and raw._receive():
                pass
        head, _, raw._read = raw._read.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            connection.close()
            raise ConnectionRefusedError(head)
        return raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes, or as many as the server takes before it ends the connection."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def send_no_more(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def next(self) -> Message:
        """The next frame; a close frame without content for a connection that ended. Raises TimeoutError."""
        try:
            first, second = self._take(2)
            assert not second & MASKED
            length = second
            if second == 126:
                (length,) = struct.unpack("!H", self._take(2))
            elif second == 127:
                (length,) = struct.unpack("!Q", self._take(8))
            return Message(first & 0x0F, self._take(length))
        except ConnectionError:
            return Message(CLOSE, b"")

    def close_code(self) -> int:
        """Read until the connection ends."""
        while not (code := self.next().code):
            pass
        return code

    def close(self) -> None:
        self._socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            if not self._receive():
                raise ConnectionResetError
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _receive(self) -> bool:
        got = self._socket.recv(65_536)
        self._read += got
        return bool(got)
