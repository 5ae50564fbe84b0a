"""The response cache in process memory: an LRU cache of a limited size. Keys contain commits, so no entry expires."""

import threading
from operator import itemgetter
from typing import TYPE_CHECKING

from cachetools import LRUCache

# Not imported at run time, because the settings take `DEFAULT_BYTES` from here.
if TYPE_CHECKING:
    from stats.caching.shared import Entry

DEFAULT_BYTES = 32 * 2**20
OVERHEAD_BYTES = 512
"""Estimated bookkeeping cost of one entry. It is counted, so that many small answers are bounded too."""


class LocalCache:
    """Thread-safe LRU cache of at most `max_bytes` in total.

    An entry larger than an eighth of `max_bytes` is not stored, because it would evict too many others.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_size = max_bytes // 8
        self._lock = threading.Lock()
        self._entries: LRUCache[str, tuple[Entry, int]] = LRUCache(max_bytes, getsizeof=itemgetter(1))

    def get(self, key: str) -> "Entry | None":
        """Return the entry of `key`; None if there is none."""
        with self._lock:
            found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: str, entry: "Entry") -> None:
        """Store `entry`, in place of those that were used least recently."""
        size = len(entry.body) + 2 * len(key) + OVERHEAD_BYTES
        if size <= self._max_size:
            with self._lock:
                self._entries[key] = entry, size

    def drop(self, prefix: str) -> None:
        """Remove every entry whose key starts with `prefix`."""
        with self._lock:
            for key in [key for key in self._entries if key.startswith(prefix)]:
                del self._entries[key]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
