"""The CSV backend: plain files, a commit log per symbol, nothing lost that was acknowledged."""

from trades.storage.csv.store import CsvStore

__all__ = ["CsvStore"]
