"""The symbols of a CSV store."""

import os
import threading
import time
from collections.abc import Hashable
from pathlib import Path

from store.csv.files.disk import NEVER_SEEN, NO_FILE, file_signature
from store.csv.files.file_names import symbol_of
from store.csv.log.commit_log import has_commits

# For this long after its last change, a folder is listed at every call. File systems record times in steps: two
# changes within one step may leave the folder with the same modification time.
_SETTLED_NS = 1_000_000_000


class SymbolFolders:
    """The symbols that have commits, in one dataset's folder. The folder is listed again only after a change.

    Thread-safe. Raises `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._signature = NEVER_SEEN
        self._is_settled = False
        self._names: set[str] = set()
        self._empty: set[str] = set()
        self._symbols: tuple[str, ...] = ()

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols, sorted."""
        with self._mutex:
            self._refresh()
            return self._symbols

    def stamp(self) -> Hashable:
        """Return a value that changes when a symbol is added or removed. It is the same in every process."""
        with self._mutex:
            self._refresh()
            return (*self._signature, len(self._symbols))

    def _refresh(self) -> None:
        signature = file_signature(self._folder)
        if signature != self._signature or not self._is_settled:
            self._is_settled = time.time_ns() - signature[2] > _SETTLED_NS
            names = os.listdir(self._folder) if signature != NO_FILE else []  # noqa: PTH208 names only
            self._check_new(set(names))
            self._signature = signature
        elif self._empty:
            self._check_new(self._names)

    def _check_new(self, names: set[str]) -> None:
        """Check the folders that are new, or that had no commit at the last check."""
        unchecked = names - self._names | self._empty & names
        empty = {name for name in unchecked if not has_commits(self._folder / name)}
        if unchecked - empty or self._names - names:
            self._symbols = tuple(sorted(map(symbol_of, names - empty)))
        self._names, self._empty = names, empty
