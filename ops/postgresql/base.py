"""The backend of `DATABASES`, under the name by which Django finds it."""

import time
from types import SimpleNamespace
from typing import Any, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen
from psycopg.waiting import READY_NONE

# With another attempt to connect together less than the default WATCHDOG_SECONDS.
SILENCE_SECONDS, CONNECT_SECONDS = 3.0, 2
T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that is closed if a server is silent and does not answer a new connection either.

    The kernel of a process that is stopped answers for it, so that TCP notices nothing. A long statement may go on.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(self._watched(gen), interval, timeout)

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


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects by `WatchedConnection`."""

    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": WatchedConnection.connect})

    def get_connection_params(self) -> dict[str, Any]:
        return {"connect_timeout": CONNECT_SECONDS, **super().get_connection_params()}
