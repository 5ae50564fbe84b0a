"""The commits of a walk, each with all its rows, checked against their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from store import lazy_pyarrow as pa
from store.content_hash import ContentHash
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.protocol import CommitId
from store.rows.stored_rows import ARRIVAL, action_name, corrections_of
from store.walk import CommitPiece, CommitRecord, CommittedCorrections, CommittedRows


@dataclass(frozen=True, slots=True)
class WholeCommit:
    """A commit with its rows, and its corrections in the schema of `corrections_of` the dataset; both by event date."""

    record: CommitRecord
    rows: pa.Table
    lines: pa.Table


def whole_commits(dataset: Dataset, head: CommitId, pieces: Iterable[CommitPiece]) -> Iterator[WholeCommit]:
    """Yield the commits of a walk.

    head: the commit before the first one. Raises `DataDamaged` for a commit that does not follow the one before it, or
    whose rows are not those of its record, and the errors of `pieces`.
    """
    record: CommitRecord | None = None
    rows: list[pa.RecordBatch] = []
    lines: list[pa.RecordBatch] = []
    for piece in pieces:
        if isinstance(piece, CommitRecord):
            if record is not None or not piece.follows(head):
                raise _damaged(head)
            record, rows, lines = piece, [], []
        elif isinstance(piece, CommittedRows):
            rows.append(piece.rows)
        else:
            lines.append(correction_batch(dataset, piece))
        if record is not None and sum(each.num_rows for each in (*rows, *lines)) >= record.length:
            yield _checked(dataset, record, rows, lines)
            head, record = record.id, None
    if record is not None:
        raise _damaged(head)


def correction_batch(dataset: Dataset, piece: CommittedCorrections) -> pa.RecordBatch:
    """Return corrections in the schema of `corrections_of` the dataset."""
    action = action_name(dataset.schema.names)
    lines = [
        {**(each.after or each.before), ARRIVAL.name: each.arrival, action: each.action.value}
        for each in piece.corrections
    ]
    return pa.RecordBatch.from_pylist(lines, schema=corrections_of(dataset).schema)


def _checked(
    dataset: Dataset, record: CommitRecord, rows: list[pa.RecordBatch], lines: list[pa.RecordBatch]
) -> WholeCommit:
    schema = corrections_of(dataset).schema
    commit = WholeCommit(
        record, pa.Table.from_batches(rows, dataset.schema), pa.Table.from_batches(lines, schema)
    )
    content = ContentHash(dataset)
    content.add_rows(commit.rows)
    if lines:
        content.add_corrections(commit.lines)
    counts = commit.rows.num_rows, commit.lines.num_rows
    if counts != (record.facts.rows, record.facts.corrections) or content.hexdigest() != record.facts.content:
        raise DataDamaged(f"commit {record.id.number} has other rows than were committed")
    return commit


def _damaged(head: CommitId) -> DataDamaged:
    return DataDamaged(f"commit {head.number + 1} does not follow the one before it, or lacks rows")
