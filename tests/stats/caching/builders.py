"""What the tests of the cache share."""

import redis

from stats.caching.shared import Entry
from tests.ratelimit.redis_server import RedisServer


def client_of(server: RedisServer) -> redis.Redis:
    """A client beside the project's own, to look at what is stored and to spoil it."""
    return redis.Redis(unix_socket_path=str(server.socket))


def entry_of(body: bytes = b"body") -> Entry:
    return Entry(body=body, content_type="text/plain", etag='"e"', computed_at=1.0)
