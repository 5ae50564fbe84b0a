"""Which resolutions the stored bars of a log have: found at first in the derived files, then from each new commit."""

from __future__ import annotations

import threading
from functools import lru_cache

from store.lazy_imports import compute as pc
from store.log import Log
from store.log_views.log_view import LogView
from store.log_views.stored_bars import resolutions_in
from store.protocol import ALL_TIME, CommitId
from store.resolutions import Resolution
from store.rows.stored_rows import integers
from store.walk import BEGINNING, CommittedRows, LogPosition, Resync


def stored_resolutions(view: LogView) -> list[Resolution]:
    """Return the resolutions of all bars that were stored up to the view's commit, the shortest first.

    One of which all bars were cancelled is among them. Raises `StorageError`s.
    """
    if view.is_empty:
        return []
    return _of_log(view.snapshot.log).up_to(view.commit)


class _Resolutions:
    """The resolutions of one log: for each the first commit with such a bar. Thread-safe."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._first: dict[Resolution, int] = {}
        self._position = BEGINNING
        self._lock = threading.Lock()

    def up_to(self, commit: CommitId) -> list[Resolution]:
        """Return those of the commits up to one, which the log must have."""
        with self._lock:
            if not self._is_of_this_log():
                self._first, self._position = {}, BEGINNING
            if commit.number > self._position.commit.number:
                self._read(commit)
            found = [each for each, number in self._first.items() if number <= commit.number]
        return sorted(found)

    def _is_of_this_log(self) -> bool:
        """Return whether the log was not restored since it was read."""
        commit = self._position.commit
        if self._position == BEGINNING:
            return True
        try:
            self._log.at(commit)
        except Resync:
            return False
        return True

    def _read(self, commit: CommitId) -> None:
        if self._position == BEGINNING:
            versions = self._log.at(commit).versions(ALL_TIME, ("resolution",))
            for name in pc.unique(versions.column("resolution")).to_pylist():
                own = versions.filter(pc.equal(versions.column("resolution"), name))
                self._first[Resolution.parse(name)] = int(integers(own, "commit").min())
            self._position = LogPosition(commit)
            return
        for piece in self._log.commits(self._position, commit.number):
            if isinstance(piece, CommittedRows):
                for resolution in resolutions_in(piece.rows):
                    self._first.setdefault(resolution, piece.commit.number)
        self._position = LogPosition(commit)


_of_log = lru_cache(maxsize=4096)(_Resolutions)
