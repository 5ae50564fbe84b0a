"""The in-process reader: rows and bars as numpy columns, without Django, HTTP or Redis."""

from store.reading.reader import Reader

__all__ = ["Reader"]
