"""The part of the response cache that lives in the process: least recently used goes first."""

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
"""What the bookkeeping of one entry costs, about; counted, so that many small answers are bounded too."""


@dataclass(slots=True)
class _Held(Generic[V]):
    value: V
    epoch: int
    expires: float
    size: int


class LocalCache(Generic[V]):
    """Values by key, at most `max_bytes` in all and `RESIDENCE_SECONDS` each; safe between threads.

    A value larger than an eighth of the bound is not kept, so that one answer never displaces all others.
    `clock` is monotonic, in seconds.
    """

    def __init__(
        self, *, max_bytes: int = DEFAULT_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_size = max_bytes // 8
        self._clock = clock
        self._lock = threading.Lock()
        self._held: LRUCache[str, _Held[V]] = LRUCache(max_bytes, getsizeof=lambda held: held.size)

    @property
    def bytes_held(self) -> int:
        """What is held now, overhead included; never more than the bound."""
        return int(self._held.currsize)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str, *, epoch: int) -> V | None:
        """The value put under `key` in this same `epoch`, if it has not expired; else None."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            if held.epoch != epoch or self._clock() >= held.expires:
                del self._held[key]
                return None
            return held.value

    def put(self, key: str, value: V, *, size: int, epoch: int, seconds: float) -> None:
        """Hold `value`, which takes `size` bytes, for `seconds` but no longer than the residence."""
        weight = size + 2 * len(key) + OVERHEAD_BYTES
        if seconds <= 0 or weight > self._max_size:
            return
        expires = self._clock() + min(seconds, RESIDENCE_SECONDS)
        with self._lock:
            self._held[key] = _Held(value, epoch, expires, weight)

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
