"""Which symbols a dataset's folder holds, listed again only when the folder has changed."""

import os
import threading
import time
from collections.abc import Hashable
from pathlib import Path

from store.csv.files.file_signature import NEVER_SEEN, NO_FILE, file_signature
from store.csv.log.commit_log import has_commits
from store.csv.parts.partitions import symbol_of

# File systems tell the time in steps: a change that follows another at once may leave a folder's time alone.
_SETTLED_NS = 1_000_000_000


class SymbolFolders:
    """The symbols with commits in a folder of logs. Safe for threads. Raises `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._signature = NEVER_SEEN
        self._is_settled = False
        self._names: set[str] = set()
        self._empty: set[str] = set()
        self._symbols: tuple[str, ...] = ()

    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        with self._mutex:
            self._look()
            return self._symbols

    def stamp(self) -> Hashable:
        """What changes when a symbol comes or goes; the same in every process."""
        with self._mutex:
            self._look()
            return (*self._signature, len(self._symbols))

    def _look(self) -> None:
        signature = file_signature(self._folder)
        if signature != self._signature or not self._is_settled:
            self._is_settled = time.time_ns() - signature[2] > _SETTLED_NS
            names = os.listdir(self._folder) if signature != NO_FILE else []  # noqa: PTH208 names only
            self._list(set(names))
            self._signature = signature
        elif self._empty:
            self._list(self._names)

    def _list(self, names: set[str]) -> None:
        """Look at folders that are new, or had no commit when they were looked at last."""
        looked_at = names - self._names | self._empty & names
        empty = {name for name in looked_at if not has_commits(self._folder / name)}
        if looked_at - empty or self._names - names:
            self._symbols = tuple(sorted(map(symbol_of, names - empty)))
        self._names, self._empty = names, empty
