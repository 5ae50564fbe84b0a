"""Decides which rows of a batch are stored already. Rows are compared by value with the stored rows at their event times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, distinct, is_among
from store.declarations import ColumnKind, Dataset
from store.lazy_imports import compute as pc
from store.rows.stored_rows import first_versions

_LARGEST = 2**62


def duplicates_among(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> tuple[Mask, Mask]:
    """Return masks of the batch's rows that are stored already, and of those whose id is stored with other values.

    stored: all versions of stored rows, also of cancelled ones. A row whose id is stored is a duplicate if its values are
    those of any version. If its id is not stored, but is that of an earlier row of the batch, it is compared with the first of
    these. Rows without an id are counted: each stored row, as it came in, makes one equal row of the batch a duplicate.
    """
    sent_have, stored_have = have_ids(dataset, rows), have_ids(dataset, stored)
    duplicates, conflicts = np.zeros(len(sent_have), np.bool_), np.zeros(len(sent_have), np.bool_)
    for has_id, compared in ((True, _by_ids), (False, _by_count)):
        sent = np.flatnonzero(sent_have == has_id)
        if len(sent):
            near = stored.filter(pa.array(stored_have == has_id))
            duplicates[sent], conflicts[sent] = compared(dataset, rows.take(pa.array(sent)), near)
    return duplicates, conflicts


def have_ids(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> Mask:
    """Return a mask of the rows that have an id."""
    if not dataset.id_columns:
        return np.zeros(rows.num_rows, np.bool_)
    present: Mask = rows.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    return present


def ids_and_values(
    dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table
) -> tuple[tuple[Integers, Integers], tuple[Integers, Integers]]:
    """Return two numbers for each row, of its id and of its values: `(stored, batch)` of the ids, then of the values.

    Rows have the same first number if their event time and id are the same, and the same second one if all else but the
    arrival columns is the same, too.
    """
    time, others = dataset.columns[0].name, {*dataset.id_columns, *dataset.arrival_columns}
    values = [name for name in dataset.schema.names if name not in others and name != time]
    both, count = _joined(dataset, rows, stored), stored.num_rows
    ids = _numbered(dataset, both, [time, *(name for name in dataset.id_columns if name != time)])
    equal = _numbered(dataset, both, values, ids)
    return (ids[:count], ids[count:]), (equal[:count], equal[count:])


def first_of_each(ids: Integers) -> Integers:
    """Return, for each row, the index of the first row with its id."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    found: Integers = first[inverse]
    return found


def _by_ids(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> tuple[Mask, Mask]:
    (stored_ids, ids), (stored_values, values) = ids_and_values(dataset, rows, stored)
    is_stored, first = is_among(ids, distinct(stored_ids)), first_of_each(ids)
    same = np.where(is_stored, is_among(values, distinct(stored_values)), values == values[first])
    is_known = is_stored | (first != np.arange(len(ids)))
    return is_known & same, is_known & ~same


def _by_count(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> tuple[Mask, Mask]:
    stored = stored.filter(pa.array(first_versions(stored)))
    both, count = _joined(dataset, rows, stored), stored.num_rows
    _, equal = np.unique(_numbered(dataset, both, dataset.schema.names), return_inverse=True)
    order = np.argsort(equal, kind="stable")
    ordered, places = equal[order], np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - ordered.searchsorted(ordered)
    # Of equal rows the stored ones come first, then as many of the batch are duplicates.
    found: Mask = places < 2 * np.bincount(equal[:count], minlength=len(equal))[equal]
    return found[count:], np.zeros(rows.num_rows, np.bool_)


def _joined(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> pa.Table:
    return pa.concat_tables([stored.select(dataset.schema.names), pa.Table.from_batches([rows])])


def _numbered(
    dataset: Dataset, rows: pa.Table, names: Sequence[str], total: Integers | None = None
) -> Integers:
    """Return a number for each row: the same one for rows with equal values in the named columns; two nulls are equal.

    total: numbers of which equal ones are necessary, too.
    """
    size = 1
    if total is not None:
        size = int(total.max(initial=0)) + 1
    else:
        total = np.zeros(rows.num_rows, np.int64)
    for name in names:
        column = rows.column(name).combine_chunks()
        if column.null_count == len(column):
            continue
        if dataset.column(name).kind is ColumnKind.NUMBER:
            column = pc.add(column, 0.0)  # minus zero is zero
        coded = pc.dictionary_encode(column, null_encoding="encode")
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        count = len(coded.dictionary)
        if size > _LARGEST // count:
            found, total = np.unique(total, return_inverse=True)
            size = len(found)
        total, size = total * count + coded.indices.to_numpy(), size * count
    return total
