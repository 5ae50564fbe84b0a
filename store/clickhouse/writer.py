"""Writes batches as commits: rows to ClickHouse, then the records to PostgreSQL, under the log's lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.clickhouse.catalogue import (
    NO_WINDOW,
    Catalogue,
    LockedLog,
    StoredLog,
    attempt_age_seconds,
    new_attempt,
)
from store.clickhouse.newest import NewestCommits
from store.clickhouse.row_tables import NewCommit, RowTables, SeenRows, among, in_window
from store.clickhouse.servers import LOCK_SECONDS
from store.commit_clock import CommitClock
from store.commits import Facts, chained, digest_of, encode_facts
from store.content_hash import ContentHash, TableHash
from store.declarations import Dataset
from store.exceptions import CommitConflict, RequestKeyReused, StoreBusy, StoreUnavailable, UnknownSymbol
from store.protocol import (
    ALL_TIME,
    DUPLICATE_ROWS_KEPT,
    Amendment,
    Append,
    CommitId,
    Dedupe,
    Receipt,
    Superseded,
    Window,
)
from store.rows.corrections import changes, correction_lines
from store.rows.decide import decide
from store.rows.stored_rows import corrections_of, no_rows
from store.timestamps import DAY_NS
from store.walk import CommitRecord
from store.whole_commits import WholeCommit

# An attempt that is older failed. A process gives up its own one at half this age; and a server of ClickHouse ends a connection
# on which nothing was sent for an hour, so that no insert of a stopped process comes later.
_OLD_SECONDS = 24 * 3_600
LogKey = tuple[Dataset, str]


@dataclass(frozen=True, slots=True)
class ComputedAppend:
    """A batch, and what is computed of it before the log is locked.

    window: the event dates on which stored rows are looked for. rows: by event date. order: the indices of these rows in
    the batch.
    """

    batch: Append
    window: Window
    rows: pa.Table
    order: Integers
    content: str
    digest: str

    @classmethod
    def of(cls, batch: Append) -> ComputedAppend:
        """Compute what needs no lock."""
        days = batch.rows.column(0).to_numpy() // DAY_NS
        order, window = np.argsort(days, kind="stable"), NO_WINDOW
        if len(days) and batch.dedupe is Dedupe.ROWS:
            window = Window(int(days.min()) * DAY_NS, (int(days.max()) + 1) * DAY_NS)
        rows = pa.Table.from_batches([batch.rows])
        if len(days) and days.min() != days.max():
            rows = rows.take(pa.array(order))
        content = rows_hash = _content(batch.dataset, rows, None)
        own = TableHash(batch.dataset.own_columns)
        names = {column.name for column in batch.dataset.own_columns}
        others = [name for name in batch.dataset.schema.names if name not in names]
        if (order[1:] < order[:-1]).any() or any(rows.column(each).null_count < len(rows) for each in others):
            own.add(batch.rows)
            rows_hash = own.hexdigest()
        return cls(batch, window, rows, order, content, digest_of(batch, rows_hash))


def _content(dataset: Dataset, rows: pa.Table, lines: pa.Table | None) -> str:
    content = ContentHash(dataset)
    content.add_rows(rows)
    if lines is not None and lines.num_rows:
        content.add_corrections(lines)
    return content.hexdigest()


class _Additions(NamedTuple):
    """What a request adds. duplicates: the indices of the batch's other rows, or of corrections applied before."""

    rows: pa.Table
    lines: pa.Table
    content: str
    duplicates: tuple[int, ...]
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0


