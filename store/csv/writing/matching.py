"""Finds the rows of a batch that are stored already, by hashes: the vectorised form of `store.rows.duplicates`."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from store.arrays import Integers, Mask
from store.csv.writing.batch import Chunk
from store.csv.writing.row_hashes import RowHashes, StoredHashes
from store.exceptions import IdConflict
from store.rows.duplicates import IdentifiedRow, stored_values_among

# From this many rows on, processing whole columns is faster than processing row by row.
_MANY_ROWS = 512


def duplicates_among(chunk: Chunk, candidates: StoredHashes) -> Mask:
    """Return a mask of the chunk's rows that are stored already.

    candidates: the stored rows with the same identities. Rows of one identity are in order of arrival. Raises
    `IdConflict`.
    """
    if chunk.rows.num_rows >= _MANY_ROWS and (len(candidates) or chunk.has_ids):
        with suppress(IdConflict):  # the slower, exact rule below also accepts corrected values
            return stored_rows(chunk.hashes, candidates, chunk.indices)
    if not len(candidates) and not chunk.has_ids:
        return np.zeros(chunk.rows.num_rows, dtype=bool)
    stored = stored_values_among(_identified(chunk, candidates), _values(candidates))
    return np.isin(chunk.indices, stored)


def stored_rows(rows: RowHashes, stored: StoredHashes, indices: Integers) -> Mask:
    """Return a mask of the rows that are duplicates. stored: all stored rows with the same identities.

    Rows are grouped by identity, stored ones first. Without ids, the first k new rows of a group with k stored
    rows are duplicates. With ids, all rows of a group but the first are duplicates and must have the first
    row's values. Raises `IdConflict` with the `indices` of rows that have other values.
    """
    stored_count, row_count = len(stored.identity), len(rows)
    identity = np.concatenate([stored.identity, rows.identity])
    check = np.concatenate([stored.check, rows.check])
    order = np.lexsort((check, identity))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(identity[order]) != 0) | (np.diff(check[order]) != 0)
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    in_store = np.add.reduceat((order < stored_count).astype(np.int64), starts)[group]
    rank = np.arange(len(order)) - starts[group] - in_store
    is_row = order >= stored_count
    index = order[is_row] - stored_count
    duplicate, conflict = np.zeros(row_count, dtype=bool), np.zeros(row_count, dtype=bool)
    duplicate[index] = (rank < in_store)[is_row]
    if rows.has_id.any():
        value = np.concatenate([stored.value, rows.value])[order]
        is_known, is_equal = np.zeros(row_count, dtype=bool), np.zeros(row_count, dtype=bool)
        is_known[index] = ~is_first[is_row]
        is_equal[index] = (value == value[starts[group]])[is_row]
        duplicate = np.where(rows.has_id, is_known & is_equal, duplicate)
        conflict = rows.has_id & is_known & ~is_equal
    if conflict.any():
        raise IdConflict(sorted(indices[conflict].tolist()))
    return duplicate


def _values(candidates: StoredHashes) -> Mapping[Hashable, list[int]]:
    """Return the stored values of each identity."""
    stored: dict[Hashable, list[int]] = defaultdict(list)
    for identity, check, value in _items(candidates.identity, candidates.check, candidates.value):
        stored[identity, check].append(value)
    return stored


def _identified(chunk: Chunk, candidates: StoredHashes) -> list[IdentifiedRow]:
    """Return the chunk's rows that may be stored, or that share an id with another row of the chunk."""
    hashes = chunk.hashes
    suspects = np.isin(hashes.identity, candidates.identity)
    if chunk.has_ids:
        ids, counts = np.unique(hashes.identity[hashes.has_id], return_counts=True)
        if len(ids) < counts.sum():
            suspects |= hashes.has_id & np.isin(hashes.identity, ids[counts > 1])
    rows = np.flatnonzero(suspects)
    columns = (hashes.identity, hashes.check, hashes.value, hashes.has_id)
    return [
        IdentifiedRow(index, (identity, check), value, has_id)
        for index, identity, check, value, has_id in _items(
            chunk.indices[rows], *(column[rows] for column in columns)
        )
    ]


def _items(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)
