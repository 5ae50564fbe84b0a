"""Makes attempts to log in wait: the more failures, the longer. The state is in Redis, shared by all processes.

An attempt counts as failed when it is admitted, and a login takes that back, so attempts at the same time gain nothing.
Each attempt waits for two backoffs: its address's, and its name's over all addresses. An attempt at a known address of
the name waits only for a third one, of this name at this address: what others fail elsewhere does not matter there.

While a name waits because of failures at several addresses, those with more failures wait longer. Otherwise whoever asks
most often would get every attempt, and the owner at an unknown address none.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from ops.metrics.declarations import LIMIT_DECISIONS
from ops.redis.script import Script
from ratelimit.limits.token_bucket import SECOND_US

HOUR_US = 3_600 * SECOND_US
# How much longer an address waits for a name, for each of its own failures.
YIELD_US = 2 * SECOND_US
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
        """The keys of the backoffs in Redis."""
        return [key for _, key in self.backoffs]


class LoginBackoff:
    """The backoffs as one of `workers` processes sees them. Thread-safe. `clock` is monotonic, in nanoseconds.

    While Redis is away each process counts alone. Its waits are `workers` times as long.
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

        is_counted: False only asks: 0 says that the attempt would be admitted.
        """
        kept_by = "redis"
        try:
            wait_us = take_shared(attempt, is_counted=is_counted)
        except RedisError:
            wait_us, kept_by = self._take_local(attempt, is_counted=is_counted), "process"
        if is_counted or wait_us:
            LIMIT_DECISIONS.add(_METRIC, "refused" if wait_us else "admitted", kept_by)
        return wait_us

    def succeeded(self, attempt: Attempt) -> None:
        """Forget the failures that an admitted attempt waited for: it was a login."""
        with self._lock:
            for _, key in attempt.backoffs:
                self._local.pop(key, None)
        try:
            get_redis_connection("default").delete(*attempt.keys)
        except RedisError:
            # Redis keeps the failures of before, until they are forgotten.
            return

    def _take_local(self, attempt: Attempt, *, is_counted: bool) -> int:
        now_us = self._clock() // 1000
        with self._lock:
            states = [self._state(backoff, key, now_us) for backoff, key in attempt.backoffs]
            wait_us = max(until_us - now_us for _, until_us in states)
            if not attempt.is_known:
                (failures, _), (of_name, until_us) = states
                wait_us = max(wait_us, until_us + _yield_us(failures, of_name) * self._workers - now_us)
            wait_us = max(0, wait_us)
            if wait_us == 0 and is_counted:
                for (backoff, key), (failures, _) in zip(attempt.backoffs, states, strict=True):
                    until_us = now_us + _wait_us(backoff, failures + 1) * self._workers
                    self._local[key] = failures + 1, until_us
        return wait_us

    def _state(self, backoff: Backoff, key: str, now_us: int) -> tuple[int, int]:
        failures, until_us = self._local.get(key, (0, now_us))
        return (0, now_us) if now_us >= until_us + backoff.forgotten_us else (failures, until_us)


def take_shared(attempt: Attempt, *, is_counted: bool = True, now_us: int | None = None) -> int:
    """Take an attempt by the backoffs in Redis, like `LoginBackoff.take`. `now_us` replaces the server's clock.

    Raises redis.exceptions.RedisError.
    """
    arguments: list[str | int] = [
        "" if now_us is None else now_us,
        int(is_counted),
        settings.LOGIN_FREE_FAILURES,
        YIELD_US,
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


def _yield_us(failures: int, of_name: int) -> int:
    """Return how much longer than the name an address waits that has made so many failures; the script computes the same."""
    return min(YIELD_US * failures, _wait_us(NAME, of_name)) if of_name > failures else 0


def _key(*parts: str) -> str:
    return ":".join(("ratelimit", "backoff", *parts))
