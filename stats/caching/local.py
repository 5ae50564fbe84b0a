"""The response cache in process memory: an LRU cache whose entries expire after 5 s."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import LRUCache

# Not imported at run time, because the settings take `DEFAULT_BYTES` from here.
if TYPE_CHECKING:
    from stats.caching.shared import Entry

DEFAULT_BYTES = 32 * 2**20
RESIDENCE_SECONDS = 5.0
OVERHEAD_BYTES = 512
"""Estimated bookkeeping cost of one entry. It is counted, so that many small answers are bounded too."""


@dataclass(slots=True)
class _LocalEntry:
    entry: "Entry"
    expires: float
    size: int


class LocalCache:
    """Thread-safe LRU cache: at most `max_bytes` in total, each entry for at most `RESIDENCE_SECONDS`.

    An entry larger than an eighth of `max_bytes` is not stored, because it would evict too many others.
    clock: returns monotonic seconds.
    """

    def __init__(
        self, *, max_bytes: int = DEFAULT_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_size = max_bytes // 8
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: LRUCache[str, _LocalEntry] = LRUCache(max_bytes, getsizeof=lambda local: local.size)

    def get(self, key: str) -> "Entry | None":
        """Return the entry of `key`; None if there is none or it has expired."""
        with self._lock:
            local = self._entries.get(key)
            if local is None:
                return None
            if self._clock() >= local.expires:
                del self._entries[key]
                return None
            return local.entry

    def put(self, key: str, entry: "Entry", *, seconds: float) -> None:
        """Store `entry` for `seconds`, but at most `RESIDENCE_SECONDS`."""
        size = len(entry.body) + 2 * len(key) + OVERHEAD_BYTES
        if seconds <= 0 or size > self._max_size:
            return
        expires = self._clock() + min(seconds, RESIDENCE_SECONDS)
        with self._lock:
            self._entries[key] = _LocalEntry(entry, expires, size)

    def drop(self, prefix: str) -> None:
        """Remove every entry whose key starts with `prefix`."""
        with self._lock:
            for key in [key for key in self._entries if key.startswith(prefix)]:
                del self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
