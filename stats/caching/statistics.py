"""What the response cache did, counted over all processes of the service."""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Metric
from prometheus_client.multiprocess import MultiProcessCollector

_ANSWERS = "marketdata_cache_answers"
_BYTES = "marketdata_cache_bytes"
_NAMES = {
    (_ANSWERS, "hit_local"): "hits_local",
    (_ANSWERS, "hit_redis"): "hits_redis",
    (_ANSWERS, "miss"): "misses",
    (_ANSWERS, "joined"): "joined",
    (_BYTES, "stored"): "bytes_stored",
    (_BYTES, "served"): "bytes_served",
}


class CacheStatistics:
    """Counters of one process, also exported as `marketdata_cache_{answers,bytes}_total`.

    With PROMETHEUS_MULTIPROC_DIR set before prometheus_client is imported, `snapshot` sums over all
    processes that ever wrote there; otherwise it knows this one. `bytes_served` are bodies that came from
    the cache or from another's computation.
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)
        answers = Counter(_ANSWERS, "Answers by where they came from", ["source"], registry=registry)
        sizes = Counter(_BYTES, "Bytes stored in Redis and served from the cache", ["way"], registry=registry)
        self._hits_local = answers.labels("hit_local")
        self._hits_shared = answers.labels("hit_redis")
        self._misses = answers.labels("miss")
        self._joined = answers.labels("joined")
        self._stored = sizes.labels("stored")
        self._served = sizes.labels("served")

    def hit_local(self, size: int) -> None:
        self._hits_local.inc()
        self._served.inc(size)

    def hit_shared(self, size: int) -> None:
        self._hits_shared.inc()
        self._served.inc(size)

    def joined(self, size: int) -> None:
        self._joined.inc()
        self._served.inc(size)

    def missed(self) -> None:
        self._misses.inc()

    def stored(self, size: int) -> None:
        self._stored.inc(size)

    def snapshot(self) -> dict[str, int]:
        """`hits_local, hits_redis, misses, joined, bytes_stored, bytes_served`, each since the service began."""
        totals = dict.fromkeys(_NAMES.values(), 0)
        for metric in self._metrics():
            for sample in metric.samples:
                labels = sample.labels
                name = _NAMES.get((metric.name, labels.get("source", labels.get("way", ""))))
                if name is not None and sample.name.endswith("_total"):
                    totals[name] += int(sample.value)
        return totals

    def _metrics(self) -> Iterable[Metric]:
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            collected: Iterable[Metric] = MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
            return collected
        return self._registry.collect()
