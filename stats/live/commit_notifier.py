"""Processes tell one another through Redis that a log or an account has something new. A message says only where to look."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django_redis import get_redis_connection
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ops.redis.connection import PAUSE_SECONDS, breaker, is_available
from ops.redis.loop_connection import LoopConnection
from stats.live.accounts import ACCOUNT_PREFIX

logger = logging.getLogger(__name__)

_CHANNEL = "live:commits"
_SEPARATOR = "\n"
_PAUSE_FOR_NOBODY_SECONDS = 0.25
_LOOK_SECONDS = 1.0


def account_changed(account: str) -> None:
    """Tell all web processes, this one too, that an account has new events, once the database transaction commits.

    Any process may call it, in any thread, also without a transaction. If Redis is away, nobody is told, and the call
    waits for it at most once a second.
    """
    transaction.on_commit(partial(_publish_account, account), robust=True)


def _publish_account(account: str) -> None:
    with suppress(RedisError):
        get_redis_connection("default").publish(_CHANNEL, f"{_SEPARATOR}{ACCOUNT_PREFIX}{account}")


class CommitNotifier:
    """Publishes the symbols whose logs have new commits; listens for those of others, and for accounts with new events.

    For one event loop. is_listening: whether it is subscribed in Redis. Without Redis nothing comes; the followers look
    from time to time anyway.
    """

    def __init__(self, on_commit: Callable[[str], object]) -> None:
        """`on_commit` is called with a symbol whose logs another process wrote, or an account with its prefix."""
        self._on_commit = on_commit
        self._own = os.urandom(8).hex()
        self._redis = LoopConnection()
        self._pending: set[str] = set()
        self.is_listening = False
        self._nobody_until = 0.0

    def publish(self, symbol: str) -> None:
        """Tell the other processes. Symbols of one turn of the loop are one message.

        If none of them listened, they are not told for a moment; one that begins to listen looks for itself.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._nobody_until:
            return
        if not self._pending:
            loop.call_soon(self._send)
        self._pending.add(symbol)

    def _send(self) -> None:
        message = _SEPARATOR.join((self._own, *self._pending))
        self._pending.clear()
        self._redis.ask(self._take_answer, "PUBLISH", _CHANNEL, message)

    def _take_answer(self, answer: object) -> None:
        """Take Redis's answer: how many processes got the message, this one included; or an error."""
        if answer == int(self.is_listening):
            self._nobody_until = asyncio.get_running_loop().time() + _PAUSE_FOR_NOBODY_SECONDS

    async def listen(self) -> None:
        """Listen to the other processes until the task is cancelled. Connects again after a failure."""
        while True:
            self._redis.ready_or_opening()
            try:
                await self._receive()
            except (RedisError, OSError) as error:
                logger.debug("commits of other processes are not told: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _receive(self) -> None:
        cache: dict[str, Any] = settings.CACHES["default"]
        client = Redis.from_url(
            cache["LOCATION"],
            socket_connect_timeout=cache["OPTIONS"]["SOCKET_CONNECT_TIMEOUT"],
            decode_responses=True,
        )
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(_CHANNEL)
                self.is_listening = True
                breaker.succeeded()
                while is_available():
                    message = await subscription.get_message(timeout=_LOOK_SECONDS)
                    if message is None:
                        # A Redis that is frozen is silent: only a command without an answer shows it.
                        self._redis.ask(lambda _: None, "PING")
                    else:
                        self._take(message)
        finally:
            self.is_listening = False
            with suppress(RedisError, OSError):
                await client.aclose()

    def _take(self, message: dict[str, Any]) -> None:
        sender, *names = message["data"].split(_SEPARATOR)
        if sender != self._own:
            for name in names:
                self._on_commit(name)

    def close(self) -> None:
        """Close the connection for sending."""
        self._redis.close()
