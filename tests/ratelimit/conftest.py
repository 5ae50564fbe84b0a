from collections.abc import Iterator
from typing import Any

import pytest
from django_redis.pool import ConnectionFactory

from marketdata_project.redis_connection import breaker
from ratelimit.keys.selectors import known_keys
from ratelimit.limits.limiter import process_limiter
from tests.ratelimit import key_events
from tests.ratelimit.redis_server import RedisServer, cache_settings


@pytest.fixture
def redis_server(settings, redis_timeout: float) -> Iterator[RedisServer]:
    """A running server that is the project's Redis during the test."""
    server = RedisServer()
    server.start()
    settings.CACHES = cache_settings(server.url, timeout=redis_timeout)
    breaker.close()
    process_limiter.cache_clear()
    yield server
    server.end()
    pool = ConnectionFactory._pools.pop(server.url, None)
    if pool is not None:
        pool.disconnect()
    breaker.close()
    process_limiter.cache_clear()


@pytest.fixture
def events(settings) -> Iterator[list[dict[str, Any]]]:
    """What is told of changes of keys."""
    settings.EVENT_RECORDER = f"{key_events.__name__}.{key_events.note.__name__}"
    key_events.told.clear()
    yield key_events.told
    key_events.told.clear()


@pytest.fixture(autouse=True)
def _no_known_keys() -> Iterator[None]:
    """Keys of another test's database are not remembered."""
    known_keys.clear()
    yield
    known_keys.clear()
