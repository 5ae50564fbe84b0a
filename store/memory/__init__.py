"""The store in memory: every answer from all rows, every time."""

from store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
