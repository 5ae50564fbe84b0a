"""A process's response cache: the local and the shared tier, the counters, and invalidation."""

import threading
from dataclasses import dataclass
from enum import StrEnum

from metrics.declarations import CACHE_ANSWERS, CACHE_BYTES
from metrics.process_files import totals
from stats.caching.entry import Entry
from stats.caching.keys import symbol_prefix
from stats.caching.local import LocalCache
from stats.caching.shared import SharedCache
from stats.caching.single_flight import ProcessFlights, ThreadFlights

_NAMES = {
    (CACHE_ANSWERS, "hit_local"): "hits_local",
    (CACHE_ANSWERS, "hit_redis"): "hits_redis",
    (CACHE_ANSWERS, "miss"): "misses",
    (CACHE_ANSWERS, "joined"): "joined",
    (CACHE_BYTES, "stored"): "bytes_stored",
    (CACHE_BYTES, "served"): "bytes_served",
}


class CacheStatistics:
    """Adds to the metrics `marketdata_cache_answers_total` and `marketdata_cache_bytes_total`.

    `served` bytes are those of bodies that came from the cache or from another request's computation.
    """

    def hit_local(self, size: int) -> None:
        CACHE_ANSWERS.add("hit_local")
        CACHE_BYTES.add("served", amount=size)

    def hit_shared(self, size: int) -> None:
        CACHE_ANSWERS.add("hit_redis")
        CACHE_BYTES.add("served", amount=size)

    def joined(self, size: int) -> None:
        CACHE_ANSWERS.add("joined")
        CACHE_BYTES.add("served", amount=size)

    def missed(self) -> None:
        CACHE_ANSWERS.add("miss")

    def stored(self, size: int) -> None:
        CACHE_BYTES.add("stored", amount=size)

    def snapshot(self) -> dict[str, int]:
        """The fields of `CacheStatisticsSerializer`: sums over all processes since the service was started.

        Counts that other processes made in the last second may be missing.
        """
        counted = totals((CACHE_ANSWERS, CACHE_BYTES))
        return {name: int(counted[metric].get((label,), [0])[0]) for (metric, label), name in _NAMES.items()}


class Outcome(StrEnum):
    """The values of `X-Cache`.

    HIT: from the cache or from another request's computation. MISS: computed. BYPASS: computed without using
    the cache.
    """

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class CachedEntry:
    """An entry, and how it was obtained."""

    entry: Entry
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTiers:
    """Everything that a cached function uses."""

    local: LocalCache[CachedEntry]
    shared: SharedCache
    threads: ThreadFlights
    processes: ProcessFlights
    statistics: CacheStatistics


_creation_lock = threading.Lock()
_tiers_of_process: list[CacheTiers] = []


def process_tiers() -> CacheTiers:
    """The tiers of this process, created on the first call."""
    if not _tiers_of_process:
        with _creation_lock:
            if not _tiers_of_process:
                _tiers_of_process.append(new_tiers())
    return _tiers_of_process[0]


def new_tiers() -> CacheTiers:
    """Make tiers with an empty local cache."""
    shared = SharedCache()
    return CacheTiers(
        local=LocalCache(),
        shared=shared,
        threads=ThreadFlights(),
        processes=ProcessFlights(shared),
        statistics=CacheStatistics(),
    )


@dataclass(frozen=True, slots=True)
class Dropped:
    """entries: the number of entries that were removed from Redis. If Redis was not reached, they may remain."""

    entries: int
    redis_reached: bool


def drop(symbol: str, *, tiers: CacheTiers | None = None) -> Dropped:
    """Remove every entry of `symbol` from Redis and from this process's memory.

    This is not needed for correctness, because keys contain commits. It frees memory and forces a recomputation.
    Other processes keep entries in their own memory for up to 5 s.
    """
    tiers = tiers or process_tiers()
    removed = tiers.shared.drop(symbol)
    tiers.local.drop(symbol_prefix(symbol))
    return Dropped(entries=removed or 0, redis_reached=removed is not None)
