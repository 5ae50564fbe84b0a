"""Clients in this process: persistent connections that check every answer, alone and several together."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

from benchmarks.processes import CORES, LOAD_CORE, on_cores
from benchmarks.report import UnexpectedAnswer
from benchmarks.servers import Server

INGEST_PATH = "/v1/trades/ingest"
_TIMEOUT_SECONDS = 60.0
_CHUNK = 256 * 1024


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
        """Send a request; return the body of its answer. Raises `UnexpectedAnswer` unless the status is 200 or 201."""
        return self.answer(request)[1]

    def answer(self, request: bytes, *, expected: Sequence[int] = (200, 201)) -> tuple[bytes, bytes]:
        """Send a request; return the answer's head and its body.

        Raises `UnexpectedAnswer` for other statuses than the expected ones.
        """
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end], received[end + 4 :]
        status = int(head.split(b" ", 2)[1])
        length = 0 if status == HTTPStatus.NOT_MODIFIED else int(header(head, "content-length"))
        pieces, missing = [body], length - len(body)
        while missing > 0:
            pieces.append(self._more())
            missing -= len(pieces[-1])
        body = b"".join(pieces)
        if status not in expected:
            raise UnexpectedAnswer(f"{status}: {body[:500]!r}")
        return head, body

    def post(self, bodies: Iterable[tuple[bytes, int]]) -> list[float]:
        """Send batches, each a body and its number of rows; return the seconds from the first byte to the answer."""
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


def header(head: bytes, name: str) -> str:
    """Return the value of a header in an answer's head; empty if there is none."""
    found = re.search(rb"\r\n%b: *([^\r]*)" % name.encode(), head, re.IGNORECASE)
    return found[1].decode() if found else ""


def post_together(server: Server, by_client: Sequence[Iterable[tuple[bytes, int]]]) -> float:
    """Send the batches of all clients at once; return the seconds until the last client is done."""
    return run_together(server, [lambda client, own=bodies: client.post(own) for bodies in by_client])


def run_together(server: Server, clients: Sequence[Callable[[Connection], object]]) -> float:
    """Run each function in a thread with its own connection; return the seconds until the last one is done.

    All start at the same time. Raises the first exception of a function.
    """
    ready = threading.Barrier(len(clients) + 1)
    errors: list[BaseException] = []

    def run(client: Callable[[Connection], object]) -> None:
        try:
            with on_cores(LOAD_CORE if server.pinned else CORES), Connection(server) as connection:
                ready.wait()
                client(connection)
        except BaseException as error:  # noqa: BLE001 raised again below
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - started


def check_stored(answer: bytes, rows: int) -> None:
    """Raise `UnexpectedAnswer` unless the answer of an ingest says that `rows` new rows were stored."""
    stored = json.loads(answer)["stored"]
    if stored != rows:
        raise UnexpectedAnswer(f"{stored} of {rows} new rows were stored")
