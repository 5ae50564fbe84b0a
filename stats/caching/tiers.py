"""The parts of the response cache put together, once per process."""

import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from django.conf import settings

from metrics.declarations import CACHE_ANSWERS, CACHE_BYTES
from metrics.process_files import totals
from stats.caching.entry import Entry
from stats.caching.epochs import FILE_NAME, Epochs
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
    """Counts in `marketdata_cache_{answers,bytes}_total`.

    `bytes_served` are bodies that came from the cache or from another's computation.
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
        """`hits_local, hits_redis, misses, joined, bytes_stored, bytes_served`, each since the service began.

        What other processes counted in the last second may be missing.
        """
        counted = totals((CACHE_ANSWERS, CACHE_BYTES))
        return {name: int(counted[metric].get((label,), [0])[0]) for (metric, label), name in _NAMES.items()}


class Outcome(StrEnum):
    """Where an answer came from: kept or computed for another, computed for this caller, or not looked for."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer and where it came from."""

    entry: Entry
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """What a cached function works with."""

    local: LocalCache[Cached]
    shared: SharedCache
    epochs: Epochs
    threads: ThreadFlights
    processes: ProcessFlights
    statistics: CacheStatistics


_assembly = threading.Lock()
_assembled: list[Tiers] = []


def process_tiers() -> Tiers:
    """The tiers of this process, put together by the first caller from `settings.RUN_DIR`."""
    if not _assembled:
        with _assembly:
            if not _assembled:
                _assembled.append(assembled(Path(settings.RUN_DIR)))
    return _assembled[0]


def assembled(run_dir: Path) -> Tiers:
    """Tiers of their own, whose epochs live in `run_dir`."""
    shared = SharedCache()
    return Tiers(
        local=LocalCache(),
        shared=shared,
        epochs=Epochs(run_dir / FILE_NAME),
        threads=ThreadFlights(),
        processes=ProcessFlights(shared),
        statistics=CacheStatistics(),
    )


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many entries left Redis, and whether it could be reached; if not, they may still be there."""

    entries: int
    redis_reached: bool


def drop(symbol: str, *, tiers: Tiers | None = None) -> Dropped:
    """Void every entry of `symbol`: at once in all processes of this host, and in Redis.

    Processes of other hosts follow when their own entries end, within seconds.
    """
    at = tiers or process_tiers()
    at.epochs.advance(symbol)  # computations under way are not stored any more
    removed = at.shared.drop(symbol)
    at.epochs.advance(symbol)  # nor is what was read from Redis while it was being emptied kept
    return Dropped(entries=removed or 0, redis_reached=removed is not None)
