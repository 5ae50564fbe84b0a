"""The other programs that serve the same bytes: plain FastAPI, pipelined FastAPI, nginx, and uvicorn alone.

`behind_nginx` puts the nginx of `deploy/` before a server of this project.

The environment variable PEERS names the folder of the first two. They run with one uvicorn worker and a Redis of their
own. Every program keeps to the servers' core.
"""

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from redis import Redis

from benchmarks.clients import Connection
from benchmarks.processes import BASE_DIR, CORES, SERVER_CORE, await_ready, running
from benchmarks.servers import Server
from ops.serve.embedded_redis import EmbeddedRedis
from tests.system.certificates import Authority

PEER_VENV = BASE_DIR / ".venv-bench"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_NGINX_CACHE_SECONDS = 2.1  # longer than a file is cached
_PEERS = os.environ.get("PEERS", "")
FLOOR = "uvicorn alone"
_APPS = ("naive", "pipelined")
_UVICORN = "--host 127.0.0.1 --loop uvloop --http httptools --no-access-log --log-level warning"
_NGINX_CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 1000000000; default_type application/json;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi; open_file_cache max=100; open_file_cache_valid 1s;
    %s
}
"""
_STATIC = "server { listen 127.0.0.1:%d; location / { root %s; } }"
# The settings of a server of this project that `behind_nginx` may be put before.
BEHIND_NGINX = {"TRUSTED_PROXIES": "127.0.0.1", "BEHIND_TLS_PROXY": "1"}


class PeersMissing(Exception):
    """PEERS names a folder without the peers."""


def peers_missing() -> str | None:
    """Return the reason why FastAPI's peers are left out; None if they can be run.

    Raises `PeersMissing` if PEERS names a folder that does not have both: a run without ratios is not what was asked.
    """
    if not _PEERS:
        return "PEERS is unset"
    folder = Path(_PEERS).resolve()
    missing = [f"{name}/app.py" for name in _APPS if not (folder / name / "app.py").is_file()]
    if missing:
        raise PeersMissing(f"PEERS names {folder}, which has no {' and no '.join(missing)}")
    if not (PEER_VENV / ".installed").exists():
        return "requirements-bench.txt is not installed in .venv-bench"
    return None


@dataclass(frozen=True, slots=True)
class Peer:
    """A running program. `serve` sets the bytes that it answers to `target`."""

    name: str
    server: Server
    target: str
    serve: Callable[[bytes], None]


@contextmanager
def naive_peer() -> Iterator[Peer]:
    """Run the plain peer: a key, a token bucket and an answer from Redis in three calls."""
    answer = "ohlc:BENCH:1min:None:None"
    with _fastapi("naive", redis_variable="NAIVE_REDIS", keys=["key"]) as server:
        yield Peer("naive FastAPI", server, "/v1/stats/cached?symbol=BENCH", _setter(server, answer))


@contextmanager
def pipelined_peer() -> Iterator[Peer]:
    """Run the peer with one Redis pipeline a request, and keys of 1,000 requests a second."""
    keys = [f"key{number}" for number in range(32)]
    with _fastapi("pipelined", redis_variable="PEER_REDIS", keys=keys) as server:
        yield Peer("pipelined FastAPI", server, "/bars?symbol=BENCH", _setter(server, "BODY"))


@contextmanager
def uvicorn_peer() -> Iterator[Peer]:
    """Run this project's uvicorn with an application that sends bytes from memory: the floor of a Python server."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        command = [sys.executable, "-m", "uvicorn", "benchmarks.floor:app"]
        with _uvicorn(command, os.environ, folder / "floor.log") as (pid, port):
            server = Server("127.0.0.1", port, ["key"], folder, (pid,))
            yield Peer(FLOOR, server, "/answer", lambda body: _post(server, body))


