"""Decides which rows of a batch are already stored."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, distinct, indices_of_ranges, is_among, ranges_of
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.rows.row_hashes import NO_ID, Hashes, RowKeys, hashed
from store.rows.stored_rows import first_versions
from store.timestamps import DAY_NS

# Rows without ids are compared by so many columns before all are hashed, if so many stored rows per row are at their times.
_COMPARED_FIRST = 3
_MANY = 4


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

    def have_same_values(self) -> Mask:
        """Return whether the values of each pair are equal, and later columns wherever the row of the batch has a value."""
        dataset = self._dataset
        ignored = {*dataset.id_columns, *dataset.arrival_columns}
        own = [column.name for column in dataset.own_columns if column.name not in ignored]
        same = _are_equal(self._sent, self._stored, own)
        for name in (name for name in dataset.later_names if name not in dataset.id_columns):
            sent, stored = self._sent.column(name), self._stored.column(name)
            same &= _nulls(sent) | _equal(sent, stored)
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
    first = np.flatnonzero(first_of_each(stored_ids) == np.arange(len(stored_ids)))
    pairs = IdPairs(dataset, rows, ids, _taken(stored, first), stored_ids[first])
    known = np.zeros(len(ids), np.bool_)
    known[pairs.of_rows[pairs.have_same_values()]] = True
    same, others = known.copy(), np.flatnonzero(~known)
    if len(others):
        near = _taken(stored, np.flatnonzero(is_among(stored_ids, distinct(ids[others]))))
        known[others], same[others] = _Hashed.of(dataset, near, _taken(rows, others)).compared()
    return known & same, known & ~same


@dataclass(frozen=True, slots=True)
class _Hashed:
    """Stored rows, then rows of a batch, all with ids. Equal numbers mean equal ids, and equal ids and values.

    count: of the stored rows. later: the hashes of each later column, and a mask of its values. Rows are not paired: many
    versions of one row may meet many rows with its id.
    """

    count: int
    ids: Integers
    values: Integers
    later: Sequence[tuple[Hashes, Mask]]

    @classmethod
    def of(cls, dataset: Dataset, stored: pa.Table, rows: pa.RecordBatch) -> _Hashed:
        def hashes(*names: str) -> Hashes:
            return np.hstack([hashed(dataset, each, names, seeds=(1, 2)) for each in (stored, rows)])

        days = np.concatenate([each.column(0).to_numpy() for each in (stored, rows)]) // DAY_NS
        ids = _numbered([days, *hashes(*dataset.id_columns)])
        ignored = {*dataset.id_columns, *dataset.arrival_columns}
        own = [column.name for column in dataset.own_columns if column.name not in ignored]
        later = [
            (hashes(name)[0], ~np.concatenate([_nulls(each.column(name)) for each in (stored, rows)]))
            for name in dataset.later_names
            if name not in dataset.id_columns
        ]
        return cls(stored.num_rows, ids, _numbered([ids, *hashes(*own)]), later)

    def compared(self) -> tuple[Mask, Mask]:
        """Return masks of the batch's rows whose ids are stored or repeated, and of those with the same values."""
        first, own = first_of_each(self.ids)[self.count :], np.arange(self.count, len(self.ids))
        repeated = (first != own) & (first >= self.count)
        return first != own, np.where(repeated, self.agree(own, first), self.equal_stored())

    def agree(self, one: Integers, other: Integers) -> Mask:
        """Return whether the values of each two rows are equal, and later columns wherever both have a value."""
        same: Mask = self.values[one] == self.values[other]
        for words, present in self.later:
            same &= ~present[one] | ~present[other] | (words[one] == words[other])
        return same

    def equal_stored(self) -> Mask:
        """Return a mask of the batch's rows that agree with any stored one."""
        is_stored, same = np.arange(len(self.ids)) < self.count, np.zeros(len(self.ids), np.bool_)
        present = np.zeros(len(self.ids), np.int64)
        for bit, (_, has_value) in enumerate(self.later):
            present |= has_value.astype(np.int64) << bit
        sent, stored = distinct(present[self.count :]), distinct(present[: self.count])
        for one, other in product(sent.tolist(), stored.tolist()):
            shared = [words for bit, (words, _) in enumerate(self.later) if one & other & 1 << bit]
            chosen = np.flatnonzero(present == np.where(is_stored, other, one))
            numbers = (
                _numbered([key[chosen] for key in (*shared, self.values)]) if shared else self.values[chosen]
            )
            same[chosen] |= is_among(numbers, distinct(numbers[is_stored[chosen]]))
        return same[self.count :]


