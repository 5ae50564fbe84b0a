"""The tables of rows in ClickHouse: what they hold, how rows are inserted, and how they are read.

Each dataset has two tables on every shard, of rows and of corrections, and over each a `Distributed` table. A row has the
dataset's columns. `_nulls` has a bit for each column. Of an original column it means: no value. Of a later column it means: a
value, so that rows stored before the column have none. `_log` is the log's number in PostgreSQL, `_commit` and `_arrival` are
as in stored rows. `_attempt` names the attempt to commit that inserted the row: what an attempt inserted
before its commit failed must not be seen. `_order` has the order of arrival of rows of one instant; unlike `_arrival` it is
mostly one number for all rows of a commit, so that it is read in no time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.prints import NO_SEQUENCE, STANDS
from store.clickhouse.servers import ClickHouse, ColumnMissing, StoreUrl
from store.declarations import Column, ColumnKind, Dataset
from store.protocol import Window
from store.rows.row_hashes import id_hashes
from store.rows.stored_rows import (
    ARRIVAL,
    COMMIT,
    UNTIL,
    action_name,
    apply_corrections,
    passed_values,
)
from store.timestamps import DAY_NS
from store.walk import CommitRecord

_TYPES = {
    ColumnKind.TIME: "Int64",
    ColumnKind.NUMBER: "Float64",
    ColumnKind.INTEGER: "Int64",
    ColumnKind.TEXT: "String",
    ColumnKind.BOOLEAN: "UInt8",
}
_MISSING: dict[ColumnKind, Any] = {ColumnKind.TEXT: "", ColumnKind.BOOLEAN: False}
_NUMPY: dict[str, type[np.generic]] = {
    "Int64": np.int64,
    "Float64": np.float64,
    "UInt8": np.uint8,
    "String": np.object_,
}
_SYSTEM = {"_log": "Int32", "_commit": "Int32", "_attempt": "Int64", "_arrival": "Int64", "_nulls": "UInt32"}
_OF_ROWS = {"_identity": "Int64", "_order": "Int64"}
_OF_CORRECTIONS = {"_ordinal": "Int32", "_action": "String"}


class SeenRows(NamedTuple):
    """What is read of a log: the rows of its commits up to a number. attempts: those whose rows are not to be seen."""

    dataset: Dataset
    log: int
    commit: int
    attempts: Sequence[int]
    has_corrections: bool

    @property
    def condition(self) -> str:
        """The rows' condition in SQL."""
        unseen = f" AND _attempt NOT IN ({_listed(self.attempts)})" if self.attempts else ""
        return f"_log = {self.log} AND _commit <= {self.commit}{unseen}"


class NewCommit(NamedTuple):
    """A commit to be stored: its record, its rows in order of arrival and its corrections, both by event date.

    ids: the `id_hashes` of the rows; None if they are not known.
    """

    record: CommitRecord
    rows: pa.Table
    lines: pa.Table
    ids: Integers | None = None


def in_window(window: Window) -> str:
    """Return the condition of a window's event times in SQL."""
    return f"timestamp >= {window.start_ns} AND timestamp < {window.end_ns}"


def among(column: str, values: Integers) -> str:
    """Return the condition of a column's values in SQL."""
    return f"{column} IN ({_listed(values.tolist())})"


def _listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


