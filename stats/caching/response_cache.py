"""The response cache of a process: its memory, then Redis, then one computation per key at a time.

Keys contain commits, so no entry of the memory expires. Processes do not wait for one another: each may compute the same answer once.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from operator import itemgetter
from typing import Literal

from cachetools import LRUCache
from django.conf import settings

from ops.metrics.declarations import CACHE_ANSWERS, CACHE_BYTES
from ops.metrics.process_files import totals
from stats.caching.keys import symbol_prefix
from stats.caching.shared import Entry, SharedCache
from store.timestamps import SECOND_NS
from web.requests.after_answer import after_answer

# A thread that has waited this long for another thread's computation computes the answer itself.
PATIENCE_SECONDS = 30.0
# Its time of change tells the other processes that answers were dropped. They look once a second.
_DROPPED_FILE = "answers.dropped"
_LOOK_SECONDS = 1.0

_HOUR = 3_600
_DAY = 86_400
# Pairs of (maximum age of an answer's end, seconds to live), both in seconds; then the seconds to live for older ends.
_SECONDS_BY_AGE = ((_HOUR, 30), (_DAY, 300), (3 * _DAY, 3_600))
_SECONDS_OF_OLD = 7 * _DAY
_PERIOD_FACTOR = 4


def seconds_to_live(end_ns: int | None, *, now_ns: int, is_period: bool) -> int:
    """Return how many seconds an answer is cached, by the age of its end; 0 if the end is in the future.

    end_ns: the requested end before rounding, nanoseconds since the epoch; None means now. now_ns: the time of
    the call. is_period: whether a row covers a day or more; if so, the result is four times as long.
    """
    age_ns = 0 if end_ns is None else now_ns - end_ns
    if age_ns < 0:
        return 0
    seconds = next((seconds for age, seconds in _SECONDS_BY_AGE if age_ns < age * SECOND_NS), _SECONDS_OF_OLD)
    return seconds * _PERIOD_FACTOR if is_period else seconds


Outcome = Literal["hit", "miss"]
"""Values of `X-Cache`. hit: from the cache or from another request's computation. miss: computed."""


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

    def get(self, key: str) -> Entry | None:
        """Return the entry of `key`; None if there is none."""
        with self._lock:
            found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: str, entry: Entry) -> None:
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


class _Computation:
    """A computation that is running. entry: None while it runs and if it failed."""

    __slots__ = ("entry", "finished", "waiting")

    def __init__(self) -> None:
        self.finished = threading.Event()
        self.entry: Entry | None = None
        self.waiting = 0


