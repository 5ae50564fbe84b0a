"""Lua scripts in Redis, called by their digest, over one connection per thread.

A thread keeps its connection: taking one from a pool and giving it back costs a third of a round trip.
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

from redis_calls.connection import FailFast


class _ThreadConnection(threading.local):
    connection: FailFast | None = None


class _Connections:
    """One connection for each thread. It closes with its thread; a forked child, or a new CACHES setting, gets new ones."""

    def __init__(self) -> None:
        self._kept = _ThreadConnection()
        os.register_at_fork(after_in_child=self.forget)
        setting_changed.connect(self._note_setting)

    def own(self) -> FailFast:
        """The calling thread's connection. CACHES must use a class that `connection_class_for` returns."""
        kept = self._kept
        if kept.connection is None:
            pool = get_redis_connection("default").connection_pool
            kept.connection = pool.connection_class(**pool.connection_kwargs)
        return kept.connection

    def forget(self) -> None:
        """Make every thread open a new connection."""
        self._kept = _ThreadConnection()

    def _note_setting(self, *, setting: str, **_: Any) -> None:
        if setting == "CACHES":
            self.forget()


_connections = _Connections()
thread_connection = _connections.own


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    note_restart: called when Redis does not know the script, before it is sent again. Redis was restarted, and may
    have loaded an old copy of its data.
    """

    text: str
    note_restart: Callable[[], None] = _nothing
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def __call__(
        self, keys: Sequence[str], arguments: Sequence[str | bytes | int], *, is_once: bool = False
    ) -> Any:
        """The script's answer. Raises redis.exceptions.RedisError.

        If the connection was open before and is found closed (Redis was restarted), the call is sent once more on
        a new one. is_once: never, because the first call may have been carried out.
        """
        given = (len(keys), *keys, *arguments)
        try:
            return self._call(("EVALSHA", self.sha, *given), is_once=is_once)
        except NoScriptError:
            self.note_restart()
            return self._call(("EVAL", self.text, *given), is_once=is_once)

    def _call(self, command: tuple[str | bytes | int, ...], *, is_once: bool) -> Any:
        connection = thread_connection()
        was_connected = connection.is_connected
        try:
            return connection.ask(*command)
        except RedisConnectionError:
            if is_once or not was_connected:
                raise
        return connection.ask(*command)
