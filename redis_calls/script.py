"""A script that is called by its digest, and sent whole where Redis does not know it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from redis_calls.connection import FailFast
from redis_calls.thread_connection import thread_connection


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a script, and what else is to happen.

    note_failure: called for each attempt that raised, of which a call may make several: no answer came, or an
    error as the answer, also that Redis does not know the script. note_restart: called where Redis does not
    know the script: it was started anew, perhaps with what it held a while ago.
    """

    text: str
    note_failure: Callable[[], None] = _nothing
    note_restart: Callable[[], None] = _nothing
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    def __call__(
        self, keys: Sequence[str], arguments: Sequence[str | bytes | int], *, is_once: bool = False
    ) -> Any:
        """What the script returns. Raises redis.exceptions.RedisError.

        is_once: whether it may not be sent again, because nobody knows whether the first one was carried out.
        Otherwise a socket that was open before and is found closed (Redis restarted) is replaced once.
        """
        given = (len(keys), *keys, *arguments)
        try:
            return self._asked(("EVALSHA", self.sha, *given), is_once=is_once)
        except NoScriptError:
            self.note_restart()
            return self._asked(("EVAL", self.text, *given), is_once=is_once)

    def _asked(self, command: tuple[str | bytes | int, ...], *, is_once: bool) -> Any:
        connection = thread_connection()
        was_connected = connection.is_connected
        try:
            return self._attempt(connection, command)
        except RedisConnectionError:
            if is_once or not was_connected:
                raise
        return self._attempt(connection, command)

    def _attempt(self, connection: FailFast, command: tuple[str | bytes | int, ...]) -> Any:
        try:
            return connection.ask(*command)
        except RedisError:
            self.note_failure()
            raise
