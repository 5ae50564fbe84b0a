"""Counts failed attempts to log in, in windows of five minutes: in Redis, shared by all processes.

An attempt counts as failed when it is admitted, and a login takes that back, so attempts at the same time gain nothing.
"""

import time
from dataclasses import dataclass, field
from functools import cache
from threading import Lock

from cachetools import LRUCache
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from ops.metrics.declarations import LIMIT_DECISIONS

WINDOW_SECONDS = 300
MAX_LOCAL = 10_000
_METRIC = "login-failures"


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """An attempt to log in. name: hashed. is_known: whether the address is a known one of the name.

    At a known address the failures of this name there count; elsewhere those of the address, and those of the name at
    all unknown addresses.
    """

    name: str
    address: str
    is_known: bool
    # The one in which the attempt was made: that is where it is taken back, too.
    _window: int = field(default_factory=lambda: int(time.time() // WINDOW_SECONDS))

    @property
    def keys(self) -> list[str]:
        """Return the keys in Redis of the counts of the attempt's window."""
        parts = (
            [f"known:{self.name}:{self.address}"]
            if self.is_known
            else [f"address:{self.address}", f"name:{self.name}"]
        )
        return [f"ratelimit:login:{self._window}:{part}" for part in parts]


class LoginAttempts:
    """The counts as one of `workers` processes sees them. Thread-safe.

    While Redis is away each process counts alone, and admits its share.
    """

    def __init__(self, *, workers: int) -> None:
        self._workers = max(1, workers)
        self._local: LRUCache[str, int] = LRUCache(MAX_LOCAL)
        self._lock = Lock()

    def take(self, attempt: LoginAttempt) -> int:
        """Count an attempt as failed. Return the seconds until another window if it is not admitted, else 0."""
        most, counted_in = settings.LOGIN_FREE_FAILURES, "redis"
        try:
            counts = _add_shared(attempt, 1)
        except RedisError:
            most, counted_in = max(1, most // self._workers), "process"
            counts = self._add_local(attempt)
        is_admitted = max(counts) <= most
        LIMIT_DECISIONS.labels(_METRIC, "admitted" if is_admitted else "refused", counted_in).inc()
        return 0 if is_admitted else WINDOW_SECONDS - int(time.time() % WINDOW_SECONDS)

    def take_back(self, attempt: LoginAttempt) -> None:
        """Count an attempt no longer, because its password was not looked at. A process's own count keeps it."""
        try:
            _add_shared(attempt, -1)
        except RedisError:
            return

    def forget(self, attempt: LoginAttempt) -> None:
        """Forget the failures that an admitted attempt was counted with: it was a login."""
        with self._lock:
            for key in attempt.keys:
                self._local.pop(key, None)
        try:
            get_redis_connection("default").delete(*attempt.keys)
        except RedisError:
            return

    def _add_local(self, attempt: LoginAttempt) -> list[int]:
        keys = attempt.keys
        with self._lock:
            for key in keys:
                self._local[key] = self._local.get(key, 0) + 1
            return [self._local[key] for key in keys]


def _add_shared(attempt: LoginAttempt, count: int) -> list[int]:
    """Add to the counts in Redis, and return them. Raises redis.exceptions.RedisError."""
    pipeline = get_redis_connection("default").pipeline()
    for key in attempt.keys:
        pipeline.incrby(key, count)
        pipeline.expire(key, WINDOW_SECONDS)
    return list(pipeline.execute()[::2])


@cache
def process_login_attempts() -> LoginAttempts:
    return LoginAttempts(workers=settings.WORKERS * settings.WEB_HOSTS)
