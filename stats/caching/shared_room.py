"""Which answers are worth their room in Redis."""

import threading
import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache
from redis.exceptions import RedisError

from redis_calls.script import redis_call

# Redis is asked for its memory at most once in this time.
ASKED_SECONDS = 1.0
MAX_MISSED = 16_384
# Storing 1,000 bars costs this process 0.3 ms and Redis 0.1 ms, and most answers are not asked for again. One that
# took 25 times as long is stored at once.
COSTLY_SECONDS = 0.01


class SharedRoom:
    """Tells which answers to store in Redis: those that were missed before and, until it is half full, costly ones.

    Storing the others would cost more than it saves, and answers that nobody asks for again would displace those in
    use. Misses are noted per process. clock: returns monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._missed: LRUCache[Hashable, None] = LRUCache(MAX_MISSED)
        self._asked: float | None = None
        self._is_scarce = False

    def takes(self, key: str, *, computed_seconds: float) -> bool:
        """Return whether to store the answer of `key`, which was missed.

        computed_seconds: the processor time of its computation.
        """
        name = hash(key)
        with self._lock:
            was_missed = name in self._missed
            self._missed[name] = None
        return was_missed or (computed_seconds >= COSTLY_SECONDS and not self._is_scarce_now())

    def _is_scarce_now(self) -> bool:
        now = self._clock()
        if self._asked is None or now - self._asked >= ASKED_SECONDS:
            self._asked = now
            self._is_scarce = _is_half_full()
        return self._is_scarce


def _is_half_full() -> bool:
    """Return whether Redis uses more than half of its memory limit; False without a limit, or if it does not tell."""
    try:
        lines: bytes = redis_call("INFO", "memory")
    except RedisError:
        return False
    fields = dict(line.split(b":", 1) for line in lines.split(b"\r\n") if b":" in line)
    return 0 < int(fields.get(b"maxmemory", 0)) < 2 * int(fields.get(b"used_memory", 0))
