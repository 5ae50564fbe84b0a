"""What several apps' tests share: a store of one's own, the API over it, and a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django_redis.pool import ConnectionFactory

from marketdata_project.redis_connection import breaker
from ratelimit.limiter import process_limiter
from ratelimit.selectors import known_keys
from stats.caching.tiers import process_tiers
from tests.api_client import Api, make_key
from tests.faults.table import pytest_terminal_summary  # noqa: F401 a hook, called where it is found
from tests.ratelimit.redis_server import RedisServer


@pytest.fixture
def store_path(settings, tmp_path: Path) -> Path:
    """The folder of an empty CSV store, the default one during the test."""
    path = tmp_path / "store"
    settings.MARKET_STORES = {
        "default": {"BACKEND": "trades.storage.csv.CsvStore", "OPTIONS": {"path": path}}
    }
    return path


@pytest.fixture
def api(db, store_path: Path) -> Iterator[Api]:
    """A caller with every scope and no limit to speak of, before an empty store and an empty cache."""
    known_keys.clear()
    process_limiter.cache_clear()  # keys of other tests had the same numbers
    process_tiers().local.clear()
    yield Api(make_key())
    known_keys.clear()


@pytest.fixture
def project_redis(settings) -> Iterator[RedisServer]:
    """A running server that is the project's Redis during the test, with the project's own cache settings."""
    server = RedisServer()
    server.start()
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": server.url}}
    breaker.close()
    process_limiter.cache_clear()
    yield server
    server.end()
    pool = ConnectionFactory._pools.pop(server.url, None)
    if pool is not None:
        pool.disconnect()
    breaker.close()
    process_limiter.cache_clear()
