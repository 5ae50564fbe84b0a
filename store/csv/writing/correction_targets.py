"""Finds the stored and staged rows to which a batch of corrections may refer, and the corrections that are new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from store import lazy_pyarrow as pa
from store.csv.files.commit_records import PartKind, StoredPart, loads_of, of_kind
from store.csv.files.part_reader import corrections_table, read_corrections, read_rows, rows_table
from store.csv.writing.batch import CorrectionChunk, PreparedAmendment
from store.csv.writing.staging import StagedCommits
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.protocol import Window
from store.rows.corrections import RowHistory, changes
from store.rows.stored_rows import ACTION, ARRIVAL
from store.timestamps import DAY_NS


def new_changes(
    request: PreparedAmendment, stage: StagedCommits, folder: Path
) -> tuple[tuple[CorrectionChunk, ...], tuple[int, ...]]:
    """Return the new corrections by event date, and the indices of corrections that were applied before.

    Raises `CorrectionTargetMissing`, `CorrectionAmbiguous`, `DataDamaged`.
    """
    amendment = request.amendment
    instants: dict[int, set[int]] = defaultdict(set)
    for correction in amendment.corrections:
        instants[correction.timestamp_ns // DAY_NS].add(correction.timestamp_ns)
    histories = [
        history
        for day in sorted(instants)
        for history in _row_histories(
            _RowsOfDate(amendment.dataset, folder, stage, day, sorted(instants[day]))
        )
    ]
    applied = changes(amendment.corrections, histories)
    applied_indices = {change.index for change in applied}
    return request.chunks(applied), tuple(
        index for index in range(request.received) if index not in applied_indices
    )


class _RowsOfDate:
    """The rows and corrections of one event date at some event times. All were stored or staged before the batch."""

    def __init__(
        self, dataset: Dataset, folder: Path, stage: StagedCommits, day: int, instants: list[int]
    ) -> None:
        self.dataset = dataset
        self._folder = folder
        self._stage = stage
        self._day = day
        self._instants = pa.array(instants, pa.int64())
        self._window = Window(instants[0], instants[-1] + 1)

    def rows(self) -> Iterator[pa.Table]:
        """Yield the rows as they came in, in order of arrival."""
        for parts in self._loads(PartKind.ROWS):
            yield self._at_instants(read_rows(self.dataset, self._folder, parts))
        for part, chunk in self._stage.staged(self._day):
            if chunk.kind == PartKind.ROWS:
                yield self._at_instants(rows_table(pa.Table.from_batches([chunk.rows]), [part]))

    def corrections(self) -> Iterator[pa.Table]:
        """Yield the corrections in the order in which they were made."""
        for parts in self._loads(PartKind.CORRECTIONS):
            yield self._at_instants(read_corrections(self.dataset, self._folder, parts))
        for part, chunk in self._stage.staged(self._day):
            if chunk.kind == PartKind.CORRECTIONS:
                yield self._at_instants(corrections_table(pa.Table.from_batches([chunk.rows]), [part]))

    def _loads(self, kind: PartKind) -> Iterator[list[StoredPart]]:
        """Yield the stored parts of one kind in lists of bounded size."""
        return loads_of(of_kind(self._stage.history.parts_in(self._window), kind))

    def _at_instants(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table.column(0), self._instants))


def _row_histories(date: _RowsOfDate) -> list[RowHistory]:
    names = date.dataset.schema.names
    histories: dict[int, RowHistory] = {}
    for table in date.rows():
        for row in table.to_pylist():
            histories[row[ARRIVAL.name]] = RowHistory(
                row[ARRIVAL.name], [{name: row[name] for name in names}]
            )
    for table in date.corrections():
        for row in table.to_pylist():
            histories[row[ARRIVAL.name]].apply(row[ACTION.name], {name: row[name] for name in names})
    return list(histories.values())
