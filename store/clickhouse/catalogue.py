"""The commits of all logs, in PostgreSQL. A commit exists if and only if its record does."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psycopg

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.clickhouse.row_tables import LeastCounts, NewCommit, SeenRows
from store.clickhouse.servers import PostgreSql
from store.clickhouse.shard_bars import NO_BITS, BitRange, bits_of
from store.datasets import STORED_DATASETS
from store.declarations import Dataset
from store.exceptions import OutcomeUnknown
from store.expiries import NOTHING_EXPIRED, ExpiredDates
from store.protocol import (
    ALL_TIME,
    NO_COMMIT,
    NOTHING_COMPLETE,
    CommitId,
    Completeness,
    Window,
)
from store.timestamps import DAY_NS
from store.walk import CommitRecord
from store.window_list import WindowList

TABLES = """
CREATE TABLE IF NOT EXISTS store (identity text);
INSERT INTO store SELECT md5(random()::text || clock_timestamp()) WHERE NOT EXISTS (SELECT FROM store);
CREATE TABLE IF NOT EXISTS logs (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL, symbol text NOT NULL,
    number integer NOT NULL DEFAULT 0, hash text NOT NULL DEFAULT repeat('0', 64), committed_at bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0, newest_ns bigint NOT NULL, complete_until bigint NOT NULL,
    has_corrections boolean NOT NULL DEFAULT false, has_fills boolean NOT NULL DEFAULT false,
    has_sequences boolean NOT NULL DEFAULT false, has_conditions boolean NOT NULL DEFAULT false,
    bits smallint[] NOT NULL DEFAULT '{0, 0, 0, 0}', expired text NOT NULL DEFAULT '',
    attempts bigint[] NOT NULL DEFAULT '{}',
    UNIQUE (dataset, symbol));
CREATE TABLE IF NOT EXISTS commits (
    log integer, number integer, hash text NOT NULL, facts bytea NOT NULL, committed_at bigint NOT NULL,
    key bytea, rows_before bigint NOT NULL, newest_ns bigint NOT NULL, complete_until bigint NOT NULL,
    fill_start bigint, fill_end bigint, PRIMARY KEY (log, number));
