"""What the response cache did, counted over all processes of the service."""

from metrics.declarations import CACHE_ANSWERS, CACHE_BYTES
from metrics.process_files import totals

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
