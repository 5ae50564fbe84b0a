"""Decides which rows of a batch are already stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, indices_of_ranges, ranges_of
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.rows.row_hashes import NO_ID, RowKeys
from store.rows.stored_rows import first_versions


class IdPairs:
    """All pairs of a row of a batch and a stored version with its id, ordered by the rows.

    of_rows, of_stored: their indices.
    """

    def __init__(
        self, dataset: Dataset, rows: pa.RecordBatch, ids: Integers, stored: pa.Table, stored_ids: Integers
    ) -> None:
        """Pair rows. ids, stored_ids: the `id_hashes` of both."""
        self._dataset = dataset
        order = np.argsort(stored_ids, kind="stable")
        starts, ends = ranges_of(stored_ids[order], ids)
        starts = np.where(ids == NO_ID, ends, starts)
        of_rows = np.repeat(np.arange(len(ids)), ends - starts)
        of_stored = order[indices_of_ranges(starts, ends)]
        sent, found = _taken(rows, of_rows), _taken(stored, of_stored)
        is_pair = _are_equal(sent, found, dataset.id_columns)
        if not is_pair.all():
            sent, found = (table.filter(pa.array(is_pair)) for table in (sent, found))
        self.of_rows, self.of_stored = of_rows[is_pair], of_stored[is_pair]
        self._sent, self._stored = sent, found

    def have_same_values(self, *, later_of_sent: bool = False) -> Mask:
        """Return whether the values of each pair are equal, and later columns wherever both have a value.

        later_of_sent: they are equal wherever the row of the batch has a value.
        """
        dataset = self._dataset
        ignored = {*dataset.id_columns, *dataset.arrival_columns}
        own = [column.name for column in dataset.own_columns if column.name not in ignored]
        same = _are_equal(self._sent, self._stored, own)
        for name in (name for name in dataset.later_names if name not in dataset.id_columns):
            sent, stored = self._sent.column(name), self._stored.column(name)
            lacks = _nulls(sent) if later_of_sent else _nulls(sent) | _nulls(stored)
            same &= lacks | _equal(sent, stored)
        return same


def duplicates_among(
    dataset: Dataset, rows: pa.RecordBatch, ids: Integers, stored: pa.Table, stored_ids: Integers
) -> tuple[Mask, Mask]:
    """Return masks of the batch's rows that are stored already, and of those whose id is stored with other values.

    stored: all versions of stored rows, also of cancelled ones. ids, stored_ids: the `id_hashes` of both. Two rows are
    the same if their values are equal, and their later columns agree wherever both have a value. A row whose id is stored is a
    duplicate if it is the same as any version. If its id is not stored, but is that of an earlier row of the batch, it
    is compared with the first of these. Rows without an id are counted: each stored row, as it came in, makes one row of
    the batch a duplicate, if possible one with equal later columns.
    """
    duplicates, conflicts = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.bool_)
    with_id, without_id = np.flatnonzero(ids != NO_ID), np.flatnonzero(ids == NO_ID)
    if len(with_id):
        found = _by_ids(dataset, _taken(rows, with_id), ids[with_id], stored, stored_ids)
        duplicates[with_id], conflicts[with_id] = found
    if len(without_id):
        originals = _taken(stored, np.flatnonzero(first_versions(stored) & (stored_ids == NO_ID)))
        duplicates[without_id] = _by_count(dataset, _taken(rows, without_id), originals)
    return duplicates, conflicts


def first_of_each(ids: Integers) -> Integers:
    """Return, for each row, the index of the first row with its id."""
    order = np.argsort(ids, kind="stable")
    is_first = np.append(True, np.diff(ids[order]) != 0)[: len(order)]
    first = np.empty(len(order), np.int64)
    first[order] = order[is_first][np.cumsum(is_first) - 1]
    return first


def _by_ids(
    dataset: Dataset, rows: pa.RecordBatch, ids: Integers, stored: pa.Table, stored_ids: Integers
) -> tuple[Mask, Mask]:
    known, same = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.bool_)
    pairs = IdPairs(dataset, rows, ids, stored, stored_ids)
    known[pairs.of_rows] = True
    same[pairs.of_rows[pairs.have_same_values()]] = True
    unknown = np.flatnonzero(~known)
    first = unknown[first_of_each(ids[unknown])]
    repeated, first = unknown[first != unknown], first[first != unknown]
    if len(repeated):
        firsts = np.unique(first)
        own = IdPairs(dataset, _taken(rows, repeated), ids[repeated], _taken(rows, firsts), ids[firsts])
        known[repeated[own.of_rows]] = True
        same[repeated[own.of_rows[own.have_same_values()]]] = True
    return known & same, known & ~same


def _by_count(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> Mask:
    sent, known = RowKeys.of(dataset, rows), RowKeys.of(dataset, stored)
    matched, taken = _matched(sent, known)
    rest = np.flatnonzero(~matched & np.isin(sent.one, known.one[~taken]))
    if len(rest) and dataset.later_names:
        _match_rest(dataset, rows, rest, stored.filter(pa.array(~taken)), matched)
    return matched


def _matched(sent: RowKeys, stored: RowKeys) -> tuple[Mask, Mask]:
    """Match rows one to one with stored rows that are equal in all columns; return masks of both."""
    count = len(stored.one)
    keys = [
        np.concatenate([getattr(stored, name), getattr(sent, name)]) for name in ("later", "other", "one")
    ]
    order = np.lexsort(keys)
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in keys])
    starts, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    in_store = np.add.reduceat((order < count).astype(np.int64), starts)[group]
    in_batch = np.diff(np.append(starts, len(order)))[group] - in_store
    place = np.arange(len(order)) - starts[group]
    is_matched = np.empty(len(order), np.bool_)
    is_matched[order] = np.where(order < count, place < in_batch, place - in_store < in_store)
    return is_matched[count:], is_matched[:count]


def _match_rest(
    dataset: Dataset, rows: pa.RecordBatch, unmatched: Integers, stored: pa.Table, matched: Mask
) -> None:
    """Match the remaining rows, in order, with stored rows of which one lacks later columns that the other has."""
    names = [name for name in dataset.later_names if name not in dataset.id_columns]
    sent, original = _taken(rows, unmatched), dataset.first_form
    candidates: dict[tuple[int, int], list[tuple[object, ...]]] = defaultdict(list)
    for key, later in zip(_keys(original, stored), _values(stored, names), strict=True):
        candidates[key].append(later)
    for index, key, later in zip(
        unmatched.tolist(), _keys(original, sent), _values(sent, names), strict=True
    ):
        others = candidates.get(key, [])
        found = next((n for n, other in enumerate(others) if _agree(later, other)), None)
        if found is not None:
            del others[found]
            matched[index] = True


def _keys(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> list[tuple[int, int]]:
    hashes = RowKeys.of(dataset, rows)
    return list(zip(hashes.one.tolist(), hashes.other.tolist(), strict=True))


def _values(rows: pa.RecordBatch | pa.Table, names: Sequence[str]) -> list[tuple[object, ...]]:
    return list(zip(*(rows.column(name).to_pylist() for name in names), strict=True))


def _agree(one: Sequence[object], other: Sequence[object]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _taken(rows: pa.RecordBatch | pa.Table, indices: Integers) -> pa.RecordBatch | pa.Table:
    is_whole = len(indices) == rows.num_rows and bool((indices == np.arange(len(indices))).all())
    return rows if is_whole else rows.take(pa.array(indices))


def _are_equal(
    one: pa.RecordBatch | pa.Table, other: pa.RecordBatch | pa.Table, names: Sequence[str]
) -> Mask:
    """Return whether the values of each two rows are equal in the named columns; two missing values are."""
    equal = np.ones(one.num_rows, np.bool_)
    for name in names:
        a, b = one.column(name), other.column(name)
        equal &= _equal(a, b) | (_nulls(a) & _nulls(b))
    return equal


def _equal(one: pa.Array | pa.ChunkedArray, other: pa.Array | pa.ChunkedArray) -> Mask:
    equal: Mask = pc.fill_null(pc.equal(one, other), False).to_numpy(zero_copy_only=False)
    return equal


def _nulls(values: pa.Array | pa.ChunkedArray) -> Mask:
    if not values.null_count:
        return np.zeros(len(values), np.bool_)
    nulls: Mask = values.is_null().to_numpy(zero_copy_only=False)
    return nulls
