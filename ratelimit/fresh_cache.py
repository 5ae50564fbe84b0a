"""A cache, in memory, for credentials that were read from the database."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

# Below 1 s, because a revocation must be effective within 1 s.
MAX_AGE_SECONDS = 0.9
MAX_ENTRIES = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class FreshCache(Generic[K, V]):
    """An LRU cache whose values are at most `max_age` seconds old by a monotonic clock. Thread-safe."""

    def __init__(
        self,
        *,
        capacity: int = MAX_ENTRIES,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Least recently used first. Not cachetools' LRUCache: that takes several times as long on each request.
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._capacity = capacity
        self._lock = threading.Lock()
        self._max_age = max_age
        self._clock = clock

    def get(self, key: K, load: Callable[[K], V | None] | None = None) -> V | None:
        """Return the cached value, else the loaded one. None is not cached. Raises what `load` raises."""
        # Age counts from before the load: a change during the load is seen `max_age` later at most.
        now = self._clock()
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None and now - entry[0] < self._max_age:
                self._entries[key] = entry
                return entry[1]
        value = None if load is None else load(key)
        if value is not None:
            with self._lock:
                self._entries.pop(key, None)
                self._entries[key] = now, value
                if len(self._entries) > self._capacity:
                    self._entries.popitem(last=False)
        return value

    def peek(self, key: K) -> V | None:
        """Return the cached value, however old; None if there is none."""
        with self._lock:
            return self._entries.get(key, (0.0, None))[1]

    def remove(self, matches: Callable[[V], bool]) -> None:
        """Remove the matching values."""
        with self._lock:
            for key in [key for key, (_, value) in self._entries.items() if matches(value)]:
                del self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
