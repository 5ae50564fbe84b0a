"""A Redis of one's own per test, and a cache in it."""

import pytest

from stats.caching.response_cache import ResponseCache
from tests.ratelimit.redis_server import RedisServer


@pytest.fixture
def redis_server(project_redis: RedisServer) -> RedisServer:
    return project_redis


@pytest.fixture
def cache(redis_server: RedisServer) -> ResponseCache:
    return ResponseCache()
