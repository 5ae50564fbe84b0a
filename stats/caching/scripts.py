"""Lua scripts in Redis: each call is one round trip over a connection that the calling thread keeps."""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django_redis import get_redis_connection
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name by which Redis knows it. It may be run twice for one call."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def __call__(self, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """What the script returns. Raises redis.exceptions.RedisError."""
        given = (len(keys), *keys, *arguments)
        try:
            return _called("EVALSHA", self.sha, *given)
        except NoScriptError:
            return _called("EVAL", self.text, *given)


class _Kept(threading.local):
    """A thread's connection, apart from the pool: a call through client and pool costs the processor thrice as much.

    It ends with its thread, and is made anew in a forked child or when the pool is another one.
    """

    connection: Any = None
    pool: ConnectionPool | None = None
    pid: int = 0


_kept = _Kept()


def _called(*command: str | bytes | int) -> Any:
    """The answer to a command. A socket that was open before and is found closed (Redis restarted) is replaced once."""
    connection = _connection()
    was_connected = connection.is_connected
    try:
        return _round_trip(connection, command)
    except RedisConnectionError:
        if not was_connected:
            raise
    return _round_trip(connection, command)


def _round_trip(connection: Any, command: Sequence[str | bytes | int]) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _connection() -> Any:
    pool = get_redis_connection("default").connection_pool
    if _kept.pool is not pool or _kept.pid != os.getpid():
        _kept.connection = pool.connection_class(**pool.connection_kwargs)
        _kept.pool, _kept.pid = pool, os.getpid()
    return _kept.connection
