"""Commands to Redis from an event loop, without threads: on one connection, sent together, answered in order."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from hiredis import HiredisError, Reader, pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ops.redis.connection import PAUSE_SECONDS, breaker

logger = logging.getLogger(__name__)

T = TypeVar("T")
OnAnswer = Callable[[Any], object]
"""Called in the loop with a command's answer. An error that Redis returned, and a RedisError, are answers, too."""

_NOTHING = object()
# After the timeout, the loop gets this long to read what arrived while the process stood still.
_LAST_LOOK_SECONDS = 0.05


class LoopConnection(asyncio.Protocol):
    """A connection of one event loop. It opens when it is first used, and again after a failure. Not thread-safe.

    The commands of one turn of the loop are sent together. One that is not answered in time opens the breaker, and
    fails with all commands after it.
    """

    def __init__(self) -> None:
        self._reader = Reader(notEnoughData=_NOTHING)
        self._waiting: deque[tuple[float, OnAnswer]] = deque()
        self._unsent: list[bytes] = []
        self._adding: list[Callable[[], object]] = []
        self._is_turn_open = False
        self._connection: Any = None
        self._transport: asyncio.WriteTransport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._next_opening_at = 0.0
        self._timeout = 0.0
        self._check: asyncio.TimerHandle | None = None

    def ask(self, on_answer: OnAnswer, *command: str | bytes | int) -> bool:
        """Send a command. Return False if there is no connection at the moment; then `on_answer` is not called."""
        if not self.ready_or_opening():
            return False
        loop = asyncio.get_running_loop()
        self._send_soon()
        self._unsent.append(pack_command(command))  # type: ignore[arg-type]  # the stub allows one item only
        deadline = loop.time() + self._timeout
        self._waiting.append((deadline, on_answer))
        if self._check is None:
            self._check = loop.call_at(deadline, self._check_oldest)
        return True

    def ready_or_opening(self) -> bool:
        """Return whether a command can be sent at the moment. If there is no connection, begin to open one."""
        if breaker.is_open:
            return False
        if self._transport is not None:
            return True
        loop = asyncio.get_running_loop()
        if self._opening is None and loop.time() >= self._next_opening_at:
            self._opening = loop.create_task(self._open())
        return False

    def before_sending(self, add: Callable[[], object]) -> None:
        """Call `add` at the end of this turn of the loop. What it asks is sent with the turn's other commands."""
        self._adding.append(add)
        self._send_soon()

    def close(self) -> None:
        """Close the connection. Commands without an answer fail."""
        if self._opening is not None:
            self._opening.cancel()
        self._fail(RedisConnectionError("the connection is closed"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the commands without an answer."""
        self._fail(RedisConnectionError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Give each answer to the command that waits for it."""
        breaker.succeeded()
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not _NOTHING:
                _, on_answer = self._waiting.popleft()
                give(on_answer, answer)
        except (HiredisError, IndexError) as error:
            self._fail(RedisConnectionError(f"Redis sent something else than answers: {error}"))

    async def _open(self) -> None:
        """Open the connection. A failure is left to the threads' connections, which report it to the breaker."""
        loop = asyncio.get_running_loop()
        try:
            connection = _new_connection()
            await connection.connect()
        except RedisError:
            self._next_opening_at = loop.time() + PAUSE_SECONDS
            return
        finally:
            self._opening = None
        transport = connection._writer.transport  # noqa: SLF001 nothing public has it
        transport.set_protocol(self)
        self._connection, self._transport = connection, transport
        self._timeout = connection.socket_timeout
        self._reader = Reader(notEnoughData=_NOTHING)

    def _send_soon(self) -> None:
        if not self._is_turn_open:
            self._is_turn_open = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        adding, self._adding = self._adding, []
        for add in adding:
            try:
                add()
            except Exception:
                logger.exception("A turn's commands could not be made")
        self._is_turn_open = False
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _check_oldest(self, overdue: float | None = None) -> None:
        """Fail if a command is late. overdue: the deadline that had passed when this was called the last time."""
        self._check = None
        if not self._waiting:
            return
        loop, deadline = asyncio.get_running_loop(), self._waiting[0][0]
        if loop.time() < deadline:
            self._check = loop.call_at(deadline, self._check_oldest)
        elif deadline != overdue:
            self._check = loop.call_later(_LAST_LOOK_SECONDS, self._check_oldest, deadline)
        else:
            breaker.failed(self)
            self._fail(RedisTimeoutError("Redis did not answer in time"))

    def _fail(self, error: RedisError) -> None:
        transport, self._transport = self._transport, None
        connection, self._connection = self._connection, None
        if self._check is not None:
            self._check.cancel()
            self._check = None
        if transport is not None:
            transport.abort()
        if connection is not None:
            connection._writer = None  # noqa: SLF001 otherwise it warns that it was not closed
        waiting, self._waiting = self._waiting, deque()
        for _, on_answer in waiting:
            give(on_answer, error)


def _new_connection() -> Any:
    cache: dict[str, Any] = settings.CACHES["default"]
    pool = ConnectionPool.from_url(
        cache["LOCATION"],
        protocol=2,  # without push messages, so that every message is an answer
        retry=Retry(NoBackoff(), 0),
        socket_timeout=cache["OPTIONS"]["SOCKET_TIMEOUT"],
        socket_connect_timeout=cache["OPTIONS"]["SOCKET_CONNECT_TIMEOUT"],
    )
    return pool.make_connection()  # type: ignore[no-untyped-call]


def give(on_answer: Callable[[T], object], answer: T) -> None:
    """Call `on_answer`. Its error is logged, so that it does not harm those that wait for other answers."""
    try:
        on_answer(answer)
    except Exception:
        logger.exception("An answer of Redis could not be used")
