"""One log of the store in memory: its commits, and every state that each of its rows has had."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from store.bars.prints import STANDS
from store.declarations import Dataset
from store.exceptions import RequestKeyReused
from store.protocol import ALL_TIME, NO_COMMIT, Action, Amendment, Append, CommitId, Dedupe, Receipt
from store.rows.corrections import Change, Life, Row
from store.rows.duplicates import Identified, said_before
from store.rows.visible import stored_schema
from store.timestamps import DAY_NS


@dataclass
class RowVersion:
    """A row's values from a commit on, until another."""

    arrival: int
    commit: int
    values: Row
    until: int = STANDS


@dataclass(frozen=True)
class MemoryCommit:
    id: CommitId
    committed_at: int
    request: object
    dates: set[int]
    answer_to: tuple[str, str] | None
    receipt: Receipt


@dataclass
class MemoryLog:
    """Versions of one arrival number follow one another in the order in which they were made."""

    commits: list[MemoryCommit] = field(default_factory=list)
    versions: list[RowVersion] = field(default_factory=list)

    @property
    def head(self) -> CommitId:
        return self.commits[-1].id if self.commits else NO_COMMIT

    @property
    def originals(self) -> dict[int, RowVersion]:
        """By arrival number, the rows as they came in."""
        return {version.arrival: version for version in reversed(self.versions)}


def newest_time_before(log: MemoryLog, commit: int) -> int:
    """The time of the newest row that came before a commit; the least there is without any."""
    times = [version.values["timestamp"] for version in log.versions if version.commit < commit]
    return max((time for time in times if isinstance(time, int)), default=ALL_TIME.start_ns)


def first_form(dataset: Dataset, rows: Sequence[Row]) -> list[Row]:
    """Rows without later columns: what tells one batch from another."""
    names = dataset.first_form.schema.names
    return [{name: row[name] for name in names} for row in rows]


def date_of(row: Row) -> int:
    time_ns = row["timestamp"]
    assert isinstance(time_ns, int)  # noqa: S101 the dataset's first column
    return time_ns // DAY_NS


def replayed_receipt(
    log: MemoryLog, request: Append | Amendment, content: Sequence[object]
) -> Receipt | None:
    for commit in log.commits:
        if request.key_hash is not None and commit.answer_to == (request.caller, request.key_hash):
            if commit.request != content:
                raise RequestKeyReused
            return replace(commit.receipt, replayed=True)
    return None


def duplicates_of(batch: Append, rows: list[Row], log: MemoryLog) -> list[int]:
    if batch.dedupe is Dedupe.NONE:
        return []
    if batch.dedupe is Dedupe.BATCH:
        said = first_form(batch.dataset, rows)
        known = any(commit.request == said for commit in log.commits)
        return list(range(len(rows))) if known else []
    stored = defaultdict(list)
    originals = {id(version) for version in log.originals.values()}
    for version in log.versions:
        row = _identified(batch.dataset, 0, version.values)
        if row.has_id or id(version) in originals:
            stored[row.identity].append((row.value, row.later))
    return said_before([_identified(batch.dataset, place, row) for place, row in enumerate(rows)], stored)


def _identified(dataset: Dataset, place: int, row: Row) -> Identified:
    names = dataset.first_form.schema.names
    later = tuple(row.get(name) for name in dataset.later_names)
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return Identified(place, tuple(row[name] for name in names), None, has_id=False, later=later)
    identity = (date_of(row), *(row[name] for name in dataset.id_columns))
    said = tuple(row[name] for name in names if name not in dataset.arrival_columns)
    return Identified(place, identity, said, has_id=True, later=later)


def lives_of(log: MemoryLog) -> list[Life]:
    lives: dict[int, Life] = {}
    for version in log.versions:
        life = lives.setdefault(version.arrival, Life(version.arrival, []))
        life.states.append(version.values)
        life.stands = version.until == STANDS
    return [lives[arrival] for arrival in sorted(lives)]


def apply_change(log: MemoryLog, change: Change, number: int) -> None:
    standing = next(v for v in log.versions if v.arrival == change.arrival and v.until == STANDS)
    standing.until = number
    if change.action is Action.CORRECT:
        log.versions.append(RowVersion(change.arrival, number, change.row))


def stored_rows_of(dataset: Dataset, log: MemoryLog) -> pa.Table:
    rows = [
        {**version.values, "arrival": version.arrival, "commit": version.commit, "until": version.until}
        for version in log.versions
    ]
    return pa.Table.from_pylist(rows, schema=stored_schema(dataset))
