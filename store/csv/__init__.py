"""The CSV backend: plain files, a commit log per symbol, nothing lost that was acknowledged."""

from store.csv.store import CsvStore

__all__ = ["CsvStore"]
