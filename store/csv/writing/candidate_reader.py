"""Finds the stored rows of a log with which new rows are compared: by event time, and by the hashes of their ids."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cachetools import LRUCache

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.csv.derived.tail import ROWS_OF_A_READ
from store.csv.files.commit_records import DateSummary, PartKind, StoredPart, loads_of, of_kind
from store.csv.files.part_reader import read_corrections, read_parts, read_rows, rows_table
from store.csv.log.history import CommitHistory
from store.csv.reading.log_reader import LogReader, ReadState
from store.csv.writing.batch import Chunk
from store.declarations import Dataset
from store.protocol import NO_COMMIT, Window
from store.rows.id_times import IdTimes
from store.rows.row_hashes import searched_ids
from store.rows.stored_rows import apply_corrections, first_versions, no_rows, passed_values, stored_schema
from store.timestamps import DAY_NS
from store.window_list import WindowList

LIMIT_BYTES = 16 * 2**20
_OWN_BYTES = 1_024


class _DateIds:
    """The ids of one event date's rows in the commits after `since` up to `covered`, and perhaps of others."""

    def __init__(self) -> None:
        self.since = 0
        self.covered = NO_COMMIT
        self.index = IdTimes()

    @property
    def nbytes(self) -> int:
        return _OWN_BYTES + self.index.nbytes


class RecentIds:
    """LRU cache of the ids that are in no segment, by event date, for all logs of a store.

    It takes at most `limit_bytes` of memory, or what one date needs if that is more. Dates that are not in the cache
    are read again. A log's dates are used by one thread at a time, under the log's lock.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._dates: LRUCache[tuple[Path, int], _DateIds] = LRUCache(
            limit_bytes, getsizeof=lambda date: min(date.nbytes, limit_bytes)
        )
        self._mutex = threading.Lock()

    def get(self, folder: Path, day: int) -> _DateIds | None:
        """Return what is known of an event date of a log."""
        with self._mutex:
            return self._dates.get((folder, day))

    def put(self, folder: Path, day: int, date: _DateIds) -> None:
        """Cache a date with its current size."""
        with self._mutex:
            self._dates[folder, day] = date


class CandidateReader:
    """Finds stored rows of one log, in all versions. Needs the log's lock. Methods raise `DataDamaged`, `OSError`."""

    def __init__(self, dataset: Dataset, folder: Path, reader: LogReader, ids: RecentIds) -> None:
        self._dataset = dataset
        self._folder = folder
        self._reader = reader
        self._ids = ids

    def versions_at(self, times: Integers, history: CommitHistory) -> pa.Table:
        """Return all versions of the rows at these event times, then `passed_values`. times: ascending and distinct."""

        def read(state: ReadState) -> pa.Table:
            dates = WindowList.at(times).by_date()
            return pa.concat_tables([self._reader.versions(each, state, few=True) for each in dates])

        versions = self._reader.with_state(history, None, read)
        corrected = versions.filter(pa.array(~first_versions(versions)))
        if not corrected.num_rows:
            return versions
        loads = loads_of(self._corrections(corrected.column(0).to_numpy(), history))
        lines = (read_corrections(self._dataset, self._folder, load) for load in loads)
        return pa.concat_tables([versions, *(passed_values(versions, each) for each in lines)])

    def times_of(self, day: int, ids: Integers, history: CommitHistory) -> list[Integers]:
        """Return the event times of a date's rows with these `id_hashes`. ids: ascending."""

        def read(state: ReadState) -> list[Integers]:
            window, head = Window(day * DAY_NS, (day + 1) * DAY_NS), state.segments.head.number
            stored = [each.rows.times_of_ids(ids) for each in state.segments.within(window)]
            return [*stored, *self._recent(day, head, history).times(ids)]

        return self._reader.with_state(history, None, read)

    def rows_of(self, commits: Sequence[int], window: Window, history: CommitHistory) -> pa.Table:
        """Return all versions of the rows in a window that these commits stored."""

        def read(state: ReadState) -> pa.Table:
            tables = [no_rows(self._dataset)]
            for mapped in state.segments.within(window):
                start, end = mapped.times.searchsorted((window.start_ns, window.end_ns)).tolist()
                arrivals = mapped.column("arrival", start, end)
                is_stored = np.isin(mapped.column("commit", start, end), commits)
                indices = start + np.flatnonzero(np.isin(arrivals, arrivals[is_stored]))
                if len(indices):
                    tables.append(mapped.rows_at(indices))
            for number in commits:
                if number > state.segments.head.number:
                    parts = of_kind(history.parts_in(window, number, after=number - 1), PartKind.ROWS)
                    tables += [read_rows(self._dataset, self._folder, load) for load in loads_of(parts)]
            rows, windows = pa.concat_tables(tables), WindowList.of(window)
            rows = rows.filter(pa.array(windows.contains(rows.column(0).to_numpy())))
            corrections = self._reader.corrections(windows, state) if state.has_tail else None
            return apply_corrections(rows, corrections) if corrections else rows

        return self._reader.with_state(history, None, read)

    def note_stored(
        self,
        day: int,
        chunks: Sequence[tuple[StoredPart, Chunk]],
        history: CommitHistory,
        before: DateSummary | None,
    ) -> None:
        """Note rows of a date that have just been stored. before: the date's summary without them."""
        new = [(part, chunk.rows) for part, chunk in chunks if chunk.kind is PartKind.ROWS]
        if sum(part.part.rows for part, _ in new) >= ROWS_OF_A_READ:  # fewer are soon read back
            schema = stored_schema(self._dataset)
            rows = [rows_table(pa.Table.from_batches([each]), [part]).cast(schema) for part, each in new]
            self._reader.note_stored(day, rows, history)
        date = self._ids.get(self._folder, day)
        if date is None and before is None and any(chunk.ids is not None for _, chunk in chunks):
            date = _DateIds()
        if date is None:
            return
        if before is None or (history.has(date.covered) and before.newest <= date.covered.number):
            for part, chunk in chunks:
                if chunk.ids is not None:
                    date.index.add(part.commit, chunk.ids, chunk.rows.column(0).to_numpy())
            date.covered = history.head()
            self._ids.put(self._folder, day, date)

    def _corrections(self, times: Integers, history: CommitHistory) -> list[StoredPart]:
        parts = history.parts_in(Window(int(times.min()), int(times.max()) + 1))
        return of_kind(parts, PartKind.CORRECTIONS)

    def _recent(self, day: int, head: int, history: CommitHistory) -> IdTimes:
        """Return the ids of a date's rows in the commits after `head`, and perhaps of others."""
        date = self._ids.get(self._folder, day)
        if date is None or date.since > head or not history.has(date.covered):
            date = _DateIds()
        date.since = head
        date.index.forget(head)
        whole_day = Window(day * DAY_NS, (day + 1) * DAY_NS)
        parts = history.parts_in(whole_day, after=max(head, date.covered.number))
        for load in loads_of(of_kind(parts, PartKind.ROWS)):
            rows = read_parts(self._dataset, self._folder, load)
            ids = searched_ids(self._dataset, rows)
            if ids is not None:
                date.index.add(load[-1].commit, ids, rows.column(0).to_numpy())
        date.covered = history.head()
        self._ids.put(self._folder, day, date)
        return date.index
