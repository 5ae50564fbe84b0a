"""What strangers and small keys do to a service, as a program of its own: `python -m tests.system.abuses NAME PORT SECONDS KEY`.

Traffic goes to 127.0.0.1 only, from few threads, and ends by itself.
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable

BODY_BYTES = 32 * 2**20
THREADS = 8
STALLED = 40
INGEST = "/api/v1/trades/ingest"
# Long enough for an answer in the worst case that is measured here.
_SECONDS = 30.0


def nested_lists(start: bytes) -> bytes:
    """A document of the largest size that has as many empty lists as fit."""
    return start + b"[]," * ((BODY_BYTES - len(start) - 4) // 3) + b"[]]}"


def request(method: str, path: str, *, length: int | None = None, key: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if key:
        lines.append(f"X-API-Key: {key}")
    return "\r\n".join([*lines, "", ""]).encode()


class Abuse:
    """Threads that each call `act` until the time is over; what the server does about it is not looked at."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._ends_at = time.monotonic() + seconds

    def run(self, act: Callable[[socket.socket], None], threads: int) -> None:
        running = [threading.Thread(target=self._repeat, args=(act,)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def _repeat(self, act: Callable[[socket.socket], None]) -> None:
        while not self.is_over:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), timeout=_SECONDS) as connection,
            ):
                act(connection)

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._ends_at

    def bodies(self, path: str, body: bytes, key: str) -> None:
        """Whole bodies, again and again."""
        head = request("POST", path, length=len(body), key=key)

        def act(connection: socket.socket) -> None:
            connection.sendall(head + body)
            connection.recv(65_536)

        self.run(act, THREADS)

    def unfinished(self, path: str, key: str) -> None:
        """Bodies but for their last byte, whose connections stay as long as the server lets them."""
        head, body = request("POST", path, length=BODY_BYTES, key=key), b"a" * (BODY_BYTES - 1)

        def act(connection: socket.socket) -> None:
            connection.sendall(head + body)
            while not self.is_over and connection.recv(65_536):
                pass

        self.run(act, STALLED)

    def refusals(self) -> None:
        """Requests without a credential, each answered 401 or 429, on connections that stay."""
        call = request("GET", "/api/v1/stats/ohlc?symbol=AAPL")

        def act(connection: socket.socket) -> None:
            while not self.is_over:
                connection.sendall(call)
                if not connection.recv(65_536):
                    return

        self.run(act, THREADS)


ABUSES: dict[str, Callable[[Abuse, str], None]] = {
    "lists to a login": lambda abuse, _key: abuse.bodies(
        "/api/v1/auth/refresh", nested_lists(b'{"refresh":['), ""
    ),
    "lists to ingest": lambda abuse, key: abuse.bodies(INGEST, nested_lists(b'{"trades":['), key),
    "bodies of strangers that never end": lambda abuse, _key: abuse.unfinished(INGEST, ""),
    "bodies of a caller that never end": lambda abuse, key: abuse.unfinished(INGEST, key),
    "a flood of refusals": lambda abuse, _key: abuse.refusals(),
}


def main(name: str, port: str, seconds: str, key: str) -> None:
    ABUSES[name](Abuse(int(port), float(seconds)), key)


if __name__ == "__main__":
    main(*sys.argv[1:])
