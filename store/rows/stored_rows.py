"""Stored rows: their system columns, their order, and which of them are valid at a commit.

A *stored row* has the dataset's columns and three system columns: `arrival`, its number in the log from 0;
`commit`, the commit that stored it; `until`, the commit that cancelled or replaced it. It *stands* at commit
N if `commit <= N < until`. A corrected row keeps the arrival number of the row that it replaces, and so its
position in the order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.prints import STANDS, sequences
from store.declarations import Column, ColumnKind, Dataset
from store.protocol import Action


def stored_in_order(rows: pa.Table) -> pa.Table:
    """Return stored rows by (event time, sequence, arrival), replaced rows before their replacements.

    Sorted rows are not copied.
    """
    time, arrival, commit = (rows.column(name).to_numpy() for name in ("timestamp", "arrival", "commit"))
    sequence = sequences(rows)
    if sequence is None and (np.diff(time) >= 0).all() and (np.diff(arrival) > 0).all():
        return rows
    keys = (commit, arrival, time) if sequence is None else (commit, arrival, sequence, time)
    order = np.lexsort(keys)
    is_ordered = bool((np.diff(order) == 1).all())
    return rows if is_ordered else rows.take(pa.array(order))


class SystemColumn(NamedTuple):
    """A column of stored rows or corrections that the dataset does not have. type: the name of its Arrow type."""

    name: str
    type: str

    @property
    def field(self) -> pa.Field:
        """Arrow's field."""
        return pa.field(self.name, self.type, nullable=False)


ARRIVAL = SystemColumn("arrival", "int64")
ACTION = SystemColumn("action", "string")
COMMIT = SystemColumn("commit", "int32")
UNTIL = SystemColumn("until", "int32")
_SYSTEM_COLUMNS = (ARRIVAL, COMMIT, UNTIL)
SYSTEM_NAMES = [column.name for column in _SYSTEM_COLUMNS]
# The columns by which stored rows are ordered, and versions are told apart.
ORDER_NAMES = ("timestamp", "sequence", *SYSTEM_NAMES)


def action_name(names: Collection[str]) -> str:
    """Return the name of the action's column beside a dataset's columns, which may have an `action` of their own."""
    return ACTION.name if ACTION.name not in names else f"correction_{ACTION.name}"


@cache
def corrections_of(dataset: Dataset) -> Dataset:
    """Return a dataset with the columns of corrections: `arrival` and `action` precede later columns."""
    own = (
        Column(ARRIVAL.name, ColumnKind.INTEGER, required=True),
        Column(action_name(dataset.schema.names), ColumnKind.TEXT, required=True),
    )
    later = (column for column in dataset.columns if column.later)
    return replace(dataset, columns=(*dataset.first_form.columns, *own, *later))


@dataclass(frozen=True, slots=True)
class ArrivalRun:
    """Consecutive rows: the first one's arrival number, their commit, and their count."""

    first_arrival: int
    commit: int
    rows: int


@cache
def stored_schema(dataset: Dataset) -> pa.Schema:
    """Return Arrow's schema of stored rows."""
    return pa.schema([*dataset.schema, *(column.field for column in _SYSTEM_COLUMNS)])


@cache
def no_rows(dataset: Dataset) -> pa.Table:
    """Return an empty table of stored rows."""
    return stored_schema(dataset).empty_table()


def stored_rows(rows: pa.Table, runs: Sequence[ArrivalRun]) -> pa.Table:
    """Return new rows with their system columns. No row is cancelled or replaced yet.

    runs: describe all rows, in order.
    """
    counts = [run.rows for run in runs]
    firsts = np.array([run.first_arrival for run in runs], dtype=np.int64)
    begins = np.cumsum([0, *counts[:-1]], dtype=np.int64)[: len(runs)]
    arrival = np.arange(rows.num_rows, dtype=np.int64) + np.repeat(firsts - begins, counts)
    commit = np.repeat(np.array([run.commit for run in runs], dtype=np.int32), counts)
    until = np.full(rows.num_rows, STANDS, dtype=np.int32)
    return with_system_columns(rows, arrival=arrival, commit=commit, until=until)


