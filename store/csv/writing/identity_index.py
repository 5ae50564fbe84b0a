"""The hashes of some rows of one event date, in memory."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from store.csv.writing.identities import Hashes, StoredHashes, between, bounds_in

_SMALL = 512
_RECENT_LIMIT = 1024
_GROWTH = 4
_RUN_ROW_BYTES = 32
_RECENT_ROW_BYTES = 300

_Recent = tuple[int, int, int]  # (check, value, arrival) of a stored row


@dataclass(slots=True)
class IdentityIndex:
    """Sorted runs that merge as they grow, and a dictionary for small batches.

    The cost of a look-up grows with the logarithm of the rows.
    """

    _runs: list[StoredHashes] = field(default_factory=list)
    _recent: dict[int, list[_Recent]] = field(default_factory=lambda: defaultdict(list))
    _recent_rows: int = 0

    def __len__(self) -> int:
        return self._recent_rows + sum(len(run) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """About how much memory the index takes."""
        return len(self) * _RUN_ROW_BYTES + self._recent_rows * (_RECENT_ROW_BYTES - _RUN_ROW_BYTES)

    def add(self, rows: StoredHashes) -> None:
        """Take in rows that are now stored."""
        if len(rows) >= _SMALL:
            self._flush_recent()
            self._add_run(rows.by_identity())
            return
        columns = (rows.identity, rows.check, rows.value, rows.arrival)
        for identity, *others in zip(*(column.tolist() for column in columns), strict=True):
            self._recent[identity].append(tuple(others))
        self._recent_rows += len(rows)
        if self._recent_rows >= _RECENT_LIMIT:
            self._flush_recent()

    def stored(self, wanted: Hashes) -> StoredHashes:
        """The rows with the identities in `wanted`, which are sorted and distinct; of each in order of adding."""
        found = [run.taken(between(*bounds_in(run.identity, wanted))) for run in self._runs]
        recent = self._recent
        rows = [(i, *each) for i in wanted.tolist() if i in recent for each in recent[i]] if recent else []
        if rows:
            found.append(StoredHashes(*np.array(rows, dtype=np.int64).T))
        return StoredHashes.joined(found)

    def by_identity(self) -> StoredHashes:
        """All rows, sorted by identity; of each in order of adding."""
        self._flush_recent()
        return StoredHashes.joined(self._runs).by_identity()

    def _flush_recent(self) -> None:
        if self._recent_rows:
            rows = [(identity, *each) for identity, known in self._recent.items() for each in known]
            self._recent, self._recent_rows = defaultdict(list), 0
            self._add_run(StoredHashes(*np.array(rows, dtype=np.int64).T).by_identity())

    def _add_run(self, run: StoredHashes) -> None:
        while self._runs and len(self._runs[-1]) < _GROWTH * len(run):
            run = StoredHashes.joined([self._runs.pop(), run]).by_identity()
        self._runs.append(run)