class RowTables:
    """The tables of a store. Methods raise `StoreUnavailable`."""

    def __init__(self, url: StoreUrl, servers: ClickHouse) -> None:
        self._url = url
        self._servers = servers
        self._tables_checked: set[str] = set()

    def insert(
        self, dataset: Dataset, log: int, attempt: int, commits: Sequence[NewCommit], first_arrival: int
    ) -> None:
        """Insert the rows and corrections of commits; return when they are on their shards.

        first_arrival: the number of rows of all commits before.
        """
        if dataset.name not in self._tables_checked:
            self._make(dataset)
        tables = dict[str, dict[str, Any]]()
        if any(each.rows.num_rows for each in commits):
            tables["rows"] = _rows_of(dataset, commits, first_arrival)
        if any(each.lines.num_rows for each in commits):
            tables["corrections"] = _corrections_of(dataset, commits)
        for kind, table in tables.items():
            count = len(table["_commit"])
            table["_log"], table["_attempt"] = np.full(count, log, np.int32), np.full(count, attempt)
            self._servers.insert(self._name(kind, dataset), table)

    def stored(
        self, log: SeenRows, times: str, columns: Collection[str] | None = None, *, also: str = "1"
    ) -> pa.Table:
        """Return all versions of rows, in any order, with the columns of `stored_schema`.

        times: a condition of event times, which a row and its corrections have in common. also: another condition of the
        rows. columns: of the dataset's columns only event time, sequence and these; None means all.
        """
        rows = self.originals(log, f"({times}) AND {also}", columns)
        if not log.has_corrections or not rows.num_rows:
            return rows
        return apply_corrections(rows, self.corrections(log, times, columns))

    def candidates(self, log: SeenRows, times: str) -> pa.Table:
        """Return all versions of rows, then their `passed_values`. times: a condition of event times."""
        rows = self.originals(log, times)
        if not log.has_corrections or not rows.num_rows:
            return rows
        lines = self.corrections(log, times)
        rows = apply_corrections(rows, lines)
        return pa.concat_tables([rows, passed_values(rows, lines)])

    def originals(self, log: SeenRows, where: str, columns: Collection[str] | None = None) -> pa.Table:
        """Return rows as they were first stored, in any order. columns: as for `stored`."""
        table, _ = self._table(log, "rows", where, columns)
        return table.append_column(UNTIL.field, pa.array(np.full(table.num_rows, STANDS, np.int32)))

    def corrections(self, log: SeenRows, where: str, columns: Collection[str] | None = None) -> pa.Table:
        """Return corrections in the order in which they apply, with `arrival`, `commit` and the action."""
        table, (ordinal, action) = self._table(log, "corrections", where, columns, "_ordinal", "_action")
        field = pa.field(action_name(log.dataset.schema.names), "string")
        order = np.lexsort((ordinal, table.column(COMMIT.name).to_numpy()))
        return table.append_column(field, pa.array(action, "string")).take(pa.array(order))

    def numbers(self, log: SeenRows, where: str, *names: str, kind: str = "rows") -> list[Any]:
        """Return columns of the rows as they were first stored, or of `corrections`, in any order."""
        found = self._servers.columns(self._query(log, kind, names, where))
        return found or [np.empty(0, np.int64) for _ in names]

    def aggregates(self, log: SeenRows, where: str, names: Sequence[str], group: str) -> list[Any]:
        """Return one row for each group of rows as they were first stored. No group may be on two shards."""
        query = f"{self._query(log, 'rows', names, where)} GROUP BY {group}"
        found = self._servers.columns(query, {"distributed_group_by_no_merge": 1})
        return found or [np.empty(0)] * len(names)

    def remove(self, dataset: Dataset, log: int, attempts: Sequence[int]) -> bool:
        """Begin to remove what attempts inserted. Return whether there was nothing any more."""
        condition = f"_log = {log} AND _attempt IN ({_listed(attempts)})"
        names = [self._name(kind, dataset) for kind in ("rows", "corrections")]
        counts = [self._servers.columns(f"SELECT count() FROM {name} WHERE {condition}") for name in names]  # noqa: S608
        if not sum(int(count[0].sum()) for count in counts if count):
            return True
        self._servers.run_everywhere([f"ALTER TABLE {name}_local DELETE WHERE {condition}" for name in names])
        return False

    def count(self, log: SeenRows, window: Window, kind: str = "rows", where: str = "1") -> int:
        """Return the number of rows as they were first stored, or of `corrections`, in a window."""
        return int(self.numbers(log, f"{in_window(window)} AND ({where})", "count()", kind=kind)[0].sum())

    def _table(
        self, log: SeenRows, kind: str, where: str, columns: Collection[str] | None, *others: str
    ) -> tuple[pa.Table, list[Any]]:
        """Return columns of rows or corrections, with `arrival` and `commit`; and other columns of their table."""
        kept = _kept(log.dataset, columns)
        names = ["_arrival", "_commit", *others, "_nulls", *(column.name for column in kept)]
        query = self._query(log, kind, names, where)
        try:
            found = self._servers.columns(query)
        except ColumnMissing:
            self._make(log.dataset)
            found = self._servers.columns(query)
        if not found:
            types = {**_SYSTEM, **_OF_CORRECTIONS, **_types_of(log.dataset)}
            dtypes = {"Int32": np.int32, "UInt32": np.uint32, **_NUMPY}
            found = [np.empty(0, dtypes[types[name]]) for name in names]
        own, rest = found[2 : 2 + len(others)], found[2 + len(others) :]
        arrays = [*_arrow_columns(log.dataset, kept, rest), pa.array(found[0]), pa.array(found[1])]
        fields = [log.dataset.schema.field(each.name) for each in kept]
        schema = pa.schema([*fields, ARRIVAL.field, COMMIT.field])
        return pa.Table.from_arrays(arrays, schema=schema), own

    def _query(self, log: SeenRows, kind: str, names: Sequence[str], where: str) -> str:
        table = self._name(kind, log.dataset)
        return f"SELECT {', '.join(names)} FROM {table} WHERE {log.condition} AND ({where})"  # noqa: S608

    def _name(self, kind: str, dataset: Dataset) -> str:
        return f"{self._url.database}.{kind}_{dataset.name}"

    def _make(self, dataset: Dataset) -> None:
        """Make the tables unless they exist, and add later columns that they lack."""
        statements = [f"CREATE DATABASE IF NOT EXISTS {self._url.database}"]
        later = {column.name: _TYPES[column.kind] for column in dataset.columns if column.later}
        names = list[str]()
        for kind, own in (("rows", _OF_ROWS), ("corrections", _OF_CORRECTIONS)):
            name, columns = self._name(kind, dataset), {**_SYSTEM, **own, **_types_of(dataset)}
            declared = ", ".join(f"{column} {kind_of}" for column, kind_of in columns.items())
            order = ["_log", "timestamp", *(["sequence"] if "sequence" in columns else []), "_arrival"]
            local = name.rpartition(".")[2] + "_local"
            key = f"_log + intDiv(timestamp, {DAY_NS})"
            cluster = f"Distributed({self._url.cluster}, {self._url.database}, {local}, {key})"
            names += [f"{name}_local", name]
            statements += [
                f"CREATE TABLE IF NOT EXISTS {name}_local ({declared}) ENGINE = MergeTree ORDER BY ({', '.join(order)})",
                f"CREATE TABLE IF NOT EXISTS {name} ({declared}) ENGINE = {cluster}",
            ]
        self._servers.run_everywhere(statements)
        for name in names if later else ():
            self._servers.add_columns(name, later)
        self._tables_checked.add(dataset.name)