class ClusterWriter:
    """Commits batches to the logs of a store. Threads of one process that write to one log take turns."""

    def __init__(
        self, catalogue: Catalogue, newest: NewestCommits, tables: RowTables, clock: CommitClock
    ) -> None:
        self._catalogue = catalogue
        self._newest = newest
        self._tables = tables
        self._clock = clock
        self._mutexes: dict[LogKey, threading.Lock] = {}
        self._attempts: dict[int, int] = {}

    def append(self, prepared: ComputedAppend) -> Receipt:
        """Store a batch of rows; see `MarketStore.append`."""
        batch = prepared.batch
        key = (batch.dataset, batch.symbol)
        with self._turn(key), self._catalogue.locked(*key, self._log_number(key), prepared.window) as log:
            if batch.after not in {None, log.state.head}:
                raise CommitConflict
            replayed = _replayed(log, batch, prepared.digest)
            if replayed is not None:
                return replayed
            log.state.expired.check_new(batch)
            change = self._change(prepared, log)
            declared_ns = batch.complete_until_ns
            is_fact = (batch.request_key, batch.fill, batch.expiry) != (None, None, None)
            if declared_ns is not None:
                is_fact |= declared_ns > log.state.completeness.complete_until_ns
            return self._commit(log, batch, prepared.digest, change, is_fact=is_fact)

    def correct(self, amendment: Amendment) -> Receipt:
        """Apply a batch of corrections; see `MarketStore.correct`."""
        dataset, key = amendment.dataset, (amendment.dataset, amendment.symbol)
        state = self._newest.state(*key)
        if state is None or not state.head.number:
            raise UnknownSymbol(amendment.symbol)
        with self._turn(key), self._catalogue.locked(*key, state.id) as log:
            digest = digest_of(amendment)
            replayed = _replayed(log, amendment, digest)
            if replayed is not None:
                return replayed
            log.state.expired.check_new(amendment)
            versions = _ClusterVersions(dataset, self._catalogue, self._tables, log)
            applied = changes(amendment, versions.at(amendment.times))
            indices = {each.index for each in applied}
            others = tuple(each for each in range(len(amendment.corrections)) if each not in indices)
            lines = _by_date(pa.Table.from_batches([correction_lines(dataset, applied)]))
            rows = dataset.schema.empty_table()
            change = _Additions(rows, lines, _content(dataset, rows, lines), others)
            return self._commit(log, amendment, digest, change, is_fact=amendment.request_key is not None)

    def add(self, key: LogKey, base: CommitId, commits: Sequence[WholeCommit]) -> None:
        """Store commits of another log; see `Log.add_commits`."""
        with self._turn(key), self._catalogue.locked(*key, self._log_number(key)) as log:
            if log.state.head != base:
                raise StoreUnavailable(
                    f"{key[1]} is not at commit {base.token} any more: something else writes to it"
                )
            self._store(key[0], log, [NewCommit(each.record, each.rows, each.lines) for each in commits])

    @contextmanager
    def _turn(self, key: LogKey) -> Iterator[None]:
        """Hold a log's mutex. Raises `StoreBusy`."""
        mutex = self._mutexes.setdefault(key, threading.Lock())
        if not mutex.acquire(timeout=LOCK_SECONDS):
            raise StoreBusy("another thread writes to the log: retry")
        try:
            yield
        finally:
            mutex.release()

    def remove_expired(self, key: LogKey) -> int:
        """See `MarketStore.remove_expired`. The servers delete the rows in the background."""
        state = self._newest.state(*key)
        if state is None:
            raise UnknownSymbol(key[1])
        freed = self.bytes_before(key, state.expired.removed_before_ns)
        self._tables.remove(key[0], state.id, f"timestamp < {state.expired.removed_before_ns}")
        return freed

    def bytes_before(self, key: LogKey, before_ns: int) -> int:
        """See `MarketStore.bytes_before`."""
        state = self._newest.state(*key)
        if state is None:
            return 0
        stored = state.rows_until(key[0], state.head.number)
        rows = self._tables.count(stored, Window(ALL_TIME.start_ns, before_ns))
        return int(rows * self._tables.row_bytes(key[0])) if rows else 0

    def _change(self, prepared: ComputedAppend, log: LockedLog) -> _Additions:
        batch = prepared.batch
        decision = decide(batch, _ClusterVersions(batch.dataset, self._catalogue, self._tables, log))
        rows, lines, content = prepared.rows, _no_lines(batch.dataset), prepared.content
        if not decision.is_new.all():
            is_new = decision.is_new[prepared.order]
            rows = rows.filter(pa.array(is_new))
        if decision.corrections is not None:
            lines = pa.Table.from_batches([decision.corrections])
        if rows is not prepared.rows or lines.num_rows:
            content = _content(batch.dataset, rows, lines)
        duplicates, superseded, replaced = decision.duplicates, decision.superseded, decision.replaced
        return _Additions(rows, lines, content, duplicates, superseded, replaced)

    def _commit(
        self, log: LockedLog, request: Append | Amendment, digest: str, change: _Additions, *, is_fact: bool
    ) -> Receipt:
        received = request.rows.num_rows if isinstance(request, Append) else len(request.corrections)
        duplicates = change.duplicates[:DUPLICATE_ROWS_KEPT]
        if not (change.rows.num_rows or change.lines.num_rows or is_fact):
            return Receipt(received, 0, duplicates, log.state.head)
        complete_until_ns, fill, expiry = None, None, None
        if isinstance(request, Append):
            complete_until_ns, fill, expiry = request.complete_until_ns, request.fill, request.expiry
        facts = Facts(
            number=log.state.head.number + 1,
            committed_at=self._clock.next_time(
                f"{request.dataset.name}/{request.symbol}", log.state.committed_at
            ),
            caller=request.caller,
            digest=digest,
            received=received,
            rows=change.rows.num_rows,
            corrections=change.lines.num_rows,
            content=change.content,
            duplicate_rows=duplicates,
            key_hash=request.key_hash,
            complete_until_ns=complete_until_ns,
            fill=fill,
            superseded=change.superseded,
            replaced=change.replaced,
            expiry=expiry,
        )
        commit_hash = chained(log.state.head.hash, encode_facts(facts))
        record = CommitRecord(CommitId(facts.number, commit_hash), facts)
        self._store(request.dataset, log, [NewCommit(record, change.rows, change.lines)])
        return record.receipt

    def _store(self, dataset: Dataset, log: LockedLog, commits: Sequence[NewCommit]) -> None:
        """Store commits. Their records are made while the shards store the rows, and become valid after that."""
        if not self._tables.are_known(dataset):
            # In this order: another process may store the first rows meanwhile.
            if dataset in self._catalogue.stored_datasets():
                self._tables.check([dataset])
            else:
                self._tables.make(dataset)
        attempt = self._attempts.pop(log.state.id, None)
        if attempt is None or attempt_age_seconds(attempt) > _OLD_SECONDS / 2:
            attempt = new_attempt()
            self._catalogue.register(log.state.id, attempt)
            self._remove_abandoned(dataset, log.state)
        # If this fails, the attempt stays registered, and what it inserted is not seen.
        following = new_attempt()
        with self._tables.inserting(dataset, log.state.id, attempt, commits, log.state.rows):
            state = log.record(commits, attempt, following)
        log.commit()
        self._attempts[state.id] = following
        self._newest.note(*log.name, state)

    def _remove_abandoned(self, dataset: Dataset, state: StoredLog) -> None:
        """Remove what attempts inserted that nobody can go on with; forget them once nothing of them is left."""
        old = [each for each in state.attempts if attempt_age_seconds(each) > _OLD_SECONDS]
        if old and self._tables.remove(dataset, state.id, f"_attempt IN ({','.join(map(str, old))})"):
            self._catalogue.forget(state.id, old)

    def _log_number(self, key: LogKey) -> int:
        """Return a log's number; it is made if it did not exist."""
        state = self._newest.state(*key)
        return self._catalogue.log_get_or_create(*key).id if state is None else state.id


