"""Which rows of a large batch are stored: the rule of `store.rows.duplicates`, vectorised."""

import numpy as np

from store.arrays import Integers, Mask
from store.csv.writing.identities import RowHashes, StoredHashes
from store.exceptions import IdConflict


def stored_rows(rows: RowHashes, stored: StoredHashes, places: Integers) -> Mask:
    """A mask of the rows that are among `stored`: every stored row that shares an identity with one.

    Rows are grouped by identity, the stored ones of a group first. Without ids the first k of a group with k
    stored rows are known. With an id all but the group's first row are, and must say what that one says.
    Raises `IdConflict` with the `places` of rows that say something else.
    """
    count, known = len(stored.identity), len(rows)
    identity = np.concatenate([stored.identity, rows.identity])
    check = np.concatenate([stored.check, rows.check])
    order = np.lexsort((check, identity))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(identity[order]) != 0) | (np.diff(check[order]) != 0)
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    in_store = np.add.reduceat((order < count).astype(np.int64), starts)[group]
    rank = np.arange(len(order)) - starts[group] - in_store
    is_row = order >= count
    at = order[is_row] - count
    duplicate, conflict = np.zeros(known, dtype=bool), np.zeros(known, dtype=bool)
    duplicate[at] = (rank < in_store)[is_row]
    if rows.has_id.any():
        value = np.concatenate([stored.value, rows.value])[order]
        is_known, is_equal = np.zeros(known, dtype=bool), np.zeros(known, dtype=bool)
        is_known[at] = ~is_first[is_row]
        is_equal[at] = (value == value[starts[group]])[is_row]
        duplicate = np.where(rows.has_id, is_known & is_equal, duplicate)
        conflict = rows.has_id & is_known & ~is_equal
    if conflict.any():
        raise IdConflict(sorted(places[conflict].tolist()))
    return duplicate
