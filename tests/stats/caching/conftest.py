"""A Redis of one's own per test, and workers: other processes with the same cache."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stats.caching.response_cache import ResponseCache
from tests.ratelimit.redis_server import RedisServer

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def redis_server(project_redis: RedisServer) -> RedisServer:
    return project_redis


@pytest.fixture
def cache(redis_server: RedisServer) -> ResponseCache:
    return ResponseCache()


class Worker:
    def __init__(self, server: RedisServer, run_dir: Path, name: str) -> None:
        environment = os.environ | {"REDIS_URL": server.url}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(run_dir), name],
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

    def start() -> Worker:
        workers.append(Worker(redis_server, tmp_path, f"worker-{len(workers)}"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()
