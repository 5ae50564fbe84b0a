"""How far the logs of an exchange have come."""

from typing import Any

from cachetools import LRUCache

from stats.market_data import exchange_reach


class LockedCache(LRUCache[Any, Any]):
    """A cache that is read under its lock only: a read moves the entry, which another thread may evict meanwhile."""

    def get(self, key: Any, default: Any = None) -> Any:
        assert exchange_reach._lock.locked()
        return super().get(key, default)


def test_its_caches_are_read_under_their_lock(default_store, monkeypatch):
    for name in ("_known", "_reaches"):
        monkeypatch.setattr(exchange_reach, name, LockedCache(8))
    for _ in range(2):
        exchange_reach.exchange_reach("XNYS", 1, as_of_ns=None, now_ns=1)
