"""The tables of rows in ClickHouse: what they hold, how rows are inserted, and how they are read.

Each dataset has two tables on every shard, of rows and of corrections, and over each a `Distributed` table. A row has the
dataset's columns. `_nulls` has a bit for each column. Of an original column it means: no value. Of a later column it means: a
value, so that rows stored before the column have none. `_log` is the log's number in PostgreSQL, `_commit` and `_arrival` are
as in stored rows. `_attempt` names the attempt to commit that inserted the row: what an attempt inserted
before its commit failed must not be seen. `_order` has the order of arrival of rows of one instant; unlike `_arrival` it is
mostly one number for all rows of a commit, so that it is read in no time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bars.prints import NO_SEQUENCE, STANDS
from store.clickhouse.servers import ClickHouse, StoreUrl
from store.declarations import Column, ColumnKind, Dataset
from store.exceptions import DataDamaged, StoreUnavailable
from store.protocol import Window
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
_SYSTEM = {"_log": "Int32", "_commit": "Int32", "_attempt": "Int64", "_arrival": "Int64", "_nulls": "UInt32"}
_OWN = {
    "rows": {"_order": "Int64"},
    "corrections": {"_ordinal": "Int32", "_action": "String"},
}


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
        # A set is looked up row by row, which takes a tenth of a bar's time.
        unseen = "".join(f" AND _attempt != {each}" for each in self.attempts)
        return f"_log = {self.log} AND _commit <= {self.commit}{unseen}"


class LeastCounts(NamedTuple):
    """How many rows and corrections a log has at least where it is read, by the records of its commits."""

    rows: int = 0
    corrections: int = 0

    def check(self, *, rows: int | None = None, corrections: int | None = None) -> None:
        """Raise `DataDamaged` if ClickHouse has fewer."""
        for name, least, stored in (
            ("rows", self.rows, rows),
            ("corrections", self.corrections, corrections),
        ):
            if stored is not None and stored < least:
                raise DataDamaged(
                    f"the commits have {least} {name} here, and ClickHouse has {stored}: a shard has lost some, restore the store"
                )


_ANY_COUNTS = LeastCounts()


class NewCommit(NamedTuple):
    """A commit to be stored: its record, its rows in order of arrival and its corrections, both by event date."""

    record: CommitRecord
    rows: pa.Table
    lines: pa.Table


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
        self._columns: dict[str, Set[str]] = {}

    @contextmanager
    def inserting(
        self, dataset: Dataset, log: int, attempt: int, commits: Sequence[NewCommit], first_arrival: int
    ) -> Iterator[None]:
        """Send the rows and corrections of commits; at the end of the context wait until they are on their shards.

        first_arrival: the number of rows of all commits before.
        """
        tables = dict[str, dict[str, Any]]()
        if any(each.rows.num_rows for each in commits):
            tables["rows"] = _rows_of(dataset, commits, first_arrival)
        if any(each.lines.num_rows for each in commits):
            tables["corrections"] = _corrections_of(dataset, commits)
        with ExitStack() as stack:
            for kind, columns in tables.items():
                name, count = self._name(kind, dataset), len(columns["_commit"])
                columns |= {"_log": np.full(count, log, np.int32), "_attempt": np.full(count, attempt)}
                if "sequence" in self._known(name) and "sequence" not in columns:
                    columns["sequence"] = np.full(count, NO_SEQUENCE)
                self._add_columns(name, _types_of(kind, dataset), columns.keys())
                keys = log + columns["timestamp"].to_numpy() // DAY_NS
                stack.enter_context(self._servers.inserting(name, pa.table(columns), keys))
            yield

    def stored(
        self,
        log: SeenRows,
        times: str,
        columns: Collection[str] | None = None,
        *,
        also: str = "1",
        least: LeastCounts = _ANY_COUNTS,
    ) -> pa.Table:
        """Return all versions of rows, in any order, with the columns of `stored_schema`.

        times: a condition of event times, which a row and its corrections have in common. also: another condition of the
        rows. columns: of the dataset's columns only event time, sequence and these; None means all. Raises `DataDamaged` if
        there are fewer than `least`.
        """
        rows = self.originals(log, f"({times}) AND {also}", columns)
        least.check(rows=rows.num_rows)
        if not log.has_corrections or not rows.num_rows:
            return rows
        lines = self.corrections(log, times, columns)
        least.check(corrections=lines.num_rows)
        return apply_corrections(rows, lines)

    def versions(self, log: SeenRows, times: str) -> pa.Table:
        """Return all versions of rows, with their `passed_values`. times: a condition of event times."""
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

    def row_bytes(self, dataset: Dataset) -> float:
        """Return about how many bytes a row takes on the disks."""
        parts, table = f"cluster({self._url.cluster}, system.parts)", f"rows_{dataset.name}_local"
        where = f"active AND database = '{self._url.database}' AND table = '{table}'"
        size, rows = self._servers.columns(f"SELECT sum(bytes_on_disk), sum(rows) FROM {parts} WHERE {where}")  # noqa: S608
        return float(size.sum()) / max(float(rows.sum()), 1)

    def remove(self, dataset: Dataset, log: int, where: str) -> bool:
        """Begin to remove rows and corrections of a log. Return whether there were none any more."""
        condition = f"_log = {log} AND {where}"
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
        dataset, name = log.dataset, self._name(kind, log.dataset)
        kept, known = _kept(dataset, columns), self._known(name)
        names = [
            "_arrival",
            "_commit",
            *others,
            "_nulls",
            *(each.name for each in kept if each.name in known),
        ]
        schema = pa.schema([*(dataset.schema.field(each.name) for each in kept), ARRIVAL.field, COMMIT.field])
        stored = dict(zip(names, self._servers.columns(self._query(log, kind, names, where)), strict=False))
        if not stored:
            return schema.empty_table(), [[] for _ in others]
        missing = [_missing(dataset, each, stored["_nulls"]) for each in kept]
        is_stale = any(
            not own.all() for each, own in zip(kept, missing, strict=True) if each.name not in known
        )
        if is_stale:
            if self._read_columns(name) == known:
                raise StoreUnavailable("a shard lacks a column that rows have: retry")
            return self._table(log, kind, where, columns, *others)
        arrays = [
            _arrow_column(each.kind, field.type, stored.get(each.name), own)
            for each, field, own in zip(kept, schema, missing, strict=False)
        ]
        arrays += [pa.array(stored["_arrival"]), pa.array(stored["_commit"])]
        return pa.Table.from_arrays(arrays, schema=schema), [stored[each] for each in others]

    def _query(self, log: SeenRows, kind: str, names: Sequence[str], where: str) -> str:
        table = self._name(kind, log.dataset)
        return f"SELECT {', '.join(names)} FROM {table} WHERE {log.condition} AND ({where})"  # noqa: S608

    def _name(self, kind: str, dataset: Dataset) -> str:
        return f"{self._url.database}.{kind}_{dataset.name}"

    def are_known(self, dataset: Dataset) -> bool:
        """Return whether every shard had the dataset's table of rows when its columns were last read."""
        return bool(self._columns.get(self._name("rows", dataset)))

    def check(self, datasets: Iterable[Dataset]) -> None:
        """Raise `DataDamaged` if a shard lacks a table of these datasets."""
        names = [f"{kind}_{each.name}" for each in datasets for kind in _OWN]
        self._servers.check({*names, *(f"{name}_local" for name in names)})

    def make(self, dataset: Dataset) -> None:
        """Make the tables unless they exist, with the columns that all rows have. Only for a dataset without rows."""
        statements = [f"CREATE DATABASE IF NOT EXISTS {self._url.database}"]
        optional = {each.name for each in dataset.columns if not each.required}
        for kind in _OWN:
            name, types = self._name(kind, dataset), _types_of(kind, dataset)
            declared = ", ".join(
                f"{each} {of_type}" for each, of_type in types.items() if each not in optional
            )
            local = name.rpartition(".")[2] + "_local"
            key = f"_log + intDiv(timestamp, {DAY_NS})"
            cluster = f"Distributed({self._url.cluster}, {self._url.database}, {local}, {key})"
            statements += [
                f"CREATE TABLE IF NOT EXISTS {name}_local ({declared}) ENGINE = MergeTree ORDER BY (_log, timestamp, _arrival)",
                f"CREATE TABLE IF NOT EXISTS {name} ({declared}) ENGINE = {cluster}",
            ]
        self._servers.run_everywhere(statements)
        self._read_columns(self._name("rows", dataset))

    def _known(self, name: str) -> Set[str]:
        """Return the columns that a table had when they were last read."""
        return self._columns.get(name) or self._read_columns(name)

    def _read_columns(self, name: str) -> Set[str]:
        self._columns[name] = self._servers.columns_of(name)
        return self._columns[name]

    def _add_columns(self, name: str, types: Mapping[str, str], columns: Set[str]) -> None:
        """Add columns that a table lacks. Readers find a column first where all shards have it."""
        added = [f"{each} {types[each]}" for each in columns - self._known(name)]
        if added:
            for table in (f"{name}_local", name):
                self._servers.run_everywhere([f"ALTER TABLE {table} ADD COLUMN {each}" for each in added])
            self._columns[name] |= columns


