"""Buckets in Redis, shared by all processes and timed by Redis's own clock: one script call for a request."""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django_redis import get_redis_connection
from redis.connection import ConnectionInterface, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from ratelimit.token_bucket import Bucket, Standing, Taken, standing


@dataclass(frozen=True, slots=True)
class Charge:
    """`cost` tokens of the bucket of one caller and kind. The bucket's period is a second."""

    identity: str
    kind: str
    bucket: Bucket
    cost: int = 1

    @property
    def key(self) -> str:
        return f"ratelimit:{self.kind}:{self.identity}"


@dataclass(frozen=True, slots=True)
class Script:
    """The text of the Lua script and the name by which Redis knows it."""

    text: str
    sha: str


@cache
def bucket_script() -> Script:
    text = Path(__file__).with_name("token_bucket.lua").read_text()
    return Script(text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class _Kept(threading.local):
    """One connection per thread, apart from the pool: checking one out and in costs a third of the round trip.

    It ends with its thread, and is made anew in a forked child or when the pool is another one.
    """

    connection: ConnectionInterface | None = None
    pool: ConnectionPool | None = None
    pid: int = 0


_kept = _Kept()


def take_shared(charges: Sequence[Charge], *, now: int | None = None) -> list[Standing]:
    """Charge all buckets if each has the tokens, otherwise none; the standings in the order of the charges.

    `now` (microseconds) replaces the server's clock. Raises redis.exceptions.RedisError.
    """
    arguments: list[str | int] = [len(charges), *(charge.key for charge in charges)]
    for charge in charges:
        arguments += (charge.bucket.rate, charge.bucket.burst, charge.cost)
    if now is not None:
        arguments.append(now)
    answer = _evaluate(arguments)
    at, admitted = answer[0], answer[1] == 1
    return [
        standing(
            charge.bucket,
            Taken(admitted, answer[2 * i + 2] * charge.bucket.rate + answer[2 * i + 3]),
            kind=charge.kind,
            now=at,
            epoch_now=at,
            cost=charge.cost,
        )
        for i, charge in enumerate(charges)
    ]


def _evaluate(arguments: list[str | int]) -> list[int]:
    script = bucket_script()
    try:
        return _call("EVALSHA", script.sha, *arguments)
    except NoScriptError:
        return _call("EVAL", script.text, *arguments)


def _call(*command: str | int) -> list[int]:
    """One round trip. A socket that was open before and is found closed (Redis restarted) is replaced once."""
    connection = _connection()
    was_connected = connection.is_connected
    try:
        return _round_trip(connection, command)
    except RedisConnectionError:
        if not was_connected:
            raise
    return _round_trip(connection, command)


def _round_trip(connection: Any, command: tuple[str | int, ...]) -> list[int]:
    connection.send_command(*command)
    answer: list[int] = connection.read_response()
    return answer


def _connection() -> Any:
    pool = get_redis_connection("default").connection_pool
    kept = _kept
    if kept.connection is None or kept.pool is not pool or kept.pid != os.getpid():
        kept.connection = pool.connection_class(**pool.connection_kwargs)
        kept.pool = pool
        kept.pid = os.getpid()
    return kept.connection
