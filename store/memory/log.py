"""One log of the store in memory: its commits, every version of its rows, and their iteration."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from store.bars.prints import STANDS
from store.declarations import Dataset
from store.exceptions import RequestKeyReused
from store.protocol import (
    CLOCKS_APART_NS,
    NO_COMMIT,
    NOTHING_COMPLETE,
    Action,
    Amendment,
    Append,
    CommitId,
    Completeness,
    Dedupe,
    Receipt,
)
from store.rows.corrections import Row, RowHistory
from store.rows.duplicates import IdentifiedRow, stored_rows_among
from store.rows.stored_rows import stored_schema
from store.timestamps import DAY_NS
from store.walk import (
    PIECE_ROWS,
    CommitPiece,
    CommitRecord,
    CommittedCorrection,
    CommittedCorrections,
    CommittedRows,
    LogPosition,
)


@dataclass
class RowVersion:
    """A row's values from one commit until another (exclusive)."""

    arrival: int
    commit: int
    values: Row
    until: int = STANDS


@dataclass(frozen=True)
class MemoryCommit:
    """A commit's record, the event dates that it touches, and its corrections in the order of `commits`."""

    record: CommitRecord
    dates: set[int]
    corrections: list[CommittedCorrection] = field(default_factory=list)

    @property
    def id(self) -> CommitId:
        return self.record.id

    @property
    def committed_at(self) -> int:
        return self.record.committed_at


@dataclass
class MemoryLog:
    """Commits and row versions; versions of one arrival number are in the order in which they were made."""

    commits: list[MemoryCommit] = field(default_factory=list)
    versions: list[RowVersion] = field(default_factory=list)

    @property
    def head(self) -> CommitId:
        return self.commits[-1].id if self.commits else NO_COMMIT

    @property
    def originals(self) -> dict[int, RowVersion]:
        """The first version of each row, by arrival number."""
        return {version.arrival: version for version in reversed(self.versions)}


