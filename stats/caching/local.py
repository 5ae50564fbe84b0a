"""The response cache in process memory: an LRU cache whose entries expire after 5 s."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

V = TypeVar("V")

DEFAULT_BYTES = 64 * 2**20
RESIDENCE_SECONDS = 5.0
OVERHEAD_BYTES = 512
"""Estimated bookkeeping cost of one entry. It is counted, so that many small answers are bounded too."""


@dataclass(slots=True)
class _LocalEntry(Generic[V]):
    value: V
    expires: float
    size: int


class LocalCache(Generic[V]):
    """Thread-safe LRU cache: at most `max_bytes` in total, each entry for at most `RESIDENCE_SECONDS`.

    A value larger than an eighth of `max_bytes` is not stored, because it would evict too many others.
    clock: returns monotonic seconds.
    """

    def __init__(
        self, *, max_bytes: int = DEFAULT_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_size = max_bytes // 8
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: LRUCache[str, _LocalEntry[V]] = LRUCache(max_bytes, getsizeof=lambda entry: entry.size)

    @property
    def bytes_held(self) -> int:
        """The bytes in use, overhead included; at most `max_bytes`."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """The value stored under `key`; None if there is none or it has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock() >= entry.expires:
                del self._entries[key]
                return None
            return entry.value

    def put(self, key: str, value: V, *, size: int, seconds: float) -> None:
        """Store `value` for `seconds`, but at most `RESIDENCE_SECONDS`. size: of the value, in bytes."""
        weight = size + 2 * len(key) + OVERHEAD_BYTES
        if seconds <= 0 or weight > self._max_size:
            return
        expires = self._clock() + min(seconds, RESIDENCE_SECONDS)
        with self._lock:
            self._entries[key] = _LocalEntry(value, expires, weight)

    def drop(self, prefix: str) -> None:
        """Remove every entry whose key starts with `prefix`."""
        with self._lock:
            for key in [key for key in self._entries if key.startswith(prefix)]:
                del self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
