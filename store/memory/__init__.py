"""The store in memory: the simplest backend. It answers every query from all rows."""

from store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
