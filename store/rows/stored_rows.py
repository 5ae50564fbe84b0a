"""Which rows stand at a commit: stored rows, the corrections that came after them, and what is left.

A *stored row* is the dataset's columns and three more: `arrival`, the row's number in its log, counted from
0; `commit`, which made it visible; `until`, which cancelled or replaced it. It is visible commit N where `commit
<= N < until`. A corrected row keeps the arrival number, so its place in the order, of the row it replaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Integers
from store.bars.prints import STANDS, sequences
from store.declarations import Dataset
from store.protocol import ALL_TIME, Action, Window


def in_order(rows: pa.Table, window: Window) -> pa.Table:
    """The rows in the window, sorted.

    `rows` is in order of arrival; rows without a sequence come behind those with.
    Rows that are in order already are not copied.
    """
    time = rows.column("timestamp").to_numpy()
    inside = (time >= window.start_ns) & (time < window.end_ns)
    if not inside.all():
        rows = rows.filter(pa.array(inside))
        time = time[inside]
    sequence = sequences(rows)
    if sequence is not None:
        return rows.take(pa.array(np.lexsort((sequence, time))))
    if len(time) < 2 or (time[1:] >= time[:-1]).all():
        return rows
    return rows.take(pa.array(np.argsort(time, kind="stable")))


def stored_in_order(rows: pa.Table) -> pa.Table:
    """Stored rows by (event time, sequence, arrival), each replaced row before the one in its place.

    Rows that are in order already are not copied.
    """
    time, arrival, commit = (rows.column(name).to_numpy() for name in ("timestamp", "arrival", "commit"))
    sequence = sequences(rows)
    if sequence is None and (np.diff(time) >= 0).all() and (np.diff(arrival) > 0).all():
        return rows
    keys = (commit, arrival, time) if sequence is None else (commit, arrival, sequence, time)
    order = np.lexsort(keys)
    is_ordered = bool((np.diff(order) == 1).all())
    return rows if is_ordered else rows.take(pa.array(order))


ARRIVAL = pa.field("arrival", pa.int64(), nullable=False)
ACTION = pa.field("action", pa.string(), nullable=False)
COMMIT = pa.field("commit", pa.int32(), nullable=False)
UNTIL = pa.field("until", pa.int32(), nullable=False)
SYSTEM_FIELDS = (ARRIVAL, COMMIT, UNTIL)


@dataclass(frozen=True, slots=True)
class ArrivalRun:
    """Rows that follow one another in arrival: the first one's number, their commit, how many they are."""

    first_arrival: int
    commit: int
    rows: int


def stored_schema(dataset: Dataset) -> pa.Schema:
    """Arrow's schema of stored rows."""
    return pa.schema([*dataset.schema, *SYSTEM_FIELDS])


def stored_rows(rows: pa.Table, runs: Sequence[ArrivalRun]) -> pa.Table:
    """Rows as they came in, all standing, with their system columns. The runs in order are the rows."""
    counts = [run.rows for run in runs]
    firsts = np.array([run.first_arrival for run in runs], dtype=np.int64)
    begins = np.cumsum([0, *counts[:-1]], dtype=np.int64)[: len(runs)]
    arrival = np.arange(rows.num_rows, dtype=np.int64) + np.repeat(firsts - begins, counts)
    commit = np.repeat(np.array([run.commit for run in runs], dtype=np.int32), counts)
    until = np.full(rows.num_rows, STANDS, dtype=np.int32)
    return _with_columns(rows, arrival=arrival, commit=commit, until=until)


def apply_corrections(rows: pa.Table, corrections: pa.Table) -> pa.Table:
    """The stored rows after corrections of whole commits, which are in the order in which they were made.

    A correction has the dataset's columns, as the row is from `commit` on (for a cancel, as it was), the
    `arrival` of the row that it corrects, `action` (cancel or correct) and `commit`. Each one ends the
    standing row of its arrival number: that gets the correction's commit as `until`, and a correct adds the
    row which takes its index. Additions stand behind the other rows. A correction of an arrival number that
    no standing row of `rows` has, or that `rows` has seen already, is passed over; so is a row that was never
    visible, because one commit corrected it twice.
    """
    standing = np.flatnonzero(_integers(rows, "until") == STANDS)
    standing = standing[np.argsort(_integers(rows, "arrival")[standing], kind="stable")]
    index = _indices(_integers(rows, "arrival")[standing], _integers(corrections, "arrival"))
    if not len(standing):
        return rows
    corrected = standing[index]
    newer = (index >= 0) & (_integers(corrections, "commit") > _integers(rows, "commit")[corrected])
    order = np.flatnonzero(newer)
    order = order[np.argsort(corrected[order], kind="stable")]
    if not len(order):
        return rows
    corrected, commit = corrected[order], _integers(corrections, "commit")[order]
    is_first = np.append(True, corrected[1:] != corrected[:-1])
    until = _integers(rows, "until").copy()
    until[corrected[is_first]] = commit[is_first]
    is_last = np.append(is_first[1:], True)
    ends = np.where(is_last, STANDS, np.append(commit[1:], 0)).astype(np.int32)
    corrects = corrections.column("action").to_numpy()[order] == Action.CORRECT
    kept = corrects & (commit < ends)
    additions = _with_columns(
        corrections.take(pa.array(order[kept])).drop_columns("action"), until=ends[kept]
    )
    return pa.concat_tables([_with_columns(rows, until=until), additions.select(rows.column_names)])


def visible(rows: pa.Table, commit: int | None = None, window: Window = ALL_TIME) -> pa.Table:
    """The stored rows in the window that stand at commit `commit` (None: the newest), without system columns.

    By (event time, sequence with nulls last, arrival).
    """
    newest = STANDS - 1 if commit is None else commit
    stands = (_integers(rows, "commit") <= newest) & (newest < _integers(rows, "until"))
    rows = rows if stands.all() else rows.filter(pa.array(stands))
    return ordered(rows, window).drop_columns([field.name for field in SYSTEM_FIELDS])


def ordered(rows: pa.Table, window: Window = ALL_TIME) -> pa.Table:
    """The stored rows in the window, standing or not, by (event time, sequence with nulls last, arrival)."""
    arrival = _integers(rows, "arrival")
    if (arrival[1:] < arrival[:-1]).any():
        rows = rows.take(pa.array(np.argsort(arrival, kind="stable")))
    return in_order(rows, window)


def _integers(table: pa.Table, name: str) -> Integers:
    values: Integers = table.column(name).to_numpy()
    return values


def _indices(ascending: Integers, wanted: Integers) -> Integers:
    """Where each wanted number is in the ascending ones; -1 where it is not."""
    if not len(ascending):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[index] == wanted, index, -1)


def _with_columns(table: pa.Table, **columns: npt.NDArray[Any]) -> pa.Table:
    """The table with system columns set or added."""
    fields = {field.name: field for field in SYSTEM_FIELDS}
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        column = pa.chunked_array([pa.array(values, fields[name].type)])
        table = (
            table.append_column(fields[name], column)
            if index < 0
            else table.set_column(index, fields[name], column)
        )
    return table
