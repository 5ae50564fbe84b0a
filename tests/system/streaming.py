"""Clients of streams in a real installation, and what its web processes hold of them."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from store.csv.store import CsvStore
from store.declarations import Dataset
from tests.front.front_server import eventually
from tests.hostile.gauge import Gauge
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import WORKERS, Installation

_LISTENING = "0A"


def narrow_socket(port: int, buffer: int) -> socket.socket:
    """A connection with a receive buffer of so many bytes, so that little is under way to a client that does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(("127.0.0.1", port))
    return connection


@contextmanager
def asked(port: int, key: str, target: str, *, buffer: int | None = None) -> Iterator[socket.socket]:
    """A connection on which a request was sent and nothing was read; with a receive buffer of so many bytes."""
    address = ("127.0.0.1", port)
    with (
        narrow_socket(port, buffer)
        if buffer
        else socket.create_connection(address, PATIENCE_SECONDS) as connection
    ):
        head = f"GET {target} HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


@contextmanager
def streamed(port: int, key: str, target: str) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers={"X-API-Key": key})
        yield connection.getresponse()
    finally:
        connection.close()


def body(port: int, key: str, target: str) -> bytes:
    with streamed(port, key, target) as response:
        content = response.read()
        assert response.status == 200, content
        assert response.headers["Transfer-Encoding"] == "chunked"
        return content


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """What has come until something is among it."""
    got = b""
    while wanted not in got:
        piece = connection.recv(4096)
        assert piece, got[-1000:]
        got += piece
    return got


def cut(connection: socket.socket) -> None:
    """Close a connection as a process does that is killed amid reading: what is not read is not waited for."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Webs:
    """What the web processes have done and hold."""

    def __init__(self, installation: Installation) -> None:
        self._pids, self._port = installation.webs(), installation.port
        self.gauge = Gauge(self._pids)
        assert len(self._pids) == WORKERS
        assert eventually(self.gauge.have_loaded_libraries)

    def written(self) -> int:
        """Bytes handed to the kernel so far."""
        return sum(
            int(line.split()[1])
            for pid in self._pids
            for line in Path(f"/proc/{pid}/io").read_text().splitlines()
            if line.startswith("wchar:")
        )

    def connections(self) -> int:
        """How many connections of clients they have open."""
        here = f"0100007F:{self._port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1] == here and row[3] != _LISTENING and row[9] != "0" for row in rows)

    def threads(self) -> int:
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self._pids)

    def files_of(self, folder: Path) -> list[str]:
        """The files in a folder that they have open."""
        opened = [each for pid in self._pids for each in Path(f"/proc/{pid}/fd").iterdir()]
        return [name for each in opened if (name := link_of(each)).startswith(f"{folder}/")]

    def stand_still(self) -> bool:
        """Whether they have nothing to do: they write nothing for a while."""
        before = self.written()
        time.sleep(0.3)
        return self.written() - before < 4096


def link_of(path: Path) -> str:
    """What a handle of a process is of; empty where it was closed meanwhile."""
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""


def await_folded(store: CsvStore, dataset: Dataset, symbol: str) -> None:
    """Return when the store's derived files hold all rows; makes them, unless somebody else does."""
    assert eventually(partial(_is_folded, store, dataset, symbol), seconds=10 * PATIENCE_SECONDS)


def _is_folded(store: CsvStore, dataset: Dataset, symbol: str) -> bool:
    store.derive(dataset, symbol)
    return store.rows_behind(dataset, symbol) == 0