@contextmanager
def nginx_peer() -> Iterator[Peer]:
    """Run nginx with one process and a static file."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder, port = Path(temporary), _free_port()
        with _nginx(folder, _STATIC % (port, folder), port, SERVER_CORE) as pid:
            server = Server("127.0.0.1", port, ["key"], folder, (pid,))
            yield Peer("nginx", server, "/answer", lambda body: _write_static(folder / "answer", body))


@contextmanager
def behind_nginx(server: Server) -> Iterator[Server]:
    """Run nginx as `deploy/` has it before a server with the settings BEHIND_NGINX; yield the server as its clients reach it, over TLS.

    nginx is on all cores, and not among the server's processes.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder, port = Path(temporary), _free_port()
        _write_certificates(folder)
        template = (BASE_DIR / "deploy" / "nginx" / "marketdata.conf").read_text()
        values = {
            "SERVER_NAME": server.host,
            "HTTP_LISTEN": f"127.0.0.1:{_free_port()}",
            "HTTPS_LISTEN": f"127.0.0.1:{port}",
            "UPSTREAM": f"{server.host}:{server.port}",
            "TLS_DIR": str(folder),
        }
        for name, value in values.items():
            template = template.replace(f"${{{name}}}", value)
        with _nginx(folder, template, port, CORES):
            yield replace(server, port=port, scheme="https")


def _write_certificates(folder: Path) -> None:
    servers, clients = Authority("servers"), Authority("clients")
    server = servers.issue("server", address="127.0.0.1")
    (folder / "server.pem").write_bytes(server.pem)
    (folder / "server.key").write_bytes(server.key_pem)
    (folder / "clients_ca.pem").write_bytes(clients.root.pem)
    (folder / "clients.crl").write_bytes(clients.list_of([]))


@contextmanager
def _nginx(folder: Path, servers: str, port: int, cores: Collection[int]) -> Iterator[int]:
    """Run nginx with one process, which listens on the port; yield its id."""
    log = folder / "nginx.log"
    (folder / "nginx.conf").write_text(_NGINX_CONFIGURATION % servers)
    command = [str(NGINX), "-p", str(folder), "-e", "stderr", "-c", "nginx.conf"]
    with running(command, environment=os.environ, log=log, cores=cores) as process:
        await_ready(process, lambda: _listens(port), log=log)
        yield process.pid


def _post(server: Server, body: bytes) -> None:
    with Connection(server) as connection:
        connection.exchange(server.request("POST", "/answer", body))


def _write_static(file: Path, body: bytes) -> None:
    file.write_bytes(body)
    time.sleep(_NGINX_CACHE_SECONDS)


def _setter(server: Server, name: str) -> Callable[[bytes], None]:
    def serve(body: bytes) -> None:
        with Redis(unix_socket_path=str(_redis_in(server.folder).socket_path)) as redis:
            redis.set(name, body)

    return serve


@contextmanager
def _fastapi(name: str, *, redis_variable: str, keys: Sequence[str]) -> Iterator[Server]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        redis, log = _redis_in(folder), folder / "redis.err"
        process = stack.enter_context(running(redis.command(), environment=os.environ, log=log))
        await_ready(process, redis.answers, log=log)
        redis_pid = process.pid
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NAIVE_CSV": str(folder / "trades.csv"),
            redis_variable: f"unix://{redis.socket_path}",
        }
        python, log = str(PEER_VENV / "bin" / "python"), folder / f"{name}.log"
        command = [python, "-m", "uvicorn", "app:app", "--app-dir", str(Path(_PEERS).resolve() / name)]
        pid, port = stack.enter_context(_uvicorn(command, environment, log))
        yield Server("127.0.0.1", port, keys, folder, (pid, redis_pid))


@contextmanager
def _uvicorn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """Run uvicorn with one worker; yield its process id and its port.

    Not with `--fd`: uvicorn takes that for a Unix socket, so that uvloop does not set TCP_NODELAY on connections.
    """
    port = _free_port()
    command = [*command, "--port", str(port), *_UVICORN.split()]
    with running(command, environment=environment, log=log) as process:
        await_ready(process, lambda: _listens(port), log=log)
        yield process.pid, port


def _redis_in(folder: Path) -> EmbeddedRedis:
    return EmbeddedRedis(socket_path=folder / "redis.sock", run_dir=folder)


def _free_port() -> int:
    """Return a port that nobody listens on, for a program that cannot choose one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
