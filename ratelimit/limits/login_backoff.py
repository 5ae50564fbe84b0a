"""Makes attempts to log in wait: the more failures, the longer. The state is in Redis, shared by all processes.

An attempt counts as failed when it is admitted, and a login takes that back, so attempts at the same time gain nothing.
Each attempt waits for two backoffs: its address's, and its name's over all addresses. An attempt at a known address of
the name waits only for a third one, of this name at this address: what others fail elsewhere does not matter there.

While a name waits, the addresses that try it queue: each is given a place, the instant from which on it may try once.
Otherwise whoever asks most often would get every attempt.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache
from django.conf import settings
from redis.exceptions import RedisError

from metrics.declarations import LIMIT_DECISIONS
from ratelimit.limits.token_bucket import SECOND_US
from redis_calls.script import Script, redis_call

HOUR_US = 3_600 * SECOND_US
# How far ahead places in the queue of a name are given, and how long each is kept.
REACH_US = HOUR_US // 4
MAX_LOCAL = 10_000
_METRIC = "login-backoff"


class Backoff(NamedTuple):
    """A kind of backoff: its longest wait, and the quiet time after which its failures are forgotten."""

    kind: str
    longest_us: int
    forgotten_us: int


# Forgetting gains nothing: within its quiet time an address, or a name, would be admitted as often by waiting.
ADDRESS = Backoff("address", HOUR_US // 4, 4 * HOUR_US)
NAME = Backoff("name", 30 * SECOND_US, HOUR_US)
KNOWN = Backoff("known", 30 * SECOND_US, HOUR_US)


class Attempt(NamedTuple):
    """An attempt to log in. name: hashed. is_known: whether the address is a known one of the name."""

    name: str
    address: str
    is_known: bool

    @property
    def backoffs(self) -> tuple[tuple[Backoff, str], ...]:
        """The backoffs that the attempt waits for, each with its key in Redis."""
        if self.is_known:
            return ((KNOWN, _key(KNOWN.kind, self.name, self.address)),)
        return ((ADDRESS, _key(ADDRESS.kind, self.address)), (NAME, _key(NAME.kind, self.name)))

    @property
    def keys(self) -> list[str]:
        """The keys in Redis: those of the backoffs, and of the place in the name's queue."""
        place = [] if self.is_known else [_key("place", self.name, self.address)]
        return [key for _, key in self.backoffs] + place


class LoginBackoff:
    """The backoffs as one of `workers` processes sees them. Thread-safe. `clock` is monotonic, in nanoseconds.

    While Redis is away each process counts alone. Its waits are `workers` times as long, and it gives no places.
    """

    def __init__(
        self, *, workers: int, clock: Callable[[], int] = time.monotonic_ns, remembered: int = MAX_LOCAL
    ) -> None:
        self._workers = max(1, workers)
        self._clock = clock
        # Failures, and the instant until which to wait, by key.
        self._local: LRUCache[str, tuple[int, int]] = LRUCache(remembered)
        self._lock = Lock()

    def take(self, attempt: Attempt, *, is_counted: bool = True) -> int:
        """Admit an attempt and count it as failed, or return the wait in microseconds, at least 1.

        is_counted: False if another limit refuses the attempt. Then 0 says that this one would admit it.
        """
        kept_by = "redis"
        try:
            wait_us = take_shared(attempt, is_counted=is_counted)
        except RedisError:
            wait_us, kept_by = self._take_local(attempt, is_counted=is_counted), "process"
        if is_counted:
            LIMIT_DECISIONS.add(_METRIC, "refused" if wait_us else "admitted", kept_by)
        return wait_us

    def succeeded(self, attempt: Attempt) -> None:
        """Forget the failures that an admitted attempt waited for: it was a login."""
        with self._lock:
            for _, key in attempt.backoffs:
                self._local.pop(key, None)
        try:
            redis_call("DEL", *attempt.keys)
        except RedisError:
            # Redis keeps the failures of before, until they are forgotten.
            return

    def _take_local(self, attempt: Attempt, *, is_counted: bool) -> int:
        now_us = self._clock() // 1000
        with self._lock:
            states = [self._local.get(key, (0, now_us)) for _, key in attempt.backoffs]
            wait_us = max(0, *(until_us - now_us for _, until_us in states))
            if wait_us == 0 and is_counted:
                for (backoff, key), (failures, until_us) in zip(attempt.backoffs, states, strict=True):
                    count = 1 if now_us >= until_us + backoff.forgotten_us else failures + 1
                    self._local[key] = count, now_us + _wait_us(backoff, count) * self._workers
        return wait_us


def take_shared(attempt: Attempt, *, is_counted: bool = True, now_us: int | None = None) -> int:
    """Take an attempt by the backoffs in Redis, like `LoginBackoff.take`. `now_us` replaces the server's clock.

    Raises redis.exceptions.RedisError.
    """
    arguments: list[str | int] = [
        "" if now_us is None else now_us,
        int(is_counted),
        settings.LOGIN_FREE_FAILURES,
        REACH_US,
    ]
    for backoff, _ in attempt.backoffs:
        arguments += backoff.longest_us, backoff.forgotten_us
    wait_us: int = _script()(attempt.keys, arguments)
    return wait_us


@cache
def process_login_backoff() -> LoginBackoff:
    return LoginBackoff(workers=settings.WORKERS)


@cache
def _script() -> Script:
    return Script(Path(__file__).with_name("login_backoff.lua").read_text())


def _wait_us(backoff: Backoff, failures: int) -> int:
    """Return the wait after so many failures; the script computes the same."""
    doublings = failures - settings.LOGIN_FREE_FAILURES - 1
    if doublings < 0:
        return 0
    return min(backoff.longest_us, SECOND_US << min(doublings, 32))


def _key(*parts: str) -> str:
    return ":".join(("ratelimit", "backoff", *parts))
