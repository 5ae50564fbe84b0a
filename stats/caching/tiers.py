"""The parts of the response cache put together, once per process."""

import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from django.conf import settings

from stats.caching.entry import Entry
from stats.caching.epochs import FILE_NAME, Epochs
from stats.caching.local import LocalCache
from stats.caching.shared import SharedCache
from stats.caching.single_flight import ProcessFlights, ThreadFlights
from stats.caching.statistics import CacheStatistics


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