def _types_of(kind: str, dataset: Dataset) -> dict[str, str]:
    own = {column.name: _TYPES[column.kind] for column in dataset.columns}
    if "sequence" in own:
        own["sequence"] = f"Int64 DEFAULT {NO_SEQUENCE}"
    return {**_SYSTEM, **_OWN[kind], **own}


def _kept(dataset: Dataset, columns: Collection[str] | None) -> list[Column]:
    if columns is None:
        return list(dataset.columns)
    return [each for each in dataset.columns if each.name in {"timestamp", "sequence", *columns}]


def _rows_of(dataset: Dataset, commits: Sequence[NewCommit], first: int) -> dict[str, Any]:
    rows = pa.concat_tables([each.rows for each in commits]).combine_chunks()
    return {
        "_commit": _commits_of(commits, [each.rows.num_rows for each in commits]),
        "_arrival": np.arange(first, first + len(rows)),
        "_order": first + _places_among_equal(rows.column(0).to_numpy()),
        **_stored_columns(dataset, rows),
    }


def _corrections_of(dataset: Dataset, commits: Sequence[NewCommit]) -> dict[str, Any]:
    lines = pa.concat_tables([each.lines for each in commits]).combine_chunks()
    counts = [each.lines.num_rows for each in commits]
    return {
        "_commit": _commits_of(commits, counts),
        "_arrival": lines.column(ARRIVAL.name).to_numpy(),
        "_ordinal": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        "_action": lines.column(action_name(dataset.schema.names)),
        **_stored_columns(dataset, lines),
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


def _stored_columns(dataset: Dataset, rows: pa.Table) -> dict[str, Any]:
    """Return `_nulls` and the dataset's columns that have a value."""
    nulls, columns = np.zeros(rows.num_rows, np.uint32), dict[str, Any]()
    for index, column in enumerate(dataset.columns):
        values, bit = rows.column(column.name), np.uint32(1 << index)
        is_empty = values.null_count == len(values)
        if is_empty and not column.later:
            nulls |= bit
        elif not is_empty and (column.later or values.null_count):
            nulls |= np.where(values.is_valid().to_numpy() == column.later, bit, np.uint32(0))
        if is_empty:
            continue
        if values.null_count:
            values = values.fill_null(
                NO_SEQUENCE if column.name == "sequence" else _MISSING.get(column.kind, 0)
            )
        columns[column.name] = values.cast("uint8") if column.kind is ColumnKind.BOOLEAN else values
    return {"_nulls": nulls, **columns}


def _missing(dataset: Dataset, column: Column, nulls: Any) -> Any:
    """Return a mask of the rows without a value of a column. nulls: `_nulls`."""
    bit = np.uint32(1 << dataset.columns.index(column))
    return (nulls & bit != 0) != column.later if not column.required else np.zeros(len(nulls), np.bool_)


def _arrow_column(kind: ColumnKind, type_name: Any, stored: Any, missing: Any) -> pa.Array:
    """Return a column of the dataset. stored: None if the table lacks it."""
    if stored is None:
        return pa.nulls(len(missing), type_name)
    values = stored.astype(np.bool_) if kind is ColumnKind.BOOLEAN else stored
    return pa.array(values, type_name, mask=missing if missing.any() else None)
