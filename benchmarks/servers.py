"""The servers that are compared (this project's `serve` with one web process, the plain peer) and their clients."""

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BASE_DIR, LOAD_CORE, await_ready, line_with, pinned, run_python, running
from marketdata_project.serve.embedded_redis import EmbeddedRedis

RATE = 1_000_000
PEER_VENV = BASE_DIR / ".venv-bench"
_PEERS = Path(os.environ.get("PEERS") or "peers").resolve()
INGEST_PATH = "/v1/trades/ingest"
# Variables that are removed from the environment, because they may name an installation that others use.
OF_OTHERS = frozenset({"REDIS_URL", "DATABASE_URL"})
_KEY_OPTIONS = ("--tier", "internal", "--scope", "all", "--rate", str(RATE), "--json")


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, an API key for it, and its data folder."""

    host: str
    port: int
    key: str
    folder: Path

    def request(self, method: str, target: str, body: bytes | None = None) -> bytes:
        """Return the bytes of an HTTP request with the API key."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}", f"X-API-Key: {self.key}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def process(self, argument: str) -> int:
        """Return the id of the server's process with this argument. Raises OSError if there is none."""
        for process in Path("/proc").iterdir():
            try:
                if argument.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                    variables = (process / "environ").read_bytes().split(b"\0")
                    if f"DATA_DIR={self.folder}".encode() in variables:
                        return int(process.name)
            except OSError:
                continue
        raise OSError(f"the server has no process {argument}")


@contextmanager
def our_server(
    *, settings: str = "marketdata_project.settings.development", **variables: str
) -> Iterator[Server]:
    """Run `manage.py serve` on an empty data folder, with one web process and without the sample.

    `variables` are added to its environment.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data, log = Path(folder) / "data", Path(folder) / "serve.log"
        environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_OTHERS},
            "DJANGO_SETTINGS_MODULE": settings,
            "DATA_DIR": str(data),
            "HOST": "127.0.0.1",
            "PORT": "0",
            "WORKERS": "1",
            "LOAD_SAMPLE": "0",
            **variables,
        }
        command = [sys.executable, "manage.py", "serve"]
        with running(command, environment=environment, log=log) as process:
            host, port = line_with(process, "Ready on", log=log).rsplit("/", 1)[-1].strip().split(":")
            created = run_python(
                "django", "apikey", "create", "bench", *_KEY_OPTIONS, environment=environment, log=log
            )
            yield Server(host, int(port), json.loads(created)["key"], data)


def peer_obstacle() -> str | None:
    """Return the reason why the plain peer cannot be run; None if it can."""
    if not (_PEERS / "naive" / "app.py").is_file():
        return f"there is no naive/app.py in the folder that PEERS names, {_PEERS}"
    if not (PEER_VENV / ".installed").exists():
        return "requirements-bench.txt is not installed in .venv-bench"
    return None


@contextmanager
def naive_peer() -> Iterator[Server]:
    """Run the plain peer with one uvicorn worker and a Redis of its own, all on the servers' core."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        redis = EmbeddedRedis(socket_path=folder / "redis.sock", run_dir=folder)
        log = folder / "redis.err"
        process = stack.enter_context(running(redis.command(), environment=os.environ, log=log))
        await_ready(process, redis.answers, log=log)
        log = folder / "naive.log"
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
            port, fd = listener.getsockname()[1], listener.fileno()
            command = [str(PEER_VENV / "bin" / "python"), "-m", "uvicorn", "app:app", "--fd", str(fd)]
            command += ["--app-dir", str(_PEERS / "naive"), "--loop", "uvloop", "--http", "httptools"]
            command += ["--no-access-log", "--log-level", "warning"]
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NAIVE_CSV": str(folder / "trades.csv"),
                "NAIVE_REDIS": f"unix://{redis.socket_path}",
            }
            stack.enter_context(running(command, environment=environment, descriptors=(fd,), log=log))
        yield Server("127.0.0.1", port, "key", folder)


_TIMEOUT_SECONDS = 60.0
_CHUNK = 256 * 1024


class UnexpectedAnswer(Exception):
    """An answer differs from what the benchmark expects."""


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

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request; return the answer's head in lower case, and its body. Raises as `exchange` does."""
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
            with pinned(LOAD_CORE), Connection(server) as connection:
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