CREATE UNIQUE INDEX IF NOT EXISTS commits_key ON commits (log, key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS commits_time ON commits (log, committed_at);
CREATE INDEX IF NOT EXISTS commits_fills ON commits (log, fill_start) WHERE fill_start IS NOT NULL;
CREATE INDEX IF NOT EXISTS commits_rows ON commits (log, rows_before, number);
CREATE TABLE IF NOT EXISTS parts (
    log integer, number integer, day integer, is_rows boolean, rows bigint NOT NULL, first_ns bigint NOT NULL,
    last_ns bigint NOT NULL, PRIMARY KEY (log, day, number, is_rows));
CREATE INDEX IF NOT EXISTS parts_number ON parts (log, number);
"""
_Day = tuple[int, int, int, int]
NO_WINDOW = Window(0, 0)
# The channel of notifications, before the schema's name.
CHANNEL = "commits of"
_LARGEST_PAYLOAD = 7_900
_OF_STATE = (
    *("number", "hash", "committed_at", "rows", "newest_ns", "complete_until"),
    *("has_corrections", "has_fills", "has_sequences", "has_conditions", "bits", "expired"),
)
_STATE = f"SELECT id, {', '.join(_OF_STATE)}, attempts FROM logs WHERE "  # noqa: S608
_ALL = _STATE.replace(" FROM", ", dataset, symbol FROM").replace(" WHERE ", "")
# An attempt's number has the time at which it was made in its upper bits.
_ATTEMPT_BITS = 20


class StoredLog(NamedTuple):
    """A log as its newest commit left it.

    id: the log's number in the tables. has_…: whether any row, or commit, ever had one. volumes, notionals: the bits of those of
    all trades. attempts: numbers of inserts that have no commit (yet); their rows are not read.
    """

    id: int
    head: CommitId = NO_COMMIT
    committed_at: int = 0
    rows: int = 0
    completeness: Completeness = NOTHING_COMPLETE
    has_corrections: bool = False
    has_fills: bool = False
    has_sequences: bool = False
    has_conditions: bool = False
    volumes: BitRange = NO_BITS
    notionals: BitRange = NO_BITS
    expired: ExpiredDates = NOTHING_EXPIRED
    attempts: Sequence[int] = ()

    def rows_until(self, dataset: Dataset, commit: int) -> SeenRows:
        """Return the rows of the commits up to a number."""
        return SeenRows(dataset, self.id, commit, self.attempts, self.has_corrections)


def new_attempt() -> int:
    """Return a number that no other attempt has."""
    return (time.time_ns() // 1_000_000 << _ATTEMPT_BITS) | secrets.randbits(_ATTEMPT_BITS)


def attempt_age_seconds(attempt: int) -> float:
    """Return the seconds since an attempt was registered."""
    return time.time() - (attempt >> _ATTEMPT_BITS) / 1000


def state_of(row: Sequence[Any]) -> StoredLog:
    """Return a log from the columns of `_STATE`."""
    (
        log,
        number,
        commit_hash,
        committed_at,
        rows,
        newest_ns,
        complete_until,
        *flags,
        bits,
        expired,
        attempts,
    ) = row
    head, completeness = CommitId(number, commit_hash), Completeness(newest_ns, complete_until)
    bit_ranges = BitRange(*bits[:2]), BitRange(*bits[2:])
    dates = msgspec.json.decode(expired, type=ExpiredDates) if expired else NOTHING_EXPIRED
    values = (log, head, committed_at, rows, completeness, *flags, *bit_ranges, dates, tuple(attempts))
    return StoredLog._make(values)


def _key_of(caller: str, key_hash: str | None) -> bytes | None:
    if key_hash is None:
        return None
    return hashlib.sha256(f"{key_hash} {caller}".encode(errors="surrogatepass")).digest()


class Catalogue:
    """The tables of commits. Methods raise `StoreUnavailable`. Windows are not empty."""

    def __init__(self, postgres: PostgreSql) -> None:
        self._postgres = postgres

    def identity(self) -> str:
        """Return the text that the store got with its tables."""
        return str(self._postgres.rows("SELECT identity FROM store")[0][0])

    def state(self, dataset: Dataset, symbol: str) -> StoredLog | None:
        """Return a log; None if it never existed."""
        found = self._postgres.rows(_STATE + "dataset = %s AND symbol = %s", (dataset.name, symbol))
        return state_of(found[0]) if found else None

    def log_get_or_create(self, dataset: Dataset, symbol: str) -> StoredLog:
        """Return a log, made if it did not exist."""
        with self._postgres.connection() as connection:
            connection.execute(
                "INSERT INTO logs (dataset, symbol, newest_ns, complete_until) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (dataset.name, symbol, ALL_TIME.start_ns, ALL_TIME.start_ns),
            )
        state = self.state(dataset, symbol)
        assert state is not None  # noqa: S101 nothing deletes logs
        return state

    def logs(self, dataset: Dataset) -> dict[str, StoredLog]:
        """Return the logs of a dataset, also those without a commit."""
        return {symbol: state for name, symbol, state in self.all_logs() if name == dataset.name}

    def all_logs(self) -> Iterator[tuple[str, str, StoredLog]]:
        """Yield all logs: dataset, symbol, state."""
        for *state, dataset, symbol in self._postgres.rows(_ALL):
            yield dataset, symbol, state_of(state)

    def stored_datasets(self) -> list[Dataset]:
        """Return the datasets of which commits have rows."""
        found = self._postgres.rows("SELECT DISTINCT dataset FROM logs WHERE rows > 0")
        return [each for each in STORED_DATASETS.values() if (each.name,) in found]

    def register(self, log: int, attempt: int) -> None:
        """Register an attempt, so that its rows are not seen before its commit."""
        with self._postgres.connection() as connection:
            connection.execute(
                "UPDATE logs SET attempts = attempts || %s::bigint WHERE id = %s", (attempt, log)
            )

    def forget(self, log: int, attempts: Sequence[int]) -> None:
        """Forget attempts that have no rows."""
        query = "UPDATE logs SET attempts = ARRAY(SELECT unnest(attempts) EXCEPT SELECT unnest(%s::bigint[])) WHERE id = %s"
        with self._postgres.connection() as connection:
            connection.execute(query, (list(attempts), log))

    @contextmanager
    def locked(
        self, dataset: Dataset, symbol: str, log: int, window: Window = NO_WINDOW
    ) -> Iterator[LockedLog]:
        """Hold a log's lock, in one transaction. Without a new commit nothing is changed. Raises `StoreBusy`.

        window: of whose event dates `LockedLog.days` are read.
        """
        with self._postgres.connection() as connection:
            # Not a pipeline, after which PostgreSQL forgets `idle_in_transaction_session_timeout`: the lease.
            found = connection.execute(
                f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_LOCKS}, {log}); {_STATE} id = {log}; {_days(log, window)}"
            )
            *_, state, days = [each.fetchall() for each in found.results() if each.description]
            locked = LockedLog(connection, (dataset.name, symbol), state_of(state[0]), days)
            yield locked
            if locked.is_open:
                connection.execute("ROLLBACK")

    def ids(self, log: int, numbers: Sequence[int]) -> list[CommitId]:
        """Return the commits with these numbers, in order."""
        found = self._postgres.rows(
            "SELECT number, hash FROM commits WHERE log = %s AND number = ANY(%s) ORDER BY number",
            (log, list(numbers)),
        )
        return [CommitId(*each) for each in found]

    def committed_times(self, log: int, numbers: Integers) -> Integers:
        """Return the times of commits, which must exist, in nanoseconds UTC."""
        distinct, places = np.unique(numbers, return_inverse=True)
        found = self._postgres.rows(
            "SELECT committed_at FROM commits WHERE log = %s AND number = ANY(%s) ORDER BY number",
            (log, distinct.tolist()),
        )
        return np.array([committed_at for (committed_at,) in found], np.int64)[places]

    def number_as_of(self, log: int, instant_ns: int) -> int:
        """Return the number of the newest commit at or before an instant; 0 if there is none."""
        query = "SELECT coalesce(max(number), 0) FROM commits WHERE log = %s AND committed_at <= %s"
        return int(self._postgres.rows(query, (log, instant_ns))[0][0])

    def records(self, log: int, first: int, last: int) -> list[tuple[CommitRecord, int]]:
        """Return the commits from a number to another, and for each the number of rows before it."""
        found = self._postgres.rows(
            "SELECT facts, hash, rows_before FROM commits WHERE log = %s AND number BETWEEN %s AND %s ORDER BY number",
            (log, first, last),
        )
        return [(CommitRecord.of(bytes(facts), commit_hash), before) for facts, commit_hash, before in found]

    def completeness(self, log: int, number: int) -> Completeness:
        """Return the completeness after a commit."""
        query = "SELECT newest_ns, complete_until FROM commits WHERE log = %s AND number = %s"
        return Completeness(*self._postgres.rows(query, (log, number))[0])

    def fills(self, log: int, window: Window, number: int) -> list[CommitRecord]:
        """Return the commits up to a number with fills whose windows overlap a window, in order."""
        found = self._postgres.rows(
            "SELECT facts, hash FROM commits WHERE log = %s AND fill_start < %s AND fill_end > %s AND number <= %s"
            " ORDER BY number",
            (log, window.end_ns, window.start_ns, number),
        )
        return [CommitRecord.of(bytes(facts), commit_hash) for facts, commit_hash in found]

    def fill_commits(self, state: StoredLog, window: Window) -> list[int]:
        """Return the commits of the fills that a batch in a window may meet."""
        commits = self.fills(state.id, window, state.head.number) if state.has_fills else []
        return [each.id.number for each in commits]

    def touched_dates(self, log: int, window: Window, number: int) -> tuple[Integers, Integers]:
        """Return the event dates of a window that commits up to a number touch, and the newest commit of each."""
        found = self._postgres.rows(
            "SELECT day, max(number) FROM parts WHERE log = %s AND day BETWEEN %s AND %s AND number <= %s"
            " GROUP BY day ORDER BY day",
            (log, *_days_of(window), number),
        )
        days, newest = zip(*found, strict=True) if found else ((), ())
        return np.array(days, np.int64), np.array(newest, np.int64)

    def days(self, log: int, window: Window, number: int) -> list[_Day]:
        """Return the event dates with rows in a window: day, number of rows, first and last event time; ascending."""
        return self._postgres.rows(_days(log, window, number))

    def least_counts(self, log: int, windows: WindowList, number: int) -> LeastCounts:
        """Return how many rows and corrections of commits up to a number are in windows.

        Of a commit that is partly in a window, those of the event dates that are wholly in it.
        """
        starts, ends = windows.start_ns, windows.end_ns
        found = self._postgres.rows(
            "SELECT coalesce(sum(of_rows), 0)::bigint, coalesce(sum(of_lines), 0)::bigint"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::integer[], %s::integer[]) AS own (start_ns, end_ns, first, last),"
            " LATERAL (SELECT sum(rows) FILTER (WHERE is_rows) AS of_rows, sum(rows) FILTER (WHERE NOT is_rows) AS of_lines"
            " FROM parts WHERE log = %s AND day BETWEEN first AND last AND number <= %s"
            " AND first_ns >= start_ns AND last_ns < end_ns) AS found",
            (
                *(each.tolist() for each in (starts, ends, starts // DAY_NS, (ends - 1) // DAY_NS)),
                log,
                number,
            ),
        )
        return LeastCounts(*found[0])

    def bounds(self, log: int, first: int, last: int) -> Window | None:
        """Return the window from the first to the last event time of some commits; None if they have no rows."""
        query = (
            "SELECT min(first_ns), max(last_ns) + 1 FROM parts WHERE log = %s AND number BETWEEN %s AND %s"
        )
        found = self._postgres.rows(query, (log, first, last))[0]
        return None if found[0] is None else Window(*found)

    def first_from(self, log: int, instant_ns: int, number: int) -> int | None:
        """Return the first commit, up to a number, that stored a row at or after an instant."""
        query = "SELECT min(number) FROM parts WHERE log = %s AND is_rows AND number <= %s AND last_ns >= %s"
        found: int | None = self._postgres.rows(query, (log, number, instant_ns))[0][0]
        return found

    def origins(self, log: int, arrivals: Sequence[int]) -> list[tuple[CommitId, int]]:
        """Return the commit that stored each row, and the row's ordinal in it."""
        found = self._postgres.rows(
            "SELECT number, hash, wanted - rows_before FROM unnest(%s::bigint[]) WITH ORDINALITY AS given (wanted, place),"
            " LATERAL (SELECT number, hash, rows_before FROM commits WHERE log = %s AND rows_before <= wanted"
            " ORDER BY rows_before DESC, number DESC LIMIT 1) AS found ORDER BY place",
            (list(arrivals), log),
        )
        return [(CommitId(number, commit_hash), ordinal) for number, commit_hash, ordinal in found]


# The first key of the locks of logs, apart from other programs' locks.
_LOCKS = 0x6D6B7400


class LockedLog:
    """A log whose lock is held. name: dataset and symbol. state: with its newest commit. days: see `Catalogue.locked`."""

    def __init__(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        name: tuple[str, str],
        state: StoredLog,
        days: Sequence[_Day],
    ) -> None:
        self._connection = connection
        self.name = name
        self.state = state
        self.days = days
        self.is_open = True

    def accepted(self, caller: str, key_hash: str) -> CommitRecord | None:
        """Return the commit with an idempotency key."""
        found = self._connection.execute(
            "SELECT facts, hash FROM commits WHERE log = %s AND key = %s",
            (self.state.id, _key_of(caller, key_hash)),
        ).fetchone()
        return None if found is None else CommitRecord.of(bytes(found[0]), found[1])

    def record(self, commits: Sequence[NewCommit], attempt: int, next_attempt: int) -> StoredLog:
        """Store the records of the next commits, which nobody sees before `commit`. Return the new state.

        attempt: the one that inserts the rows. next_attempt: is registered for the process's next commit.
        """
        state, records, parts = self.state, list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        for commit in commits:
            parts += _parts_of(state, commit)
            state = _state_after(state, commit)
            records.append(_record_of(self.state.id, commit, state))
        attempts = [each for each in state.attempts if each != attempt] + [next_attempt]
        state = state._replace(attempts=attempts)
        values = [
            _columns(records, 12),
            _columns(parts, 7),
            (*_values_of(state), attempt, next_attempt, state.id),
        ]
        notification = CHANNEL, self._payload(state)
        self._connection.execute(_RECORD, [each for some in (*values, notification) for each in some])
        return state

    def commit(self) -> None:
        """End the transaction, when the rows are stored. Raises `OutcomeUnknown` if PostgreSQL did not answer."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            raise OutcomeUnknown("PostgreSQL did not confirm the commit; send the batch again") from error
        self.is_open = False

    def _payload(self, state: StoredLog) -> str:
        """Return what other processes are told: the log's name, and its state if that is not too long."""
        values = [state.id, *_values_of(state), list(state.attempts)]
        text = json.dumps([*self.name, *values])
        return text if len(text) <= _LARGEST_PAYLOAD else json.dumps(self.name)


# A table's rows come as one array for each column.
_RECORD = (
    "WITH recorded AS (INSERT INTO commits SELECT * FROM unnest(%s::integer[], %s::integer[], %s::text[], %s::bytea[],"  # noqa: S608
    " %s::bigint[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
    " %s::bigint[])), dated AS (INSERT INTO parts SELECT * FROM unnest(%s::integer[], %s::integer[], %s::integer[],"
    " %s::boolean[], %s::bigint[], %s::bigint[], %s::bigint[])), changed AS (UPDATE logs SET"
    f" {', '.join(f'{name} = %s' for name in _OF_STATE)},"
    " attempts = array_remove(attempts, %s::bigint) || %s::bigint WHERE id = %s) SELECT pg_notify(%s || ' ' || current_schema, %s)"
)


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * count


def _values_of(state: StoredLog) -> tuple[Any, ...]:
    head, complete = state.head, state.completeness
    values = (head.number, head.hash, state.committed_at, state.rows, complete.newest_ns)
    flags = (state.has_corrections, state.has_fills, state.has_sequences, state.has_conditions)
    expired = "" if state.expired == NOTHING_EXPIRED else msgspec.json.encode(state.expired).decode()
    return (*values, complete.complete_until_ns, *flags, [*state.volumes, *state.notionals], expired)


def _state_after(state: StoredLog, commit: NewCommit) -> StoredLog:
    facts = commit.record.facts
    newest_ns = ALL_TIME.start_ns
    if commit.rows.num_rows:
        newest_ns = min(int(commit.rows.column(0).to_numpy().max()), facts.committed_at)
    declared_ns = ALL_TIME.start_ns if facts.complete_until_ns is None else facts.complete_until_ns
    volumes, notionals = state.volumes, state.notionals
    if commit.rows.num_rows and {"price", "volume"} <= set(commit.rows.column_names):
        own = bits_of(commit.rows)
        volumes, notionals = volumes.joined(own[0]), notionals.joined(own[1])
    return state._replace(
        head=commit.record.id,
        committed_at=facts.committed_at,
        rows=state.rows + commit.rows.num_rows,
        completeness=state.completeness.joined(newest_ns, declared_ns),
        has_corrections=state.has_corrections or commit.lines.num_rows > 0,
        has_fills=state.has_fills or facts.fill is not None,
        has_sequences=state.has_sequences or _has_values(commit.rows, "sequence"),
        has_conditions=state.has_conditions or _has_values(commit.rows, "conditions"),
        volumes=volumes,
        notionals=notionals,
        expired=state.expired.after(facts),
    )


def _has_values(rows: pa.Table, name: str) -> bool:
    return name in rows.column_names and rows.column(name).null_count < rows.num_rows


def _record_of(log: int, commit: NewCommit, state: StoredLog) -> tuple[Any, ...]:
    """Return a row of `commits`. state: after the commit."""
    facts, complete = commit.record.facts, state.completeness
    fill = (None, None) if facts.fill is None else (facts.fill.window.start_ns, facts.fill.window.end_ns)
    return (
        log,
        facts.number,
        commit.record.id.hash,
        commit.record.text,
        facts.committed_at,
        _key_of(facts.caller, facts.key_hash),
        state.rows - commit.rows.num_rows,
        complete.newest_ns,
        complete.complete_until_ns,
        *fill,
    )


def _parts_of(state: StoredLog, commit: NewCommit) -> list[tuple[Any, ...]]:
    """Return the rows of `parts`: one for each event date of the rows, and of the corrections. state: before it."""
    parts = list[tuple[Any, ...]]()
    for is_rows, table in ((True, commit.rows), (False, commit.lines)):
        if not table.num_rows:
            continue
        times = table.column(0).to_numpy()
        days = times // DAY_NS
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(days)], strict=True):
            own = times[start:end]
            numbers = (end - start, int(own.min()), int(own.max()))
            parts.append((state.id, commit.record.id.number, int(days[start]), is_rows, *numbers))
    return parts


def _days_of(window: Window) -> tuple[int, int]:
    return window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS


def _days(log: int, window: Window, number: int = 2**31 - 1) -> str:
    """Return the query of `Catalogue.days`."""
    first, last = _days_of(window)
    return (
        "SELECT day, sum(rows)::bigint, min(first_ns), max(last_ns) FROM parts WHERE is_rows"  # noqa: S608
        f" AND log = {log} AND day BETWEEN {first} AND {last} AND number <= {number}"
        f" AND first_ns < {window.end_ns} AND last_ns >= {window.start_ns} GROUP BY day ORDER BY day"
    )
