"""A plugin of pytest: a real Redis, and buckets that do not fill."""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from ratelimit.limits.shared_limits import take_shared
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.connected_server import connected_server, spare_server_end
from tests.ratelimit.redis_server import RedisServer


@pytest.fixture
def redis_timeout() -> float:
    """The seconds after which a Redis that does not answer is away. On a busy machine it is slow, but not away."""
    return PATIENCE_SECONDS


@pytest.fixture
def project_redis(settings, redis_timeout: float) -> Iterator[RedisServer]:
    """A running server that is the project's Redis during the test."""
    with connected_server(settings, redis_timeout) as server:
        yield server


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing flows into the shared buckets during the test, however long it takes."""
    standing = partial(take_shared, now_us=time.time_ns() // 1000)
    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", standing)


def pytest_sessionfinish() -> None:
    spare_server_end()
