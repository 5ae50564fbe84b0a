"""Connections to servers: the threads of a process share them, and none waits for a PostgreSQL that is stopped."""

from __future__ import annotations

import os
import select
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import READY_NONE

T = TypeVar("T")
# With another attempt to connect together less than the server's default WATCHDOG_SECONDS.
SILENCE_SECONDS, CONNECT_SECONDS = 3.0, 2
_KEPT = 16


class Pool(Generic[T]):
    """Open connections of this process. One that failed is closed; those of the parent process are left alone."""

    def __init__(
        self, connect: Callable[[], T], close: Callable[[T], None], is_usable: Callable[[T], bool]
    ) -> None:
        """Create it. is_usable: returns whether the server still has an idle connection, as far as is known."""
        self._connect = connect
        self._is_usable = is_usable
        self._close = close
        self._idle: dict[int, list[T]] = defaultdict(list)
        weakref.finalize(self, _close_all, self._idle, close)

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle, self._close)

    @contextmanager
    def connection(self) -> Iterator[T]:
        """Yield a connection that no other thread uses."""
        used = self.take()
        try:
            yield used
        except BaseException:
            self._close(used)
            raise
        self.give(used)

    def take(self) -> T:
        """Return a connection that no other thread uses: an idle one, or a new one."""
        with suppress(IndexError):
            while True:
                idle = self._idle[os.getpid()].pop()
                if self._is_usable(idle):
                    return idle
                self._close(idle)
        return self._connect()

    def give(self, used: T) -> None:
        """Keep a connection for the next thread, or close it if enough are idle."""
        idle = self._idle[os.getpid()]
        if len(idle) < _KEPT:
            idle.append(used)
        else:
            self._close(used)


def _close_all(idle: dict[int, list[T]], close: Callable[[T], None]) -> None:
    with suppress(IndexError):
        while True:
            close(idle[os.getpid()].pop())


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that is closed if a server is silent and does not answer a new connection either.

    The kernel of a process that is stopped answers for it, so that TCP notices nothing. A long statement may go on.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(gen if timeout is not None else self._watched(gen), interval, timeout)

    def _watched(self, gen: PQGen[T]) -> PQGen[T]:
        """Go through a generator. Raises `psycopg.OperationalError`."""
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready != READY_NONE:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE_SECONDS:
                    self._check()
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value

    def _check(self) -> None:
        try:
            psycopg.connect(self.info.dsn, connect_timeout=CONNECT_SECONDS).close()
        except psycopg.errors.ConnectionTimeout:
            self.close()
            raise
        except psycopg.OperationalError:
            pass  # It answers: the password is not in the DSN.

    def is_open(self) -> bool:
        """Return whether the server has sent nothing to this idle connection: it tells when it closes one."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)
