"""What the response cache did, counted over all processes of the service."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Metric
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

# What prometheus_client makes such a file of; it is grown when that is full, after some hundred counters.
_FILE_BYTES = 1 << 16
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
    the cache or from another's computation. A process whose file the disk has no room for counts nothing.
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        answers, sizes = _counters(registry)
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


class _Uncounted:
    """A counter that does not count."""

    def labels(self, *_values: str) -> Self:
        return self

    def inc(self, _amount: float = 1) -> None:
        """Do nothing."""


def _counters(registry: CollectorRegistry) -> tuple[Counter | _Uncounted, Counter | _Uncounted]:
    """The counters of answers and of bytes."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ and not _reserved(
        Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    ):
        return _Uncounted(), _Uncounted()
    return (
        Counter(_ANSWERS, "Answers by where they came from", ["source"], registry=registry),
        Counter(_BYTES, "Bytes stored in Redis and served from the cache", ["way"], registry=registry),
    )


def _reserved(folder: Path) -> bool:
    """Whether the disk has given this process's file of counters its space.

    prometheus_client maps a sparse file; a write to a page that a full disk cannot give would be a SIGBUS.
    """
    path = folder / f"counter_{os.getpid()}.db"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    except OSError as error:
        logger.warning("What the cache does is not counted in this process: %s: %s", path, error)
        with suppress(OSError):
            path.unlink()  # an empty file is none that the others can read
        return False
    return True
