"""A walk over the commits of a log in memory, and a log in memory made of a walk over another one."""

from collections.abc import Iterator

import pyarrow as pa

from store.declarations import Dataset
from store.memory.log import MemoryCommit, MemoryLog, add_rows, apply_change, first_arrival
from store.protocol import NO_COMMIT
from store.walk import (
    PIECE_ROWS,
    CommitRecord,
    CommittedCorrections,
    CommittedRows,
    Piece,
    Place,
)


def walked(dataset: Dataset, log: MemoryLog, after: Place, upto: int | None) -> Iterator[Piece]:
    """The pieces behind a place that the log has."""
    for commit in log.commits[max(after.commit.number - 1, 0) : upto]:
        is_begun = commit.id == after.commit
        if not is_begun:
            yield commit.record
        yield from _content(dataset, log, commit, after.ordinal if is_begun else 0)


def has_commit(log: MemoryLog, place: Place) -> bool:
    """Whether a place is one in this log."""
    ids = [NO_COMMIT, *(commit.id for commit in log.commits)]
    return place.commit in ids


def take_in(log: MemoryLog, piece: Piece) -> None:
    """Add what a walk over another log yielded. Raises `ValueError` unless it follows what is there."""
    if isinstance(piece, CommitRecord):
        is_whole = not log.commits or _taken(log) == log.commits[-1].record.receipt.stored
        if piece.id.number != log.head.number + 1 or not is_whole:
            raise ValueError(f"commit {piece.id.token} does not follow {log.head.token}")
        log.commits.append(MemoryCommit(piece, set()))
        return
    if piece.commit != log.head or piece.ordinal != _taken(log):
        raise ValueError(f"row {piece.ordinal} of {piece.commit.token} is not the next one")
    if isinstance(piece, CommittedRows):
        add_rows(log, piece.rows.to_pylist())
        return
    for each in piece.corrections:
        arrival = first_arrival(log, each.target_commit) + each.target_ordinal
        apply_change(log, arrival, each.action, dict(each.before if each.after is None else each.after))


def _content(
    dataset: Dataset, log: MemoryLog, commit: MemoryCommit, taken: int
) -> Iterator[CommittedRows | CommittedCorrections]:
    rows = [row.values for _, row in sorted(log.originals.items()) if row.commit == commit.id.number]
    for start in range(taken, len(rows), PIECE_ROWS):
        batch = pa.RecordBatch.from_pylist(rows[start : start + PIECE_ROWS], schema=dataset.schema)
        yield CommittedRows(commit.id, start, batch)
    for start in range(taken, len(commit.corrections), PIECE_ROWS):
        some = tuple(commit.corrections[start : start + PIECE_ROWS])
        yield CommittedCorrections(commit.id, start, some)


def _taken(log: MemoryLog) -> int:
    """How many rows or corrections the newest commit has."""
    rows = sum(row.commit == log.head.number for row in log.originals.values())
    return rows + len(log.commits[-1].corrections)
