from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ratelimit.keys.selectors import key_cache
from tests.ratelimit import key_events
from tests.ratelimit.connected_server import connected_server
from tests.ratelimit.redis_server import RedisServer, cache_settings


@pytest.fixture
def redis_server(settings, redis_timeout: float) -> Iterator[RedisServer]:
    """A running server that is the project's Redis during the test."""
    with connected_server(settings, partial(cache_settings, timeout=redis_timeout)) as server:
        yield server


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What is recorded of changes of keys."""
    monkeypatch.setattr("ratelimit.events.event_record", key_events.note)
    key_events.told.clear()
    yield key_events.told
    key_events.told.clear()


@pytest.fixture(autouse=True)
def _no_known_keys() -> Iterator[None]:
    """Keys of another test's database are not remembered."""
    key_cache.clear()
    yield
    key_cache.clear()
