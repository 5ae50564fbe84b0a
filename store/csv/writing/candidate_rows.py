"""The stored rows and corrections at some event times: a batch of corrections may refer to these rows only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.csv.files.commit_records import PartKind, StoredPart, loads_of
from store.csv.files.part_reader import read_parts_at, read_rows_at
from store.csv.log.history import CommitHistory
from store.declarations import Dataset
from store.protocol import NO_COMMIT, Window
from store.rows.stored_rows import corrections_of
from store.timestamps import DAY_NS


class CandidateRows:
    """Reads them before the log's lock is taken, and under it only what was committed in between.

    instants: the batch's event times (int64 ns, ascending) by event date. searched_rows: how many rows and corrections
    were read to find them.
    """

    def __init__(self, dataset: Dataset, folder: Path, times: Integers) -> None:
        self.dataset = dataset
        self._folder = folder
        times = np.unique(times)
        days = times // DAY_NS
        self.instants: dict[int, Integers] = {int(day): times[days == day] for day in np.unique(days)}
        self.searched_rows = 0
        self._forget()

    def _forget(self) -> None:
        self._head = NO_COMMIT
        self._tables: dict[tuple[int, PartKind], list[pa.Table]] = defaultdict(list)

    def rows(self, day: int) -> list[pa.Table]:
        """Return the rows of a date as they came in, in order of arrival. They have a column `arrival`."""
        return self._tables[day, PartKind.ROWS]

    def corrections(self, day: int) -> list[pa.Table]:
        """Return the corrections of a date in the order in which they were made."""
        return self._tables[day, PartKind.CORRECTIONS]

    def read(self, history: CommitHistory) -> None:
        """Read what the log has and was not read before. Raises `DataDamaged`, `OSError`."""
        if not history.has(self._head):  # the log was restored
            self._forget()
        head = history.head()
        for day, instants in self.instants.items():
            window = Window(int(instants[0]), int(instants[-1]) + 1)
            for kind in (PartKind.ROWS, PartKind.CORRECTIONS):
                parts = [
                    stored
                    for stored in history.parts_in(window, head.number, after=self._head.number)
                    if stored.part.kind == kind and _holds(stored, instants)
                ]
                self._tables[day, kind] += [self._read(load, kind, instants) for load in loads_of(parts)]
        self._head = head

    def _read(self, parts: Sequence[StoredPart], kind: PartKind, instants: Integers) -> pa.Table:
        self.searched_rows += sum(stored.part.rows for stored in parts)
        if kind is PartKind.CORRECTIONS:
            return read_parts_at(corrections_of(self.dataset), self._folder, parts, instants)[0]
        return read_rows_at(self.dataset, self._folder, parts, instants)


def _holds(stored: StoredPart, instants: Integers) -> bool:
    """Return whether one of the instants is between the first and the last event time of a part."""
    first, end = instants.searchsorted([stored.part.first_ns, stored.part.last_ns + 1])
    return bool(first < end)
