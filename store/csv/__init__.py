"""The CSV backend: plain files with a commit log per symbol; an acknowledged batch is never lost."""

from store.csv.store import CsvStore

__all__ = ["CsvStore"]
