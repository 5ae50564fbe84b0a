"""One connection to Redis per thread, apart from the pool: checking one out and in costs a third of a round trip."""

import os
import threading
from typing import Any

from django.core.signals import setting_changed
from django_redis import get_redis_connection

from redis_calls.connection import FailFast


class _Kept(threading.local):
    connection: FailFast | None = None


class _Connections:
    """The connection of each thread: it ends with its thread, and is made anew in a forked child or when CACHES is another."""

    def __init__(self) -> None:
        self._kept = _Kept()
        os.register_at_fork(after_in_child=self.forget)
        setting_changed.connect(self._note_setting)

    def own(self) -> FailFast:
        """The calling thread's; CACHES must name one of the classes that `connection_class_for` chooses."""
        kept = self._kept
        if kept.connection is None:
            pool = get_redis_connection("default").connection_pool
            kept.connection = pool.connection_class(**pool.connection_kwargs)
        return kept.connection

    def forget(self) -> None:
        """Let every thread make another."""
        self._kept = _Kept()

    def _note_setting(self, *, setting: str, **_: Any) -> None:
        if setting == "CACHES":
            self.forget()


_connections = _Connections()
thread_connection = _connections.own
