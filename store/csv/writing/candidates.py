"""The rows of a log with which a batch is compared: those that are stored, and those that are staged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, distinct
from store.csv.files.commit_records import PartKind, StoredPart
from store.csv.files.part_reader import corrections_table, rows_table
from store.csv.writing.batch import Chunk
from store.csv.writing.candidate_reader import CandidateReader
from store.csv.writing.staging import StagedCommits
from store.declarations import Dataset
from store.protocol import Window
from store.rows.row_hashes import NO_ID
from store.rows.stored_rows import apply_corrections, passed_values
from store.timestamps import DAY_NS


class Candidates:
    """The `CandidateSource` of a log under its lock."""

    def __init__(self, dataset: Dataset, stage: StagedCommits, stored: CandidateReader) -> None:
        self._dataset = dataset
        self._stage = stage
        self._history = stage.history
        self._stored = stored

    def fills(self, window: Window) -> list[int]:
        """See `CandidateSource.fills`."""
        staged = (each.facts for each in self._stage.commits)
        commits = [each.number for each in staged if each.fill and each.fill.window.overlaps(window)]
        return self._history.fill_commits(window) + commits

    def candidates(self, rows: pa.RecordBatch, ids: Integers | None) -> pa.Table | None:
        """See `CandidateSource.candidates`."""
        times = rows.column(0).to_numpy()
        days = times // DAY_NS
        found: list[Integers] = []
        for day in distinct(days).tolist():
            is_own = days == day
            if ids is not None:
                own = np.sort(ids[is_own & (ids != NO_ID)])
                found += self._times_of(day, own) if len(own) else []
                is_own &= ids == NO_ID
            found += self._known_times(day, times, is_own)
        found = [each for each in found if len(each)]
        return self._versions_at(distinct(np.concatenate(found))) if found else None

    def rows_of(self, commits: Sequence[int], window: Window) -> pa.Table:
        """See `CandidateSource.rows_of`."""
        stored = self._stored.rows_of(commits, window, self._history)
        first, last = window.start_ns // DAY_NS, window.end_ns // DAY_NS
        days = [day for day in self._stage.days() if first <= day <= last]
        return self._with_staged(stored, days, lambda part, _: part.commit in commits)

    def _times_of(self, day: int, ids: Integers) -> list[Integers]:
        """Return the event times of a date's stored and staged rows with these ids. ids: ascending."""
        staged = self._stage.times_of(day, ids)
        if self._history.day(day) is None:
            return staged
        return [*self._stored.times_of(day, ids, self._history), *staged]

    def _known_times(self, day: int, times: Integers, is_own: Mask) -> list[Integers]:
        """Return the own event times that are between times of the date's stored or staged rows."""
        stored = self._history.day(day)
        bounds = [chunk.bounds for _, chunk in self._stage.staged(day)]
        if stored is not None:
            bounds.append((stored.first_ns, stored.last_ns))
        if not bounds:
            return []
        first_ns, last_ns = min(first for first, _ in bounds), max(last for _, last in bounds)
        return [times[is_own & (times >= first_ns) & (times <= last_ns)]]

    def _versions_at(self, times: Integers) -> pa.Table:
        """Return all versions of the stored and staged rows at these event times. times: ascending and distinct."""
        stored = self._stored.versions_at(times, self._history)
        days = [day for day in distinct(times // DAY_NS).tolist() if day in self._stage.days()]
        return self._with_staged(stored, days, lambda _, chunk: chunk.has_any_of(times)) if days else stored

    def _with_staged(
        self, stored: pa.Table, days: Sequence[int], is_needed: Callable[[StoredPart, Chunk], bool]
    ) -> pa.Table:
        """Return the versions with the needed staged rows of some dates, and with all staged corrections of both."""
        staged = [each for day in days for each in self._stage.staged(day)]
        rows = [
            rows_table(pa.Table.from_batches([chunk.rows]), [part])
            for part, chunk in staged
            if chunk.kind is PartKind.ROWS and is_needed(part, chunk)
        ]
        table = pa.concat_tables([stored, *(each.cast(stored.schema) for each in rows)])
        corrections = [
            corrections_table(pa.Table.from_batches([chunk.rows]), [part])
            for part, chunk in staged
            if chunk.kind is PartKind.CORRECTIONS
        ]
        if not corrections:
            return table
        applied = pa.concat_tables(corrections)
        return pa.concat_tables([apply_corrections(table, applied), passed_values(table, applied)])
