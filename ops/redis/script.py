"""Commands and Lua scripts in Redis, over one connection per thread. Scripts are called by their SHA-1 (EVALSHA).

Threads do not use a pool, because taking a connection and returning it takes a third of the time of a round trip.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.signals import setting_changed
from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from ops.redis.connection import FailFast


class _ThreadConnection(threading.local):
    connection: FailFast | None = None


class _Connections:
    """One connection per thread, closed when the thread ends. A fork or a change of CACHES replaces all of them."""

    def __init__(self) -> None:
        self._of_thread = _ThreadConnection()
        os.register_at_fork(after_in_child=self.forget)
        setting_changed.connect(self._note_setting)

    def own(self) -> FailFast:
        """Return the calling thread's connection. The first call makes it.

        In CACHES, the option `connection_class` must be the result of `connection_class_for`.
        """
        own = self._of_thread
        if own.connection is None:
            pool = get_redis_connection("default").connection_pool
            own.connection = pool.connection_class(**pool.connection_kwargs)
        return own.connection

    def forget(self) -> None:
        """Make every thread open a new connection."""
        self._of_thread = _ThreadConnection()

    def _note_setting(self, *, setting: str, **_: Any) -> None:
        if setting == "CACHES":
            self.forget()


_connections = _Connections()
thread_connection = _connections.own


def redis_call(*command: str | bytes | int, is_once: bool = False) -> Any:
    """Send one command on the thread's connection and return its answer. Raises redis.exceptions.RedisError.

    If an open connection turns out to be closed (Redis was restarted), the command is sent once more on a new one.
    is_once: never send the command again, because Redis may have carried out the first one.
    """
    connection = thread_connection()
    was_connected = connection.is_connected
    try:
        return connection.ask(*command)
    except RedisConnectionError:
        if is_once or not was_connected:
            raise
    return connection.ask(*command)


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    note_restart: called if Redis does not know the script, before the script is sent. Redis is then new or was
    restarted, and may have loaded an old copy of its data.
    """

    text: str
    note_restart: Callable[[], None] = _nothing
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def __call__(
        self, keys: Sequence[str], arguments: Sequence[str | bytes | int], *, is_once: bool = False
    ) -> Any:
        """Run the script and return its answer. is_once and errors: as for `redis_call`."""
        try:
            return redis_call(*self.command(keys, arguments), is_once=is_once)
        except NoScriptError:
            self.note_restart()
            return redis_call("EVAL", self.text, len(keys), *keys, *arguments, is_once=is_once)

    def command(
        self, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> tuple[str | bytes | int, ...]:
        """Return the command that runs the script if Redis knows it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)
