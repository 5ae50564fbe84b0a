"""Clients of a running installation: connections that stay open, and which web process each one has reached."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from front.process import KEEP_ALIVE_SECONDS
from tests.front.front_server import Reply
from tests.marketdata_project.serve_process import Served, sockets_of
from tests.patience import PATIENCE_SECONDS

INGEST = "/v1/trades/ingest"
OHLC = "/v1/stats/ohlc"
CUT = (OSError, HTTPException)
"""What a client sees whose connection ended before an answer."""

_IDLE_SECONDS = KEEP_ALIVE_SECONDS / 2
_BUSY_SECONDS = 0.1


class Client:
    """One connection, opened by its first request and kept; `process` is the web process at its other end."""

    process: int | None = None

    def __init__(self, port: int, key: str | None) -> None:
        self._http = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self._headers = {} if key is None else {"X-API-Key": key}
        self._used_at = time.monotonic()

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One answer. Raises one of `CUT`."""
        if time.monotonic() - self._used_at > _IDLE_SECONDS:
            self._renew()
        self._used_at = time.monotonic()
        self._http.request(method, path, body, {**self._headers, **(headers or {})})
        response = self._http.getresponse()
        content = response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        return self.call("GET", path, None, headers)

    def ingest(self, body: bytes, *, query: str = "", headers: dict[str, str] | None = None) -> Reply:
        """The answer to a batch."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self.call("POST", f"{INGEST}?{query}" if query else INGEST, body, headers)

    def ingest_patiently(
        self, body: bytes, *, query: str = "", headers: dict[str, str] | None = None
    ) -> Reply:
        """The answer to a batch for a symbol that other processes write, too; sent again while one holds its lock.

        That one may stand still for longer than anybody waits for it, and nothing is stored then.
        """
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            reply = self.ingest(body, query=query, headers=headers)
            is_busy = reply.status == 503 and reply.json()["code"] == "store_busy"
            if not is_busy or time.monotonic() > ends_at:
                return reply
            time.sleep(_BUSY_SECONDS)

    def bars(self, symbol: str, interval: str = "1min") -> Reply:
        return self.get(f"{OHLC}?symbol={symbol}&interval={interval}")

    def _renew(self) -> None:
        """Another connection to the same process, if it lives: it ends those on which nothing is asked for a while."""
        self.close()
        if self.process is None or not is_alive(self.process):
            self.process = None
            return
        ends_at, elsewhere = time.monotonic() + PATIENCE_SECONDS, []
        try:
            while time.monotonic() < ends_at and is_alive(self.process):
                self._http.request("GET", "/healthz")
                self._http.getresponse().read()
                if process_at_the_other_end(self.local_port, self._http.port, [self.process]) is not None:
                    return
                # Kept open, so that the other process has as many connections as this one.
                elsewhere.append(self._http)
                self._http = HTTPConnection("127.0.0.1", self._http.port, timeout=PATIENCE_SECONDS)
                # One that stands still for a while has no part in the connections.
                time.sleep(0.005)
            raise ConnectionResetError(f"process {self.process} is not reached")
        finally:
            for connection in elsewhere:
                connection.close()

    @property
    def local_port(self) -> int:
        """Our end of the open connection."""
        port: int = self._http.sock.getsockname()[1]
        return port

    def close(self) -> None:
        self._http.close()


@contextmanager
def connected(port: int, key: str | None) -> Iterator[Client]:
    client = Client(port, key)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def clients_of_every_web(served: Served, key: str | None, *, each: int) -> Iterator[list[Client]]:
    """`each` clients of every web process, in turns: the first of each, the second of each …"""
    webs = served.webs()
    reached: dict[int, list[Client]] = {pid: [] for pid in webs}
    too_many: list[Client] = []
    port = served.port
    try:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        # One that is still starting, or stands still, has no part in the connections.
        while time.monotonic() < ends_at:
            client = Client(port, key)
            client.get("/healthz")
            client.process = process_at_the_other_end(client.local_port, port, webs)
            if client.process is None or len(reached[client.process]) == each:
                # Kept open for now: the process with the fewest connections takes the next one.
                too_many.append(client)
                time.sleep(0.005)
            else:
                reached[client.process].append(client)
            if all(len(clients) == each for clients in reached.values()):
                break
        assert all(len(clients) == each for clients in reached.values()), reached
        while too_many:
            too_many.pop().close()
        yield [client for turn in zip(*reached.values(), strict=True) for client in turn]
    finally:
        for client in chain(too_many, *reached.values()):
            client.close()


def is_alive(pid: int) -> bool:
    """Whether there is such a process that can still be asked something."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def process_at_the_other_end(local_port: int, port: int, webs: list[int]) -> int | None:
    """The web process that has the connection from `local_port` to `port`."""
    here, there = f"0100007F:{port:04X}", f"0100007F:{local_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next((row[9] for row in rows if row[1] == here and row[2] == there), None)
    return next((pid for pid in webs if is_alive(pid) and inode in sockets_of(pid)), None)


class Crowd:
    """Threads that each do `work(client)` until `stop`, or until it raises; the errors are kept."""

    def __init__(self, clients: list[Client], work: Callable[[Client, threading.Event], None]) -> None:
        self.errors: list[Exception] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work, client), daemon=True) for client in clients
        ]

    def _run(self, work: Callable[[Client, threading.Event], None], client: Client) -> None:
        try:
            work(client, self._stopping)
        except Exception as error:  # noqa: BLE001 whoever looks at the crowd's errors is told
            self.errors.append(error)

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Have everybody finish what is begun."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2 * PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)


def trades_body(symbol: str, rows: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"trades": [{"symbol": symbol, **row} for row in rows]})
