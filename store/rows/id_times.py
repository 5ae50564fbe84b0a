"""An index in memory: the event times of rows by the hashes of their ids."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from store.arrays import Integers, indices_of_ranges, ranges_of
from store.rows.row_hashes import NO_ID

# Fewer rows than this are kept in a dictionary, until there are `_RECENT_LIMIT` of them.
_SMALL = 64
_RECENT_LIMIT = 1024
_GROWTH = 4
_RUN_ROW_BYTES = 16
_RECENT_ROW_BYTES = 250


@dataclass(frozen=True, slots=True)
class _IdRun:
    """Rows in order of the hashes of their ids. commit: the newest that stored one of them."""

    commit: int
    ids: Integers
    times: Integers

    @classmethod
    def of(cls, commit: int, ids: Integers, times: Integers) -> _IdRun:
        order = np.argsort(ids)
        return cls(commit, ids[order], times[order])


@dataclass(slots=True)
class IdTimes:
    """Sorted runs, which are merged as they grow, and a dictionary of the rows of small batches.

    The cost of a search grows with the logarithm of the number of rows.
    """

    _runs: list[_IdRun] = field(default_factory=list)
    _recent: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _recent_rows: int = 0
    _commit: int = 0

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return (
            _RUN_ROW_BYTES * sum(len(run.ids) for run in self._runs) + _RECENT_ROW_BYTES * self._recent_rows
        )

    def add(self, commit: int, ids: Integers, times: Integers) -> None:
        """Add rows of a commit that is not older than those before. ids: `NO_ID` for rows to be left out."""
        self._commit = commit
        if len(ids) >= _SMALL:
            has_id = ids != NO_ID
            self._flush_recent()
            self._add_run(_IdRun.of(commit, ids[has_id], times[has_id]))
            return
        for one, time in zip(ids.tolist(), times.tolist(), strict=True):
            if one != NO_ID:
                self._recent[one].append(time)
                self._recent_rows += 1
        if self._recent_rows >= _RECENT_LIMIT:
            self._flush_recent()

    def times(self, ids: Integers) -> list[Integers]:
        """Return the event times of the rows with these ids, as any number of columns. ids: ascending."""
        recent = self._recent
        found = [time for one in ids.tolist() if one in recent for time in recent[one]] if recent else []
        columns = [np.array(found, np.int64)] if found else []
        for run in self._runs:
            indices = indices_of_ranges(*ranges_of(run.ids, ids))
            columns.append(run.times[indices])
        return columns

    def forget(self, commit: int) -> None:
        """Forget rows that are stored by commits up to this one. Some of them may stay."""
        self._runs = [run for run in self._runs if run.commit > commit]
        if self._commit <= commit:
            self._recent, self._recent_rows = defaultdict(list), 0

    def _flush_recent(self) -> None:
        if self._recent_rows:
            rows = [(one, time) for one, times in self._recent.items() for time in times]
            self._recent, self._recent_rows = defaultdict(list), 0
            ids, times = np.array(rows, np.int64).T
            self._add_run(_IdRun.of(self._commit, ids, times))

    def _add_run(self, run: _IdRun) -> None:
        while self._runs and len(self._runs[-1].ids) < _GROWTH * len(run.ids):
            last = self._runs.pop()
            ids, times = np.concatenate([last.ids, run.ids]), np.concatenate([last.times, run.times])
            run = _IdRun.of(run.commit, ids, times)
        self._runs.append(run)