class ResponseCache:
    """Rendered answers by key. Redis errors are never raised.

    A computed answer is stored in Redis after it was sent.
    Threads that ask for a key while it is being computed wait for the result. If the computation raises, only the
    computing thread gets the exception, and the next waiting thread computes.
    clock: returns monotonic seconds.
    """

    def __init__(
        self, *, patience_seconds: float = PATIENCE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.local = LocalCache(max_bytes=settings.ANSWERS_MEMORY_MIB * 2**20)
        self.shared = SharedCache()
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._looks_at = 0.0
        self._dropped_ns: int | None = None
        self._lock = threading.Lock()
        self._computations: dict[str, _Computation] = {}

    def get(self, key: str) -> Entry | None:
        """Return the answer in this process's memory; None if it is not there. Does not use Redis."""
        self._forget_dropped()
        entry = self.local.get(key)
        if entry is not None:
            _count_hit("hit_local", entry)
        return entry

    def fetch(self, key: str, compute: Callable[[], Entry], *, seconds: int) -> tuple[Entry, Outcome]:
        """Return the answer from the cache, from another thread's computation, or from `compute`.

        seconds: how long Redis keeps it; with 0 it is only shared with threads that wait for it.
        """
        entry = self.get(key)
        if entry is not None:
            return entry, "hit"
        deadline = time.monotonic() + self._patience_seconds
        while (remaining := deadline - time.monotonic()) > 0:
            computation, is_leader = self._join(key)
            if is_leader:
                return self._lead(key, computation, compute, seconds)
            self._wait(computation, remaining)
            if computation.entry is not None:
                _count_hit("joined", computation.entry)
                return computation.entry, "hit"
        return self._fetch_alone(key, compute, seconds)

    def drop(self, symbol: str) -> int | None:
        """Remove the answers about `symbol` alone from Redis and from this process's memory.

        Return the number of answers removed from Redis; None if Redis is unreachable, so that they may remain there.
        Within a second each process of this machine empties its own memory. Answers are never stale, because keys
        contain commits, so this only frees memory and forces a recomputation.
        """
        prefix = symbol_prefix(symbol)
        count = self.shared.drop(prefix)
        self.local.drop(prefix)
        # Without the folder no other process runs.
        with suppress(FileNotFoundError):
            (settings.RUN_DIR / _DROPPED_FILE).touch()
        return count

    def _forget_dropped(self) -> None:
        """Empty this process's memory if any process has dropped answers since the last look."""
        now = self._clock()
        if now < self._looks_at:
            return
        self._looks_at, dropped_ns = now + _LOOK_SECONDS, 0
        with suppress(OSError):
            dropped_ns = (settings.RUN_DIR / _DROPPED_FILE).stat().st_mtime_ns
        if dropped_ns != self._dropped_ns:
            self._dropped_ns = dropped_ns
            self.local.clear()

    def waiting(self, key: str) -> int:
        """Return the number of threads that wait for the computation of `key`."""
        with self._lock:
            computation = self._computations.get(key)
            return 0 if computation is None else computation.waiting

    def _join(self, key: str) -> tuple[_Computation, bool]:
        """Return the computation of `key`, and whether the caller must run it."""
        with self._lock:
            computation = self._computations.get(key)
            if computation is None:
                computation = self._computations[key] = _Computation()
                return computation, True
            computation.waiting += 1
            return computation, False

    def _wait(self, computation: _Computation, seconds: float) -> None:
        try:
            computation.finished.wait(seconds)
        finally:
            with self._lock:
                computation.waiting -= 1

    def _lead(
        self, key: str, computation: _Computation, compute: Callable[[], Entry], seconds: int
    ) -> tuple[Entry, Outcome]:
        try:
            entry, outcome = self._fetch_alone(key, compute, seconds)
            computation.entry = entry
            return entry, outcome
        finally:
            with self._lock:
                del self._computations[key]
            computation.finished.set()

    def _fetch_alone(self, key: str, compute: Callable[[], Entry], seconds: int) -> tuple[Entry, Outcome]:
        """Return the answer from the cache or from `compute`, and cache it."""
        # Another thread may have cached the answer since this one looked.
        entry = self.local.get(key)
        if entry is not None:
            _count_hit("joined", entry)
            return entry, "hit"
        entry = self.shared.get(key) if seconds else None
        if entry is not None:
            _count_hit("hit_redis", entry)
            self.local.put(key, entry)
            return entry, "hit"
        CACHE_ANSWERS.labels("miss").inc()
        entry = compute()
        if seconds:
            self.local.put(key, entry)
            after_answer(lambda: self._share(key, entry, seconds))
        return entry, "miss"

    def _share(self, key: str, entry: Entry, seconds: int) -> None:
        CACHE_BYTES.labels("stored").inc(self.shared.store(key, entry, seconds=seconds))


RESPONSE_CACHE = ResponseCache()


_hits_of, _served_bytes = cache(CACHE_ANSWERS.labels), CACHE_BYTES.labels("served")


def _count_hit(source: str, entry: Entry) -> None:
    _hits_of(source).inc()
    _served_bytes.inc(len(entry.body))


_STATISTICS = {
    "hits_local": ("marketdata_cache_answers_total", "hit_local"),
    "hits_redis": ("marketdata_cache_answers_total", "hit_redis"),
    "misses": ("marketdata_cache_answers_total", "miss"),
    "joined": ("marketdata_cache_answers_total", "joined"),
    "bytes_stored": ("marketdata_cache_bytes_total", "stored"),
    "bytes_served": ("marketdata_cache_bytes_total", "served"),
}


def cache_statistics() -> dict[str, int]:
    """Return the fields of `CacheStatisticsSerializer`: sums over all processes since the service was started.

    Counts that other processes made in the last second may be missing.
    """
    samples = (sample for family in totals() for sample in family.samples)
    counts = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    return {name: int(counts.get(key, 0)) for name, key in _STATISTICS.items()}
