"""What a batch of rows adds to a log of files."""

from __future__ import annotations

from dataclasses import dataclass

from store.csv.writing.batch import Chunk, PreparedBatch, correction_chunks
from store.csv.writing.candidate_reader import CandidateReader
from store.csv.writing.candidates import Candidates
from store.csv.writing.staging import StagedCommits
from store.exceptions import CommitConflict
from store.protocol import Superseded
from store.rows.decide import decide


@dataclass(frozen=True, slots=True)
class NewLines:
    """The lines that a request adds: its new rows, then corrections, both by event date.

    duplicates: the indices of the batch's other rows. superseded, replaced: see `Facts`.
    """

    chunks: tuple[Chunk, ...]
    duplicates: tuple[int, ...]
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0


def new_lines(prepared: PreparedBatch, stage: StagedCommits, stored: CandidateReader) -> NewLines:
    """Return what a batch adds to the stored and staged rows.

    Raises `IdConflict`, `CommitConflict`, `DataDamaged`.
    """
    batch = prepared.batch
    if batch.after is not None and (stage.commits or stage.history.head() != batch.after):
        raise CommitConflict
    decision = decide(batch, prepared.ids, Candidates(batch.dataset, stage, stored))
    if decision.is_new.all():
        chunks = prepared.chunks
    else:
        kept = (chunk.without(~decision.is_new[chunk.indices]) for chunk in prepared.chunks)
        chunks = tuple(chunk for chunk in kept if chunk.rows.num_rows)
    if decision.corrections is not None:
        chunks += correction_chunks(batch.dataset, batch.symbol, decision.corrections)
    return NewLines(chunks, decision.duplicates, decision.superseded, decision.replaced)