def _types_of(dataset: Dataset) -> dict[str, str]:
    return {column.name: _TYPES[column.kind] for column in dataset.columns}


def _kept(dataset: Dataset, columns: Collection[str] | None) -> list[Column]:
    if columns is None:
        return list(dataset.columns)
    return [each for each in dataset.columns if each.name in {"timestamp", "sequence", *columns}]


def _rows_of(dataset: Dataset, commits: Sequence[NewCommit], first: int) -> dict[str, Any]:
    rows = pa.concat_tables([each.rows for each in commits]).combine_chunks()
    columns = {
        "_commit": _commits_of(commits, [each.rows.num_rows for each in commits]),
        "_arrival": np.arange(first, first + len(rows)),
        "_order": first + _places_among_equal(rows.column(0).to_numpy()),
        **_numpy_columns(dataset, rows),
    }
    if dataset.has_optional_ids and dataset.id_columns[-1] in columns:
        known = commits[0].ids if len(commits) == 1 else None
        columns["_identity"] = id_hashes(dataset, rows) if known is None else known
    return columns


def _corrections_of(dataset: Dataset, commits: Sequence[NewCommit]) -> dict[str, Any]:
    lines = pa.concat_tables([each.lines for each in commits]).combine_chunks()
    counts = [each.lines.num_rows for each in commits]
    return {
        "_commit": _commits_of(commits, counts),
        "_arrival": lines.column(ARRIVAL.name).to_numpy(),
        "_ordinal": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        "_action": np.array(lines.column(action_name(dataset.schema.names)).to_pylist(), np.object_),
        **_numpy_columns(dataset, lines),
    }


def _commits_of(commits: Sequence[NewCommit], counts: Sequence[int]) -> Integers:
    return np.repeat(np.array([each.record.id.number for each in commits], np.int32), counts)


def _places_among_equal(values: Integers) -> Integers:
    """Return for each value how many equal ones are before it."""
    if (values[1:] > values[:-1]).all():
        return np.zeros(len(values), np.int64)
    order = np.argsort(values, kind="stable")
    sorted_values, indices = values[order], np.arange(len(values))
    is_first = np.append(True, sorted_values[1:] != sorted_values[:-1])
    places = np.empty(len(values), np.int64)
    places[order] = indices - np.maximum.accumulate(np.where(is_first, indices, 0))
    return places


def _numpy_columns(dataset: Dataset, rows: pa.Table) -> dict[str, Any]:
    """Return `_nulls` and the dataset's columns that have a value, or whose missing value is not ClickHouse's default."""
    nulls, columns = np.zeros(rows.num_rows, np.uint32), dict[str, Any]()
    for index, column in enumerate(dataset.columns):
        values = rows.column(column.name)
        if column.later or values.null_count:
            flagged = values.is_valid() if column.later else values.is_null()
            nulls |= flagged.to_numpy().astype(np.uint32) << np.uint32(index)
            if values.null_count == len(values) and column.name != "sequence":
                continue
            missing = NO_SEQUENCE if column.name == "sequence" else _MISSING.get(column.kind, 0)
            values = values.fill_null(missing)
        columns[column.name] = values.to_numpy().astype(_NUMPY[_TYPES[column.kind]], copy=False)
    return {"_nulls": nulls, **columns}


def _arrow_columns(dataset: Dataset, kept: Sequence[Column], found: Sequence[Any]) -> list[pa.Array]:
    """Return columns of the dataset. found: `_nulls`, then the columns, as they are stored."""
    nulls, *columns = found
    places = {column.name: index for index, column in enumerate(dataset.columns)}
    arrays = []
    for column, values in zip(kept, columns, strict=True):
        mask = None
        if not column.required:
            mask = ((nulls >> np.uint32(places[column.name])) & np.uint32(1) == 1) != column.later
        if column.kind is ColumnKind.BOOLEAN:
            values = values.astype(np.bool_)  # noqa: PLW2901
        arrays.append(pa.array(values, dataset.schema.field(column.name).type, mask=mask))
    return arrays
