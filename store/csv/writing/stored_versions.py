"""The rows of a log with which a batch is compared: those that are stored, and those that are staged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, distinct
from store.bars.prints import STANDS
from store.csv.derived.tail import ROWS_OF_A_READ
from store.csv.files.commit_records import PartKind, StoredPart, loads_of, of_kind
from store.csv.files.part_reader import corrections_table, read_corrections, read_rows, rows_table
from store.csv.log.history import CommitHistory
from store.csv.reading.log_reader import LogReader, ReadState
from store.csv.writing.batch import Chunk
from store.csv.writing.staging import StagedCommits
from store.protocol import Window
from store.rows.stored_rows import apply_corrections, integers, no_rows, passed_values, stored_schema
from store.timestamps import DAY_NS
from store.window_list import WindowList


@dataclass(frozen=True, slots=True)
class CsvVersions:
    """The `StoredVersions` of a log under its lock. Methods raise `DataDamaged`, `OSError`."""

    folder: Path
    reader: LogReader
    stage: StagedCommits

    def versions(self, times: Integers) -> pa.Table | None:
        """See `StoredVersions.versions`."""
        days = distinct(times // DAY_NS).tolist()
        found: list[Integers] = []
        for first_ns, last_ns in filter(None, map(self.stage.history.times_on, days)):
            start, end = times.searchsorted((first_ns, last_ns + 1)).tolist()
            found += [times[start:end]] if start < end else []
        if not found and not any(map(self.stage.staged, days)):
            return None
        return self._with_staged(self._stored(found), days, lambda _, chunk: chunk.has_any_of(times))

    def fills(self, window: Window) -> list[int]:
        """See `StoredVersions.fills`."""
        staged = (each.facts for each in self.stage.commits)
        commits = [each.number for each in staged if each.fill and each.fill.window.overlaps(window)]
        return self.stage.history.fill_commits(window) + commits

    def rows_of(self, commits: Sequence[int], window: Window) -> pa.Table:
        """See `StoredVersions.rows_of`."""

        def read(state: ReadState) -> pa.Table:
            tables = [no_rows(self.reader.dataset)]
            for mapped in state.segments.within(window):
                start, end = mapped.times.searchsorted((window.start_ns, window.end_ns)).tolist()
                arrivals = mapped.column("arrival", start, end)
                is_stored = np.isin(mapped.column("commit", start, end), commits)
                indices = start + np.flatnonzero(np.isin(arrivals, arrivals[is_stored]))
                if len(indices):
                    tables.append(mapped.rows_at(indices))
            for number in commits:
                if number > state.segments.head.number:
                    parts = of_kind(state.history.parts_in(window, number, after=number - 1), PartKind.ROWS)
                    tables += [read_rows(self.reader.dataset, self.folder, load) for load in loads_of(parts)]
            rows, windows = pa.concat_tables(tables), WindowList.of(window)
            rows = rows.filter(pa.array(windows.contains(rows.column(0).to_numpy())))
            corrections = self.reader.corrections(windows, state) if state.has_tail else None
            return apply_corrections(rows, corrections) if corrections else rows

        stored = self.reader.with_state(self.stage.history, None, read)
        first, last = window.start_ns // DAY_NS, window.end_ns // DAY_NS
        days = [day for day in self.stage.days() if first <= day <= last]
        return self._with_staged(stored, days, lambda part, _: part.commit in commits)

    def keep_new(self, history: CommitHistory) -> None:
        """Keep the staged rows for later reads, now that they are stored. history: has their commits."""
        schema = stored_schema(self.reader.dataset)
        for day in self.stage.days():
            new = [
                (part, chunk.rows) for part, chunk in self.stage.staged(day) if chunk.kind is PartKind.ROWS
            ]
            if sum(part.part.rows for part, _ in new) >= ROWS_OF_A_READ:  # fewer are soon read back
                rows = [rows_table(pa.Table.from_batches([each]), [part]).cast(schema) for part, each in new]
                self.reader.note_stored(day, rows, history)

    def _stored(self, times: Sequence[Integers]) -> pa.Table:
        """Return all versions of the stored rows at some times of each date."""
        if not times:
            return no_rows(self.reader.dataset)
        history = self.stage.history

        def read(state: ReadState) -> pa.Table:
            dates = map(WindowList.at, times)
            return pa.concat_tables([self.reader.versions(each, state, few=True) for each in dates])

        versions = self.reader.with_state(history, None, read)
        ended = versions.column(0).to_numpy()[integers(versions, "until") != STANDS]
        parts = [
            part
            for each in WindowList.at(distinct(ended)).by_date()
            for part in of_kind(history.parts_in(each.bounds), PartKind.CORRECTIONS)
            if each.overlaps(part.part.first_ns, part.part.last_ns)
        ]
        lines = (read_corrections(self.reader.dataset, self.folder, load) for load in loads_of(parts))
        return pa.concat_tables([versions, *(passed_values(versions, each) for each in lines)])

    def _with_staged(
        self, stored: pa.Table, days: Sequence[int], is_needed: Callable[[StoredPart, Chunk], bool]
    ) -> pa.Table:
        """Return the versions with the needed staged rows of some dates, and with all staged corrections of both."""
        staged = [each for day in days for each in self.stage.staged(day)]
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
