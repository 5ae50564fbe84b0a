"""Redis connections behind a circuit breaker: while Redis is unreachable they fail at once instead of timing out.

All connections of the process share one breaker. A failed connect, or a command without an answer in time, opens it.
For `PAUSE_SECONDS` every connect and send then raises redis.exceptions.ConnectionError without touching a socket.
Afterwards one connection, the probe, tries to use Redis while the others keep failing. An answer closes the breaker;
a failure starts the next pause. A socket closed by the server does not open the breaker: Redis may only have been
restarted. The next connect shows whether it is reachable.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from hiredis import pack_command
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

PAUSE_SECONDS = 1.0


class Breaker:
    """A circuit breaker. Thread-safe. `clock` is monotonic, in seconds.

    While the breaker is open, only the probe's failures count. If the probe reports nothing within a pause, the next
    connection that calls `check` becomes the probe.
    """

    def __init__(self, *, pause: float = PAUSE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._is_open = False
        self._next_probe_at = 0.0
        self._probe: int | None = None

    @property
    def is_open(self) -> bool:
        return self._is_open

    def check(self, connection: object) -> bool:
        """Return whether the connection has just become the probe. Raises ConnectionError if it may not use Redis."""
        if not self._is_open:
            return False
        with self._lock:
            if not self._is_open or self._probe == id(connection):
                return False
            now = self._clock()
            if now >= self._next_probe_at:
                self._probe = id(connection)
                self._next_probe_at = now + self._pause
                return True
        raise RedisConnectionError("Redis is away; the next attempt follows shortly")

    def failed(self, connection: object) -> None:
        """Report that the connection could not connect or got no answer in time."""
        with self._lock:
            if self._is_open and self._probe not in (None, id(connection)):
                return
            self._is_open = True
            self._probe = None
            self._next_probe_at = self._clock() + self._pause

    def lost(self, connection: object) -> None:
        """Report that the server closed the connection's socket. Ignored unless it is the probe."""
        if self._is_open and self._probe == id(connection):
            self.failed(connection)

    def succeeded(self) -> None:
        """Report that Redis answered."""
        if self._is_open:
            self.close()

    def close(self) -> None:
        """Close the breaker."""
        with self._lock:
            self._is_open = False
            self._probe = None


breaker = Breaker()


def is_available() -> bool:
    """Return whether Redis is reachable: False from a failure until Redis answers again."""
    return not breaker.is_open


class FailFast(AbstractConnection):
    """A connection that asks the breaker before each connect and each `ask`, and reports the outcome. It never retries."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.retry = Retry(NoBackoff(), 0)

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        breaker.check(self)
        if self.is_connected:
            return
        try:
            super().connect_check_health(check_health, retry_socket_connect)
        except (RedisConnectionError, RedisTimeoutError):
            breaker.failed(self)
            raise

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command and return its answer.

        Unlike redis-py's clients, it does not first check whether the server has closed the socket.
        """
        packed = pack_command(command)  # type: ignore[arg-type]  # the stub allows one item only
        if breaker.check(self):
            # The server has probably closed a socket that was open before the outage, so the probe would fail on it.
            self.disconnect()  # type: ignore[no-untyped-call]
        try:
            self.send_packed_command((packed,))  # type: ignore[no-untyped-call]
            answer = self.read_response()
        except RedisTimeoutError:
            breaker.failed(self)
            raise
        except RedisConnectionError:
            breaker.lost(self)
            raise
        except ResponseError:  # an answer, too
            breaker.succeeded()
            raise
        breaker.succeeded()
        return answer


class FailFastConnection(FailFast, Connection):
    """Over TCP."""


class FailFastSSLConnection(FailFast, SSLConnection):
    """Over TLS."""


class FailFastUnixConnection(FailFast, UnixDomainSocketConnection):
    """Over a unix socket."""


def connection_class_for(url: str) -> type[AbstractConnection]:
    """Return the class for CONNECTION_POOL_KWARGS["connection_class"], chosen by the URL's scheme."""
    if url.startswith("unix://"):
        return FailFastUnixConnection
    return FailFastSSLConnection if url.startswith("rediss://") else FailFastConnection
