"""The registry of market stores. Its setting `MARKET_STORES` has the form of Django's `STORAGES`.

Also the metrics of writes, and functions that maintain a store of files.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from ops.metrics.declarations import COMMIT_FAILURES, COMMIT_SECONDS, COMMITS, ROWS
from store.datasets import DATASETS, STORED_DATASETS
from store.declarations import Dataset
from store.exceptions import StoreUnavailable, UnknownSymbol
from store.maintained import MaintainedStore, Upkeep
from store.market_store import MarketStore
from store.protocol import CommitId, Receipt

_opened: dict[str, MarketStore] = {}
_mutex = threading.Lock()


def market_store(alias: str = "default") -> MarketStore:
    """Return the store with this alias. Each process opens it once, at the first use."""
    store = _opened.get(alias)
    if store is None:
        with _mutex:
            store = _opened.setdefault(alias, _make(alias)) if alias not in _opened else _opened[alias]
    return store


def _make(alias: str) -> MarketStore:
    try:
        declared: dict[str, Any] = settings.MARKET_STORES[alias]
        backend = import_string(declared["BACKEND"])
    except (KeyError, ImportError) as error:
        raise ImproperlyConfigured(
            f"MARKET_STORES does not declare a store {alias!r} that exists: {error}"
        ) from error
    store = cast("MarketStore", backend(**declared.get("OPTIONS", {})))
    store.committed.append(count_commit)
    return store


@receiver(setting_changed)
def _forget_stores(*, setting: str, **_: Any) -> None:
    if setting == "MARKET_STORES":
        _opened.clear()


# Each counter is exported as 0 before the first failure, so that monitoring sees the first one as an increase.
for _name in DATASETS:
    COMMIT_FAILURES.labels(_name)


def count_commit(dataset: Dataset, _symbol: str, _commit: CommitId) -> None:
    """Count a commit; a store calls it after each one."""
    COMMITS.labels(dataset.name).inc()


def write_measured(dataset: Dataset, write: Callable[[], Receipt]) -> Receipt:
    """Call `write` and return its receipt. Records its rows and duration, or its failure, as metrics."""
    began = time.perf_counter()
    try:
        receipt = write()
    except StoreUnavailable:
        COMMIT_FAILURES.labels(dataset.name).inc()
        raise
    COMMIT_SECONDS.labels(dataset.name).observe(time.perf_counter() - began)
    if not receipt.replayed:
        ROWS.labels(dataset.name).inc(receipt.stored + receipt.replaced)
    return receipt


LogName = tuple[Dataset, str]


class NotMaintained(Exception):
    """The configured store has no files to maintain. Use a store of files."""


def maintained_store() -> MaintainedStore:
    """Return the configured store of files. Raises `NotMaintained`."""
    store = market_store()
    if not isinstance(store, MaintainedStore):
        raise NotMaintained(f"the configured store, {type(store).__name__}, has no files to maintain")
    return store


def derived_keeper() -> Upkeep | None:
    """Return the updater of the store's derived files; None for a store without such files."""
    store = market_store()
    return store.keeper() if isinstance(store, MaintainedStore) else None


def logs_of(
    store: MarketStore, *, datasets: Sequence[str], symbols: Sequence[str], with_empty: bool = False
) -> list[LogName]:
    """Return the logs of these symbols and datasets; an empty list means all. Raises `UnknownSymbol`.

    with_empty: include folders without a commit, whose log may be lost.
    """
    symbols_of = store.folders if with_empty and isinstance(store, MaintainedStore) else store.symbols
    chosen = [STORED_DATASETS[name] for name in datasets or STORED_DATASETS]
    logs = [(dataset, set(symbols_of(dataset))) for dataset in chosen]
    for symbol in symbols:
        if not any(symbol in stored_symbols for _, stored_symbols in logs):
            raise UnknownSymbol(symbol)
    return [
        (dataset, symbol)
        for dataset, stored_symbols in logs
        for symbol in symbols or sorted(stored_symbols)
        if symbol in stored_symbols
    ]
