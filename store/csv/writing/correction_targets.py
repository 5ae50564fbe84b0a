"""Finds the corrections of a batch that are new, by the stored and staged rows to which they may refer."""

from __future__ import annotations

from collections.abc import Iterator

from store import lazy_pyarrow as pa
from store.csv.files.commit_records import PartKind
from store.csv.files.part_reader import rows_table
from store.csv.writing.batch import CorrectionChunk, PreparedAmendment, correction_chunks
from store.csv.writing.candidate_rows import CandidateRows
from store.csv.writing.staging import StagedCommits
from store.lazy_imports import compute as pc
from store.rows.corrections import RowHistory, changes, correction_lines, row_histories


def new_changes(
    request: PreparedAmendment, stage: StagedCommits
) -> tuple[tuple[CorrectionChunk, ...], tuple[int, ...]]:
    """Return the new corrections by event date, and the indices of corrections that were applied before.

    Raises `CorrectionTargetMissing`, `CorrectionAmbiguous`, `DataDamaged`.
    """
    candidates = request.candidates
    candidates.read(stage.history)
    histories = [history for day in candidates.instants for history in _histories(candidates, stage, day)]
    applied = changes(request.amendment, histories)
    applied_indices = {change.index for change in applied}
    others = tuple(index for index in range(request.received) if index not in applied_indices)
    lines = correction_lines(request.dataset, applied)
    return correction_chunks(request.dataset, request.amendment.symbol, lines), others


def _histories(candidates: CandidateRows, stage: StagedCommits, day: int) -> list[RowHistory]:
    """Return the rows of a date at the candidates' event times, in order of arrival. The candidates must be read."""
    return row_histories(
        candidates.dataset,
        (*candidates.rows(day), *_staged(candidates, stage, day, PartKind.ROWS)),
        (*candidates.corrections(day), *_staged(candidates, stage, day, PartKind.CORRECTIONS)),
    )


def _staged(candidates: CandidateRows, stage: StagedCommits, day: int, kind: PartKind) -> Iterator[pa.Table]:
    """Yield the staged rows or corrections at the batch's event times, in order."""
    instants = pa.array(candidates.instants[day])
    for part, chunk in stage.staged(day):
        if chunk.kind == kind:
            table = pa.Table.from_batches([chunk.rows])
            table = rows_table(table, [part]) if kind == PartKind.ROWS else table
            yield table.filter(pc.is_in(table.column(0), instants))
