"""What the tests of the cache share."""

import redis

from tests.ratelimit.redis_server import RedisServer


def client_of(server: RedisServer) -> redis.Redis:
    """A client beside the project's own, to look at what is stored and to spoil it."""
    return redis.Redis(unix_socket_path=str(server.socket))
