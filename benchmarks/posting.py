"""Batches posted over persistent connections, each checked to have been stored whole."""

import json
import socket
import threading
import time
from collections.abc import Iterable, Sequence

from benchmarks.pinning import LOAD_CORE, pinned
from benchmarks.servers import INGEST_PATH, Server

_TIMEOUT_SECONDS = 60.0
_CHUNK = 256 * 1024


class UnexpectedAnswer(Exception):
    """A server did not do what was measured."""


class Connection:
    """One persistent connection to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket = socket.create_connection((server.host, server.port), timeout=_TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def exchange(self, request: bytes) -> bytes:
        """Send a whole request; returns the body of its answer.

        Raises `UnexpectedAnswer` unless it is a 200 or 201.
        """
        return self.answer(request)[1]

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """The same; returns the answer's head in lower case, too."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end].lower(), received[end + 4 :]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        pieces, missing = [body], length - len(body)
        while missing > 0:
            pieces.append(self._more())
            missing -= len(pieces[-1])
        body = b"".join(pieces)
        if not head.startswith((b"http/1.1 200", b"http/1.1 201")):
            raise UnexpectedAnswer(f"{head[:40]!r}: {body[:500]!r}")
        return head, body

    def post(self, bodies: Iterable[tuple[bytes, int]]) -> list[float]:
        """Seconds that each batch (a body and its rows) took from the first byte sent to the answer."""
        seconds = []
        for body, rows in bodies:
            request = self._server.request("POST", INGEST_PATH, body)
            started = time.perf_counter()
            answer = self.exchange(request)
            seconds.append(time.perf_counter() - started)
            check_stored(answer, rows)
        return seconds

    def _more(self) -> bytes:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise UnexpectedAnswer("the server closed the connection")
        return data


def post_together(server: Server, by_client: Sequence[Iterable[tuple[bytes, int]]]) -> float:
    """Seconds from the common start of all clients, each with its own batches, to the end of the last."""
    ready = threading.Barrier(len(by_client) + 1)
    errors: list[BaseException] = []

    def client(bodies: Iterable[tuple[bytes, int]]) -> None:
        try:
            with pinned(LOAD_CORE), Connection(server) as connection:
                ready.wait()
                connection.post(bodies)
        except BaseException as error:  # noqa: BLE001 told to the caller, who waits for all of them
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=client, args=(bodies,), daemon=True) for bodies in by_client]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - started


def check_stored(answer: bytes, rows: int) -> None:
    """Hold an ingest's answer against the number of rows, all of which were new.

    Raises `UnexpectedAnswer`.
    """
    stored = json.loads(answer)["stored"]
    if stored != rows:
        raise UnexpectedAnswer(f"{stored} of {rows} new rows were stored")
