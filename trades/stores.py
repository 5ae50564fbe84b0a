"""The registry of market stores, from the setting `MARKET_STORES`, in the grammar of Django's `STORAGES`."""

import threading
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from store.queries import QueryableStore
from trades.store_writes import count_commit

_opened: dict[str, QueryableStore] = {}
_mutex = threading.Lock()


def market_store(alias: str = "default") -> QueryableStore:
    """The store of an alias; made at its first use, one per process."""
    store = _opened.get(alias)
    if store is None:
        with _mutex:
            store = _opened.setdefault(alias, _make(alias)) if alias not in _opened else _opened[alias]
    return store


def _make(alias: str) -> QueryableStore:
    try:
        declared: dict[str, Any] = settings.MARKET_STORES[alias]
        backend = import_string(declared["BACKEND"])
    except (KeyError, ImportError) as error:
        raise ImproperlyConfigured(
            f"MARKET_STORES does not declare a store {alias!r} that exists: {error}"
        ) from error
    store = cast("QueryableStore", backend(**declared.get("OPTIONS", {})))
    store.committed.append(count_commit)
    return store


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting == "MARKET_STORES":
        _opened.clear()
