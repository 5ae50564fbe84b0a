"""The embedded Redis: where it listens, what a server left behind, its program."""

import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from marketdata_project.serve import embedded_redis
from marketdata_project.serve.embedded_redis import EmbeddedRedis
from marketdata_project.serve.installation import (
    RedisMissing,
)
from tests.marketdata_project.front_server import eventually
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="md-") as name:
        yield Path(name)


@pytest.fixture
def redis(folder):
    return EmbeddedRedis(socket_path=folder / "sockets" / "redis.sock", run_dir=folder)


def launch(redis: EmbeddedRedis) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(redis.command())
    assert eventually(redis.answers)
    return process


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_redis_left_behind_is_ended_and_its_place_is_free(redis, frozen):
    redis.prepare()
    left_behind = launch(redis)
    if frozen:
        left_behind.send_signal(signal.SIGSTOP)
    # Reaped at once, as init does with what lost its parent.
    threading.Thread(target=left_behind.wait).start()
    redis.prepare()
    assert eventually(lambda: left_behind.returncode is not None)
    assert not redis.socket_path.exists()
    successor = launch(redis)
    successor.terminate()
    assert successor.wait(PATIENCE_SECONDS) == 0
    redis.tidy()
    assert not redis.socket_path.parent.exists()


def test_a_socket_that_nobody_listens_on_is_removed(redis):
    redis.prepare()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(redis.socket_path))
    assert redis.socket_path.exists()
    assert not redis.answers()
    redis.prepare()
    assert not redis.socket_path.exists()


def test_redis_is_taken_from_the_path_without_the_wheel_else_redis_url_is_named(monkeypatch, folder):
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RedisMissing, match="REDIS_URL"):
        embedded_redis.redis_binary()
    (folder / "redis-server").touch(mode=0o755)
    assert embedded_redis.redis_binary() == folder / "redis-server"
