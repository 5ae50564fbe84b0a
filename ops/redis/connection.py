"""Redis connections behind a circuit breaker: while Redis is unreachable they fail at once instead of timing out.

All connections of the process share one breaker. A failed connect, or a command without an answer in time, opens it.
For `PAUSE_SECONDS` every connect and send then raises redis.exceptions.ConnectionError without touching a socket.
Afterwards one connection, the probe, tries to use Redis while the others keep failing. An answer closes the breaker;
a failure starts the next pause. A socket closed by the server does not open the breaker: Redis may only have been
restarted. The next connect shows whether it is reachable.
"""

from functools import partial
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

from ops.breaker import Breaker

PAUSE_SECONDS = 1.0


breaker = Breaker(
    pause=PAUSE_SECONDS,
    refusal=partial(RedisConnectionError, "Redis is away; the next attempt follows shortly"),
)


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
