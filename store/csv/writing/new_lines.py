"""What a request adds to a log of files."""

from __future__ import annotations

from dataclasses import dataclass

from store.csv.writing.batch import Chunk, PreparedAmendment, PreparedBatch, correction_chunks
from store.csv.writing.stored_versions import CsvVersions
from store.exceptions import CommitConflict
from store.protocol import Superseded
from store.rows.corrections import changes, correction_lines
from store.rows.decide import decide


@dataclass(frozen=True, slots=True)
class NewLines:
    """The lines that a request adds: its new rows, then corrections, both by event date.

    duplicates: the indices of the other rows, or of corrections that were applied before. superseded, replaced: see `Facts`.
    """

    chunks: tuple[Chunk, ...]
    duplicates: tuple[int, ...]
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0


def new_lines(prepared: PreparedBatch, log: CsvVersions) -> NewLines:
    """Return what a batch adds to the stored and staged rows.

    Raises `IdConflict`, `CommitConflict`, `DataDamaged`.
    """
    batch, stage = prepared.batch, log.stage
    if batch.after is not None and (stage.commits or stage.history.head() != batch.after):
        raise CommitConflict
    decision = decide(batch, log)
    if decision.is_new.all():
        chunks = prepared.chunks
    else:
        kept = (chunk.without(~decision.is_new[chunk.indices]) for chunk in prepared.chunks)
        chunks = tuple(chunk for chunk in kept if chunk.rows.num_rows)
    if decision.corrections is not None:
        chunks += correction_chunks(batch.dataset, batch.symbol, decision.corrections)
    return NewLines(chunks, decision.duplicates, decision.superseded, decision.replaced)


def new_changes(prepared: PreparedAmendment, log: CsvVersions) -> NewLines:
    """Return the corrections that were not applied before.

    Raises `CorrectionTargetMissing`, `CorrectionAmbiguous`, `DataDamaged`.
    """
    amendment = prepared.amendment
    applied = changes(amendment, log.versions(amendment.times))
    indices = {each.index for each in applied}
    others = tuple(index for index in range(prepared.received) if index not in indices)
    lines = correction_lines(amendment.dataset, applied)
    return NewLines(correction_chunks(amendment.dataset, amendment.symbol, lines), others)