def apply_corrections(rows: pa.Table, corrections: pa.Table) -> pa.Table:
    """Return the stored rows with corrections applied in order. corrections: all those of some commits.

    A correction has the dataset's columns with the row's new values (for a cancel, the old values), the
    corrected row's `arrival`, `action` and `commit`. It sets `until` of the standing row with this arrival
    number; a correct also appends the new row at the end. A correction is ignored if no such row stands in
    `rows` or if `rows` already include it. If a commit corrects a row twice, only the last new row is added.
    """
    standing = np.flatnonzero(integers(rows, "until") == STANDS)
    standing = standing[np.argsort(integers(rows, "arrival")[standing], kind="stable")]
    index = _indices(integers(rows, "arrival")[standing], integers(corrections, "arrival"))
    if not len(standing):
        return rows
    corrected = standing[index]
    newer = (index >= 0) & (integers(corrections, "commit") > integers(rows, "commit")[corrected])
    order = np.flatnonzero(newer)
    order = order[np.argsort(corrected[order], kind="stable")]
    if not len(order):
        return rows
    corrected, commit = corrected[order], integers(corrections, "commit")[order]
    is_first = np.append(True, corrected[1:] != corrected[:-1])
    until = integers(rows, "until").copy()
    until[corrected[is_first]] = commit[is_first]
    is_last = np.append(is_first[1:], True)
    ends = np.where(is_last, STANDS, np.append(commit[1:], 0)).astype(np.int32)
    action = action_name(rows.column_names)
    corrects = corrections.column(action).to_numpy()[order] == Action.CORRECT
    kept = corrects & (commit < ends)
    additions = with_system_columns(
        corrections.take(pa.array(order[kept])).drop_columns(action), until=ends[kept]
    )
    return pa.concat_tables([with_system_columns(rows, until=until), additions.select(rows.column_names)])


def passed_values(rows: pa.Table, corrections: pa.Table) -> pa.Table:
    """Return the values that a commit replaced itself, because it corrected a row repeatedly. `apply_corrections` omits them.

    They are versions that never stood: their `until` is their `commit`.
    """
    action, arrivals, commits = (
        action_name(rows.column_names),
        *(integers(corrections, n) for n in ("arrival", "commit")),
    )
    order = np.lexsort((commits, arrivals))
    is_passed = np.zeros(len(order), np.bool_)
    is_passed[order[:-1]] = (np.diff(arrivals[order]) == 0) & (np.diff(commits[order]) == 0)
    is_passed &= corrections.column(action).to_numpy(zero_copy_only=False) == Action.CORRECT
    is_passed &= np.isin(arrivals, integers(rows, "arrival"))
    lines = corrections.filter(pa.array(is_passed)).drop_columns(action)
    return (
        with_system_columns(lines, until=integers(lines, "commit"))
        .select(rows.column_names)
        .cast(rows.schema)
    )


def first_versions(rows: pa.Table) -> Mask:
    """Return a mask of the versions as they came in. rows: in any order, with all versions of each row."""
    arrivals = integers(rows, "arrival")
    order = np.lexsort((integers(rows, "commit"), arrivals))
    is_end = np.ones(len(order), np.bool_)
    is_end[order[1:]] = arrivals[order][1:] != arrivals[order][:-1]
    return is_end


def versions_until(rows: pa.Table, commit: int | None) -> pa.Table:
    """Return stored rows as a commit left them: without later rows and without later ends; None means the newest."""
    if commit is None or not rows.num_rows:
        return rows
    stored = integers(rows, "commit")
    if stored.max() > commit:
        rows = rows.filter(pa.array(stored <= commit))
    until = integers(rows, "until")
    if until.min(initial=STANDS) == STANDS or not ((until > commit) & (until != STANDS)).any():
        return rows
    return with_system_columns(rows, until=np.where(until > commit, STANDS, until).astype(np.int32))


def with_columns(rows: pa.Table, names: Collection[str] | None) -> pa.Table:
    """Return event time, the named columns and the system columns; None means all columns."""
    if names is None:
        return rows
    kept = {"timestamp", *names, *SYSTEM_NAMES}
    return rows.select([name for name in rows.column_names if name in kept])


def standing_at(rows: pa.Table, commit: int) -> Mask:
    """Return a mask of the stored rows that stand at a commit."""
    stands: Mask = (integers(rows, "commit") <= commit) & (commit < integers(rows, "until"))
    return stands


def integers(table: pa.Table, name: str) -> Integers:
    """Return a column of integers without nulls."""
    values: Integers = table.column(name).to_numpy()
    return values


def _indices(ascending: Integers, wanted: Integers) -> Integers:
    """Return the index of each wanted number among ascending numbers; -1 if it is absent."""
    if not len(ascending):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[index] == wanted, index, -1)


def with_system_columns(table: pa.Table, **columns: npt.NDArray[Any]) -> pa.Table:
    """Return the table with system columns set or added: `arrival`, `commit`, `until`."""
    fields = {column.name: column.field for column in _SYSTEM_COLUMNS}
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        column = pa.chunked_array([pa.array(values, fields[name].type)])
        table = (
            table.append_column(fields[name], column)
            if index < 0
            else table.set_column(index, fields[name], column)
        )
    return table
