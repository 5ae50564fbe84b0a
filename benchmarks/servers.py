"""The servers that are compared: this project's `serve` with one worker, and the plain peer with its Redis."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BASE_DIR, await_ready, line_with, run_python, running
from marketdata_project.serve.embedded_redis import EmbeddedRedis

RATE = 1_000_000
PEER_VENV = BASE_DIR / ".venv-bench"
INGEST_PATH = "/v1/trades/ingest"
# An installation that the shell is set up for is left alone.
OF_OTHERS = frozenset({"REDIS_URL", "DATABASE_URL"})
_KEY_OPTIONS = ("--tier", "internal", "--scope", "all", "--rate", str(RATE), "--json")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, which key it takes and where it keeps its data."""

    host: str
    port: int
    key: str
    folder: Path

    def request(
        self, method: str, target: str, body: bytes | None = None, *, media_type: str = "application/json"
    ) -> bytes:
        """A whole request as it goes over the wire."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}", f"X-API-Key: {self.key}"]
        if body is not None:
            lines += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def url(self, target: str) -> str:
        """The URL of a path and query."""
        return f"http://{self.host}:{self.port}{target}"

    def process(self, argument: str) -> int:
        """The id of the process that has the server's folder, and this among its arguments.

        Raises `OSError` if there is none.
        """
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
    """`manage.py serve` on an empty data folder, with one worker, without the sample; `variables` go into its environment."""
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
            made = run_python(
                "django", "apikey", "create", "bench", *_KEY_OPTIONS, environment=environment, log=log
            )
            yield Server(host, int(port), json.loads(made)["key"], data)


def peer_obstacle(peers: Path | None) -> str | None:
    """Why the plain peer cannot be run; None if it can."""
    if peers is None:
        return "no folder of peers was given (make bench PEERS=…)"
    if not (peers / "naive" / "app.py").is_file():
        return f"there is no naive/app.py in {peers}"
    if not (PEER_VENV / ".installed").exists():
        return "the peer's packages (requirements-bench.txt) are not installed in .venv-bench"
    return None


@contextmanager
def naive_peer(peers: Path) -> Iterator[Server]:
    """The plain peer with one uvicorn worker, and a Redis of its own; all on the servers' core."""
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
            command += ["--app-dir", str(peers / "naive"), "--loop", "uvloop", "--http", "httptools"]
            command += ["--no-access-log", "--log-level", "warning"]
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NAIVE_CSV": str(folder / "trades.csv"),
                "NAIVE_REDIS": f"unix://{redis.socket_path}",
            }
            stack.enter_context(running(command, environment=environment, descriptors=(fd,), log=log))
        yield Server("127.0.0.1", port, "key", folder)
