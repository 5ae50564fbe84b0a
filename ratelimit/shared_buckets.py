"""Buckets in Redis, shared by all processes and timed by Redis's own clock: one script call for a request."""

import hashlib
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django_redis import get_redis_connection
from redis.connection import ConnectionInterface, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from ratelimit.token_bucket import Charge, Standing, Taken, standing


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


class _Breaks:
    """Counts failed calls; a script that Redis does not know, as after a restart, is one too."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def note(self) -> None:
        with self._lock:
            self.count += 1


_breaks = _Breaks()


def breaks() -> int:
    """How often a call to Redis has failed in this process: after each, Redis may have lost what it held."""
    return _breaks.count


def take_shared(charge: Charge, *, missing: int = 0, owed: int = 0, now_us: int | None = None) -> Standing:
    """The standing after a charge to the shared bucket, which gives all tokens or none.

    At least `missing` parts are missing, should Redis have lost the bucket. `owed` parts are taken first and in
    any case, as far as the bucket goes. `now_us` replaces the server's clock. Raises redis.exceptions.RedisError.
    """
    bucket = charge.bucket
    arguments: list[str | int] = [1, key_of(charge), bucket.rate, bucket.burst, charge.cost, missing, owed]
    if now_us is not None:
        arguments.append(now_us)
    at_us, admitted, full_us, full_part = _evaluate(arguments)
    taken = Taken(admitted == 1, full_us * bucket.rate + full_part)
    return standing(bucket, taken, kind=charge.kind, now_us=at_us, epoch_now_us=at_us, cost=charge.cost)


def key_of(charge: Charge) -> str:
    """The name of the bucket in Redis."""
    return f"ratelimit:{charge.kind}:{charge.identity}"


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
    except RedisError as error:
        _breaks.note()
        if not was_connected or not isinstance(error, RedisConnectionError):
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