def _by_count(dataset: Dataset, rows: pa.RecordBatch, stored: pa.Table) -> Mask:
    if stored.num_rows > _MANY * rows.num_rows:
        first = [column.name for column in dataset.own_columns[:_COMPARED_FIRST]]
        (own,), (others,) = (hashed(dataset, each, first, seeds=(1,)) for each in (rows, stored))
        stored = _taken(stored, np.flatnonzero(is_among(others, distinct(own))))
    sent, known = RowKeys.of(dataset, rows), RowKeys.of(dataset, stored)
    matched, taken = _matched(sent, known)
    rest = np.flatnonzero(~matched & is_among(sent.one, distinct(known.one[~taken])))
    if len(rest) and dataset.later_names:
        free = np.flatnonzero(~taken & is_among(known.one, distinct(sent.one[rest])))
        names = [name for name in dataset.later_names if name not in dataset.id_columns]
        is_matched = _rest_matched(_keyed(rows, sent, rest, names), _keyed(stored, known, free, names))
        matched[rest[is_matched]] = True
    return matched


def _matched(sent: RowKeys, stored: RowKeys) -> tuple[Mask, Mask]:
    """Match rows one to one with stored rows that are equal in all columns; return masks of both."""
    count = len(stored.one)
    order, is_first = _grouped(
        [np.concatenate([getattr(stored, name), getattr(sent, name)]) for name in ("later", "other", "one")]
    )
    starts, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    in_store = np.add.reduceat((order < count).astype(np.int64), starts)[group]
    in_batch = np.diff(np.append(starts, len(order)))[group] - in_store
    place = np.arange(len(order)) - starts[group]
    is_matched = np.empty(len(order), np.bool_)
    is_matched[order] = np.where(order < count, place < in_batch, place - in_store < in_store)
    return is_matched[count:], is_matched[:count]


def _numbered(keys: Sequence[Integers]) -> Integers:
    """Return a number for each row: the same one for rows with equal keys."""
    order, is_first = _grouped(keys)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(is_first)
    return numbers


def _grouped(keys: Sequence[Integers]) -> tuple[Integers, Mask]:
    """Return an order in which rows with equal keys are neighbours, as they came, and a mask of the first ones in it.

    It is fast if rows with the same last key hardly ever differ.
    """
    order = np.argsort(keys[-1], kind="stable")
    differs = [np.append(True, np.diff(key[order]) != 0)[: len(order)] for key in keys]
    is_first: Mask = np.logical_or.reduce(differs)
    if (is_first & ~differs[-1]).any():
        order = np.lexsort(keys)
        is_first = np.logical_or.reduce(
            [np.append(True, np.diff(key[order]) != 0)[: len(order)] for key in keys]
        )
    return order, is_first


_Keyed = Iterable[tuple[tuple[int, int], tuple[object, ...]]]


def _rest_matched(rows: _Keyed, stored: _Keyed) -> list[bool]:
    """Match the remaining rows, in order, with the first stored rows of which one lacks later columns that the other has.

    Return whether each is matched.
    """
    places: dict[tuple[int, int], dict[tuple[object, ...], deque[int]]] = defaultdict(dict)
    for place, (key, later) in enumerate(stored):
        places[key].setdefault(later, deque()).append(place)
    matched = []
    for key, later in rows:
        agreeing = [own for other, own in places[key].items() if own and _agree(later, other)]
        if agreeing:
            min(agreeing, key=itemgetter(0)).popleft()
        matched.append(bool(agreeing))
    return matched


def _keyed(
    rows: pa.RecordBatch | pa.Table, hashes: RowKeys, indices: Integers, names: Sequence[str]
) -> _Keyed:
    """Return the hashes and the named values of the rows with these indices."""
    keys = zip(hashes.one[indices].tolist(), hashes.other[indices].tolist(), strict=True)
    values = (rows.column(name).take(pa.array(indices)).to_pylist() for name in names)
    return zip(keys, zip(*values, strict=True), strict=True)


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