def _replayed(log: LockedLog, request: Append | Amendment, digest: str) -> Receipt | None:
    """Return the receipt stored under the batch's idempotency key, or None. Raises `RequestKeyReused`."""
    record = None if request.key_hash is None else log.accepted(request.caller, request.key_hash)
    if record is None:
        return None
    if record.facts.digest != digest:
        raise RequestKeyReused
    return record.facts.receipt(record.id.hash, replayed=True)


@cache
def _no_lines(dataset: Dataset) -> pa.Table:
    return corrections_of(dataset).schema.empty_table()


def _by_date(lines: pa.Table) -> pa.Table:
    return lines.take(pa.array(np.argsort(lines.column(0).to_numpy() // DAY_NS, kind="stable")))


@dataclass(frozen=True, slots=True)
class _ClusterVersions:
    """The `StoredVersions` of a log whose lock is held."""

    dataset: Dataset
    catalogue: Catalogue
    tables: RowTables
    log: LockedLog

    def fills(self, window: Window) -> list[int]:
        """See `StoredVersions.fills`."""
        return self.catalogue.fill_commits(self.log.state, window)

    def versions(self, times: Integers) -> pa.Table | None:
        """See `StoredVersions.versions`."""
        found = [
            times[slice(*times.searchsorted((first_ns, last_ns + 1)))]
            for _, _, first_ns, last_ns in self.log.days
        ]
        found = [each for each in found if len(each)]
        return self.at(np.concatenate(found)) if found else None

    def at(self, times: Integers) -> pa.Table:
        """Return the same without asking first on which dates there are rows."""
        return self.tables.versions(self._stored, among("timestamp", times))

    def rows_of(self, commits: Sequence[int], window: Window) -> pa.Table:
        """See `StoredVersions.rows_of`."""
        if not commits:
            return no_rows(self.dataset)
        also = among("_commit", np.array(commits))
        return self.tables.stored(self._stored, in_window(window), also=also)

    @property
    def _stored(self) -> SeenRows:
        return self.log.state.rows_until(self.dataset, self.log.state.head.number)
