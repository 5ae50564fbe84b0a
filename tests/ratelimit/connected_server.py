"""A Redis server as the project's own.

The server itself is a module apart, because programs without Django's apps use it, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_redis.pool import ConnectionFactory

from ops.redis.connection import breaker
from ratelimit.limits.limiter import process_limiter
from tests.ratelimit.redis_server import RedisServer, patience_of

# Starting a server takes longer than most tests. The server of one test, emptied, is the next one's.
_spare: list[RedisServer] = []


@contextmanager
def connected_server(settings: Any, timeout: float) -> Iterator[RedisServer]:
    """A running, empty server that is the project's Redis meanwhile, with the project's CACHES but for the address and patience."""
    server = _spare.pop() if _spare else RedisServer()
    server.start()
    settings.CACHES = {
        alias: {**usual, "LOCATION": server.url, "OPTIONS": {**usual["OPTIONS"], **patience_of(timeout)}}
        for alias, usual in settings.CACHES.items()
    }
    breaker.close()
    process_limiter.cache_clear()
    yield server
    pool = ConnectionFactory._pools.pop(server.url, None)
    if pool is not None:
        pool.disconnect()
    breaker.close()
    process_limiter.cache_clear()
    if server.reset():
        _spare.append(server)
    else:
        server.end()


def spare_server_end() -> None:
    """End the server that no further test will use."""
    while _spare:
        _spare.pop().end()
