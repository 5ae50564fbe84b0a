"""Which answers are worth their room in Redis."""

import threading
import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache
from django_redis import get_redis_connection
from redis.exceptions import RedisError

# Redis is asked for its memory at most once in this time.
ASKED_SECONDS = 1.0
MAX_MISSED = 16_384


class SharedRoom:
    """Tells which answers to store in Redis: all of them until it is half full, then those that were missed before.

    Otherwise answers that nobody asks for again would displace the others. Misses are counted per process, and only
    while Redis is over half full. clock: returns monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._missed: LRUCache[Hashable, None] = LRUCache(MAX_MISSED)
        self._asked: float | None = None
        self._is_scarce = False

    def takes(self, key: str) -> bool:
        """Return whether to store the answer of `key`, which was missed."""
        if not self._is_scarce_now():
            return True
        with self._lock:
            was_missed = hash(key) in self._missed
            self._missed[hash(key)] = None
        return was_missed

    def _is_scarce_now(self) -> bool:
        now = self._clock()
        if self._asked is None or now - self._asked >= ASKED_SECONDS:
            self._asked = now
            self._is_scarce = _is_half_full()
        return self._is_scarce


def _is_half_full() -> bool:
    """Return whether Redis uses more than half of its memory limit; False without a limit, or if it does not tell."""
    try:
        memory: dict[str, int] = get_redis_connection("answers").info("memory")
    except RedisError:
        return False
    return 0 < memory.get("maxmemory", 0) < 2 * memory.get("used_memory", 0)
