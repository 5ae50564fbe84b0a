"""One log of the store in memory: its commits, every version of its rows, and their iteration."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa

from store.arrays import Integers
from store.bars.prints import STANDS
from store.commits import Facts, digest_of
from store.content_hash import ContentHash
from store.declarations import Dataset
from store.exceptions import RequestKeyReused
from store.expiries import NOTHING_EXPIRED, ExpiredDates
from store.protocol import (
    NO_COMMIT,
    NOTHING_COMPLETE,
    Action,
    Amendment,
    Append,
    CommitId,
    Completeness,
    Receipt,
    Window,
)
from store.rows.corrections import Row
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
from store.whole_commits import correction_batch


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
    def facts(self) -> Facts:
        return self.record.facts

    @property
    def committed_at(self) -> int:
        return self.facts.committed_at


@dataclass
class MemoryLog:
    """Commits and row versions; versions of one arrival number are in the order in which they were made."""

    commits: list[MemoryCommit] = field(default_factory=list)
    versions: list[RowVersion] = field(default_factory=list)

    @property
    def head(self) -> CommitId:
        return self.commits[-1].id if self.commits else NO_COMMIT

    @property
    def expired(self) -> ExpiredDates:
        """The dates of which rows have expired."""
        return reduce(ExpiredDates.after, (commit.facts for commit in self.commits), NOTHING_EXPIRED)

    @property
    def originals(self) -> dict[int, RowVersion]:
        """The first version of each row, by arrival number."""
        return {version.arrival: version for version in reversed(self.versions)}


def event_time(row: Row) -> int:
    time_ns = row["timestamp"]
    assert isinstance(time_ns, int)  # the dataset's first column
    return time_ns


def date_of(row: Row) -> int:
    return event_time(row) // DAY_NS


def replayed_receipt(log: MemoryLog, request: Append | Amendment) -> Receipt | None:
    for commit in log.commits:
        is_asked_for = (commit.facts.caller, commit.facts.key_hash) == (request.caller, request.key_hash)
        if request.key_hash is not None and is_asked_for:
            if commit.facts.digest != digest_of(request):
                raise RequestKeyReused
            return commit.facts.receipt(commit.id.hash, replayed=True)
    return None


@dataclass(frozen=True)
class MemoryRows:
    """The `StoredVersions` of a log in memory."""

    dataset: Dataset
    log: MemoryLog

    def versions(self, times: Integers) -> pa.Table:
        at = {*times.tolist()}
        return stored_rows_of(self.dataset, self.log, lambda row: event_time(row) in at)

    def rows_of(self, commits: Sequence[int], window: Window) -> pa.Table:
        return stored_rows_of(self.dataset, self.log)

    def fills(self, window: Window) -> list[int]:
        facts = (commit.facts for commit in self.log.commits)
        return [each.number for each in facts if each.fill and each.fill.window.overlaps(window)]


def completeness_of(log: MemoryLog, number: int) -> Completeness:
    """Return the log's completeness after a commit."""
    completeness = NOTHING_COMPLETE
    for version in log.originals.values():
        if version.commit <= number:
            committed_at = log.commits[version.commit - 1].committed_at
            newest_ns = min(event_time(version.values), committed_at)
            completeness = completeness.joined(newest_ns, completeness.complete_until_ns)
    for commit in log.commits[:number]:
        declared_ns = commit.facts.complete_until_ns
        if declared_ns is not None:
            completeness = completeness.joined(completeness.newest_ns, declared_ns)
    return completeness


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
    commit.corrections.append(CommittedCorrection(action, target, ordinal, arrival, standing.values, after))
    commit.dates.add(date_of(row))


def first_arrival(log: MemoryLog, number: int) -> int:
    """Return the arrival number of a commit's first row."""
    return min(row.arrival for row in log.originals.values() if row.commit == number)


def stored_rows_of(
    dataset: Dataset, log: MemoryLog, is_wanted: Callable[[Row], bool] = lambda _: True
) -> pa.Table:
    rows = [
        {**version.values, "arrival": version.arrival, "commit": version.commit, "until": version.until}
        for version in log.versions
        if is_wanted(version.values)
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(dataset))


def pieces_after(
    dataset: Dataset, log: MemoryLog, after: LogPosition, upto: int | None
) -> Iterator[CommitPiece]:
    """Yield the pieces after a position, which must be in the log."""
    for commit in log.commits[max(after.commit.number - 1, 0) : upto]:
        is_begun = commit.id == after.commit
        is_read = is_begun and after.ordinal >= commit.record.length
        if not is_read and min(commit.dates, default=2**31) * DAY_NS < log.expired.removed_before_ns:
            raise log.expired.error(dataset, "the log")
        if not is_begun:
            yield commit.record
        yield from _rows_and_corrections(dataset, log, commit, after.ordinal if is_begun else 0)


def has_position(log: MemoryLog, position: LogPosition) -> bool:
    """Return whether a position is in this log."""
    ids = [NO_COMMIT, *(commit.id for commit in log.commits)]
    return position.commit in ids


def content_of_newest(dataset: Dataset, log: MemoryLog) -> str:
    """Return the `ContentHash` of the newest commit."""
    content = ContentHash(dataset)
    for piece in _rows_and_corrections(dataset, log, log.commits[-1], 0):
        if isinstance(piece, CommittedRows):
            content.add_rows(piece.rows)
        else:
            content.add_corrections(correction_batch(dataset, piece))
    return content.hexdigest()


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
