from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ops.redis.connection import (
    PAUSE_SECONDS,
    FailFast,
    FailFastConnection,
    FailFastSSLConnection,
    FailFastUnixConnection,
    breaker,
    connection_class_for,
    is_available,
)
from ops.redis.script import thread_connection
from tests.front.front_server import eventually
from tests.ops.test_breaker import Clock
from tests.ratelimit.redis_server import RedisServer

pytestmark = pytest.mark.system

USUAL_SECONDS = settings.REDIS_TIMEOUT_SECONDS


@pytest.fixture
def server(project_redis: RedisServer) -> RedisServer:
    return project_redis


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    connected: redis.Redis = get_redis_connection("default")
    return connected


@pytest.fixture
def connection(server: RedisServer) -> FailFast:
    return thread_connection()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """What the breaker goes by."""
    clock = Clock()
    monkeypatch.setattr(breaker, "_clock", clock)
    return clock


def outcome(client: redis.Redis) -> type[Exception] | None:
    """What became of a command: RedisTimeoutError if it waited in vain, RedisConnectionError if it was not even sent."""
    try:
        client.ping()
    except RedisError as error:
        return type(error)
    return None


def answers(client: redis.Redis) -> bool:
    return outcome(client) is None


def connect(client: redis.Redis) -> None:
    """Have it connected to a Redis that is there; where a machine stands still, it may seem away at first."""

    def is_there() -> bool:
        breaker.close()
        return answers(client)

    assert eventually(is_there)


def test_a_killed_redis_fails_at_once_and_is_found_again(client, server):
    assert client.ping()
    server.kill()
    assert not any(answers(client) for _ in range(50))
    assert not is_available()
    server.start()
    assert eventually(lambda: answers(client))
    assert is_available()


@pytest.mark.parametrize("redis_timeout", [USUAL_SECONDS])
def test_a_frozen_redis_costs_one_timeout_each_pause_and_otherwise_nothing(client, server, clock):
    connect(client)
    server.freeze()
    for _ in range(3):
        assert outcome(client) is RedisTimeoutError
        assert {outcome(client) for _ in range(100)} == {RedisConnectionError}
        assert not is_available()
        clock.now += PAUSE_SECONDS
    server.thaw()
    assert eventually(lambda: answers(client))


@pytest.mark.parametrize("redis_timeout", [USUAL_SECONDS])
def test_frozen_under_many_threads_only_one_waits_per_pause(client, server, clock):
    connect(client)
    server.freeze()
    outcome(client)
    for _ in range(3):
        clock.now += PAUSE_SECONDS
        with ThreadPoolExecutor(6) as pool:
            outcomes = Counter(pool.map(lambda _: outcome(client), range(60)))
        assert outcomes == {RedisTimeoutError: 1, RedisConnectionError: 59}


@pytest.mark.parametrize("redis_timeout", [USUAL_SECONDS])
def test_a_full_socket_counts_as_redis_being_away(connection, server):
    connection.ask("PING")
    server.freeze()
    with pytest.raises(RedisTimeoutError):
        connection.ask("SET", "name", b"x" * 10_000_000)
    assert not is_available()


def test_one_command_is_answered_and_tells_the_breaker(connection):
    assert connection.ask("SET", "name", 7) == b"OK"
    assert connection.ask("GET", "name") == b"7"
    breaker.failed(None)
    with pytest.raises(RedisConnectionError):
        connection.ask("PING")
    breaker._next_probe_at = 0
    with pytest.raises(ResponseError):
        connection.ask("NOSUCH")
    assert is_available()


def test_a_socket_found_closed_is_not_redis_being_away(connection, server):
    connection.ask("PING")
    server.kill()
    with pytest.raises(RedisConnectionError):
        connection.ask("PING")
    assert is_available()
    server.start()
    assert connection.ask("PING") == b"PONG"


def test_a_socket_of_before_an_outage_does_not_make_the_outage_longer(connection, server, clock):
    assert connection.ask("PING") == b"PONG"
    server.kill()
    breaker.failed(None)
    server.start()
    clock.now += PAUSE_SECONDS
    assert connection.ask("PING") == b"PONG"
    assert is_available()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/redis.sock?db=0", FailFastUnixConnection),
        ("redis://localhost/0", FailFastConnection),
        ("rediss://localhost/0", FailFastSSLConnection),
    ],
    ids=["unix", "tcp", "tls"],
)
def test_the_connection_class_follows_the_url(url, expected):
    assert connection_class_for(url) is expected
    pool = redis.ConnectionPool.from_url(url, connection_class=expected)
    assert isinstance(pool.make_connection(), expected)
