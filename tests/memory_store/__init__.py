"""The store in memory: the simplest backend. It answers every query from all rows."""

from tests.memory_store.store import MemoryStore

__all__ = ["MemoryStore"]