def own_values(dataset: Dataset, rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the dataset's `own_columns`. Digests are made from these."""
    return [{column.name: row[column.name] for column in dataset.own_columns} for row in rows]


def event_time(row: Row) -> int:
    time_ns = row["timestamp"]
    assert isinstance(time_ns, int)  # noqa: S101 the dataset's first column
    return time_ns


def date_of(row: Row) -> int:
    return event_time(row) // DAY_NS


def digest_of(request: Append | Amendment) -> str:
    """Return a digest that identifies a batch."""
    values: Sequence[object] = (
        [
            *own_values(request.dataset, request.rows.to_pylist()),
            request.complete_until_ns,
            request.fill,
            request.replaces,
        ]
        if isinstance(request, Append)
        else [
            replace(each, named=dict(sorted(each.named.items())), new=dict(sorted(each.new.items())))
            for each in request.corrections
        ]
    )
    return hashlib.sha256(repr(values).encode()).hexdigest()


def replayed_receipt(log: MemoryLog, request: Append | Amendment) -> Receipt | None:
    for record in (commit.record for commit in log.commits):
        is_asked_for = (record.caller, record.key_hash) == (request.caller, request.key_hash)
        if request.key_hash is not None and is_asked_for:
            if record.digest != digest_of(request):
                raise RequestKeyReused
            return replace(record.receipt, replayed=True, stored_bytes=0)
    return None


def duplicates_of(batch: Append, rows: list[Row], log: MemoryLog, ignored: Collection[int] = ()) -> list[int]:
    """Return the indices of the rows that are stored. ignored: arrival numbers that do not count as stored."""
    if batch.dedupe is Dedupe.NONE:
        return []
    if batch.dedupe is Dedupe.BATCH:
        digest = digest_of(batch)
        is_stored = any(commit.record.digest == digest for commit in log.commits)
        return list(range(len(rows))) if is_stored else []
    stored = defaultdict(list)
    originals = {id(version) for version in log.originals.values()}
    for version in log.versions:
        if version.arrival in ignored:
            continue
        row = identified(batch.dataset, 0, version.values)
        if row.has_id or id(version) in originals:
            stored[row.identity].append((row.value, row.later))
    return stored_rows_among(
        [identified(batch.dataset, index, row) for index, row in enumerate(rows)], stored
    )


def identified(dataset: Dataset, index: int, row: Row) -> IdentifiedRow:
    names = [column.name for column in dataset.own_columns]
    later = tuple(row.get(name) for name in dataset.later_names)
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return IdentifiedRow(index, tuple(row[name] for name in names), None, has_id=False, later=later)
    identity = (date_of(row), *(row[name] for name in dataset.id_columns))
    values = tuple(row[name] for name in names if name not in dataset.arrival_columns)
    return IdentifiedRow(index, identity, values, has_id=True, later=later, says_all=dataset.has_complete_ids)


def completeness_of(log: MemoryLog, number: int) -> Completeness:
    """Return the log's completeness after a commit."""
    completeness = NOTHING_COMPLETE
    for version in log.originals.values():
        if version.commit <= number:
            committed_at = log.commits[version.commit - 1].committed_at
            newest_ns = min(event_time(version.values), committed_at + CLOCKS_APART_NS)
            completeness = completeness.joined(newest_ns, completeness.complete_until_ns)
    for commit in log.commits[:number]:
        declared_ns = commit.record.complete_until_ns
        if declared_ns is not None:
            completeness = completeness.joined(completeness.newest_ns, declared_ns)
    return completeness


def row_histories(log: MemoryLog) -> list[RowHistory]:
    histories: dict[int, RowHistory] = {}
    for version in log.versions:
        history = histories.setdefault(version.arrival, RowHistory(version.arrival, []))
        history.states.append(version.values)
        history.stands = version.until == STANDS
    return [histories[arrival] for arrival in sorted(histories)]


def add_rows(log: MemoryLog, rows: Sequence[Row]) -> None:
    """Add rows to the newest commit."""
    arrival, commit = len(log.originals), log.commits[-1]
    log.versions += [RowVersion(arrival + n, commit.id.number, row) for n, row in enumerate(rows)]
    commit.dates.update(map(date_of, rows))


def apply_change(log: MemoryLog, arrival: int, action: Action, row: Row) -> None:
    """Add a correction to the newest commit. row: as in `AppliedCorrection`."""
    commit, target = log.commits[-1], log.originals[arrival].commit
    standing = next(v for v in log.versions if v.arrival == arrival and v.until == STANDS)
    standing.until = commit.id.number
    after = row if action is Action.CORRECT else None
    if after is not None:
        log.versions.append(RowVersion(arrival, commit.id.number, after))
    ordinal = arrival - first_arrival(log, target)
    commit.corrections.append(CommittedCorrection(action, target, ordinal, standing.values, after))
    commit.dates.add(date_of(row))


def first_arrival(log: MemoryLog, number: int) -> int:
    """Return the arrival number of a commit's first row."""
    return min(row.arrival for row in log.originals.values() if row.commit == number)


def stored_rows_of(dataset: Dataset, log: MemoryLog) -> pa.Table:
    rows = [
        {**version.values, "arrival": version.arrival, "commit": version.commit, "until": version.until}
        for version in log.versions
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(dataset))


def pieces_after(
    dataset: Dataset, log: MemoryLog, after: LogPosition, upto: int | None
) -> Iterator[CommitPiece]:
    """Yield the pieces after a position, which must be in the log."""
    for commit in log.commits[max(after.commit.number - 1, 0) : upto]:
        is_begun = commit.id == after.commit
        if not is_begun:
            yield commit.record
        yield from _rows_and_corrections(dataset, log, commit, after.ordinal if is_begun else 0)


def has_position(log: MemoryLog, position: LogPosition) -> bool:
    """Return whether a position is in this log."""
    ids = [NO_COMMIT, *(commit.id for commit in log.commits)]
    return position.commit in ids


def apply_piece(log: MemoryLog, piece: CommitPiece) -> None:
    """Add a piece of another log. Raises `ValueError` unless it is the next piece."""
    if isinstance(piece, CommitRecord):
        is_complete = not log.commits or _newest_commit_length(log) == log.commits[-1].record.length
        if piece.id.number != log.head.number + 1 or not is_complete:
            raise ValueError(f"commit {piece.id.token} does not follow {log.head.token}")
        log.commits.append(MemoryCommit(piece, set()))
        return
    if piece.commit != log.head or piece.ordinal != _newest_commit_length(log):
        raise ValueError(f"row {piece.ordinal} of {piece.commit.token} is not the next one")
    if isinstance(piece, CommittedRows):
        add_rows(log, piece.rows.to_pylist())
        return
    for each in piece.corrections:
        arrival = first_arrival(log, each.target_commit) + each.target_ordinal
        apply_change(log, arrival, each.action, dict(each.before if each.after is None else each.after))


def _rows_and_corrections(
    dataset: Dataset, log: MemoryLog, commit: MemoryCommit, taken: int
) -> Iterator[CommittedRows | CommittedCorrections]:
    rows = [row.values for _, row in sorted(log.originals.items()) if row.commit == commit.id.number]
    for start in range(taken, len(rows), PIECE_ROWS):
        batch = pa.RecordBatch.from_pylist(rows[start : start + PIECE_ROWS], schema=dataset.schema)
        yield CommittedRows(commit.id, start, batch)
    for start in range(max(taken - len(rows), 0), len(commit.corrections), PIECE_ROWS):
        some = tuple(commit.corrections[start : start + PIECE_ROWS])
        yield CommittedCorrections(commit.id, len(rows) + start, some)


def _newest_commit_length(log: MemoryLog) -> int:
    """Return how many rows or corrections the newest commit has."""
    rows = sum(row.commit == log.head.number for row in log.originals.values())
    return rows + len(log.commits[-1].corrections)
