from collections.abc import Iterator
from typing import Any

import pytest

from ratelimit.keys.selectors import key_cache
from tests.ratelimit import key_events
from tests.ratelimit.redis_server import RedisServer


@pytest.fixture
def redis_server(project_redis: RedisServer) -> RedisServer:
    return project_redis


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
