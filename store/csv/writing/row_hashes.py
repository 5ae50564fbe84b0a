"""Hashes that identify rows. They are the same in every process and version.

A row is identified by 128 bits (`identity`, `check`): a hash of its id columns if it has an id, otherwise of
all columns. `value` shows whether rows with the same id differ: it is a hash of their columns, without the
dataset's `arrival_columns`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.declarations import ColumnKind, Dataset
from store.text_columns import text_ends

Words = npt.NDArray[np.uint64]

MIX_1, MIX_2, STEP = (
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
    np.uint64(0x9E3779B97F4A7C15),
)
_SEEDS = np.array([[0xA0761D6478BD642F], [0xE7037ED1A0B428DB]], dtype=np.uint64)
_WORD_BYTES = 8
# Masks that keep the first 0, 1, …, 8 bytes of a word.
_OWN_BYTES = np.array([2 ** (8 * count) - 1 for count in range(_WORD_BYTES + 1)], dtype=np.uint64)


def mixed(words: Words) -> Words:
    """Apply the finalizer of splitmix64: every input bit changes every output bit with probability one half."""
    words = (words ^ (words >> np.uint64(30))) * MIX_1
    words = (words ^ (words >> np.uint64(27))) * MIX_2
    return words ^ (words >> np.uint64(31))


def text_words(values: pa.Array) -> Words:
    """Return a 128-bit hash of each text: an array with two rows of 64-bit words. Words of nulls are undefined.

    Each step reads the next eight bytes of all texts.
    """
    ends = text_ends(values).astype(np.int64)
    padded = np.zeros(ends[-1] - ends[0] + _WORD_BYTES, np.uint8)
    padded[:-_WORD_BYTES] = np.frombuffer(values.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    words_from = np.ndarray(len(padded) - _WORD_BYTES + 1, "<u8", padded, strides=(1,))
    starts, lengths = ends[:-1] - ends[0], np.diff(ends)
    hashes = mixed(lengths.view(np.uint64) + _SEEDS)
    for offset in range(0, int(lengths.max(initial=1)), _WORD_BYTES):
        if offset == 0:
            words = words_from[starts] & _OWN_BYTES[np.minimum(lengths, _WORD_BYTES)]
            hashes = mixed((hashes ^ words) * MIX_2 + _SEEDS)
        else:
            longer = np.flatnonzero(lengths > offset)
            words = (
                words_from[starts[longer] + offset]
                & _OWN_BYTES[np.minimum(lengths[longer] - offset, _WORD_BYTES)]
            )
            hashes[:, longer] = mixed((hashes[:, longer] ^ words) * MIX_2 + _SEEDS)
    return hashes


# 64-bit hashes. They are signed because column files are searched by signed integers.
Hashes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _ColumnWords:
    """One or two words for each value of a column. present: a mask of the values; None if no value is null."""

    words: Words
    present: Mask | None


@dataclass(frozen=True, slots=True)
class RowHashes:
    """The hashes of rows: columns of the same length with one entry per row, in order of arrival."""

    identity: Hashes
    check: Hashes
    value: Hashes
    has_id: Mask

    def __len__(self) -> int:
        return len(self.identity)

    def taken(self, indices: Integers) -> RowHashes:
        """Return the hashes of the rows with these indices."""
        return RowHashes(
            self.identity[indices], self.check[indices], self.value[indices], self.has_id[indices]
        )


@dataclass(frozen=True, slots=True)
class StoredHashes:
    """The hashes of stored rows, as columns of the same length.

    There is one entry per stored row, and one more per correction that gave a row with an id new values.
    arrival: the row's arrival number.
    """

    identity: Hashes
    check: Hashes
    value: Hashes
    arrival: Integers

    @classmethod
    def of(cls, rows: RowHashes, arrival: Integers) -> StoredHashes:
        """Return the hashes of rows with these arrival numbers."""
        return cls(rows.identity, rows.check, rows.value, arrival)

    @classmethod
    def joined(cls, parts: Sequence[StoredHashes]) -> StoredHashes:
        """Return the entries of all parts in one object, one part after the other."""
        full = [part for part in parts if len(part)]
        if len(full) < 2:
            return full[0] if full else NO_HASHES
        return cls(
            *(np.concatenate(columns) for columns in zip(*(part.columns for part in full), strict=True))
        )

    def without(self, arrivals: Integers) -> StoredHashes:
        """Return the entries of all rows but those with these arrival numbers."""
        is_kept = ~np.isin(self.arrival, arrivals)
        return StoredHashes(*(column[is_kept] for column in self.columns))

    @property
    def columns(self) -> tuple[Integers, ...]:
        """The four columns."""
        return self.identity, self.check, self.value, self.arrival

    def __len__(self) -> int:
        return len(self.identity)

    def taken(self, indices: Integers) -> StoredHashes:
        """Return the entries with these indices."""
        return StoredHashes(*(column[indices] for column in self.columns))

    def by_identity(self) -> StoredHashes:
        """Return the entries, sorted by identity. Entries of one identity keep their order."""
        return self.taken(np.argsort(self.identity, kind="stable"))


_NONE = np.zeros(0, dtype=np.int64)
NO_HASHES = StoredHashes(_NONE, _NONE, _NONE, _NONE)


def hash_rows(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> RowHashes:
    """Return the hashes of rows, of the dataset's `own_columns`.

    If the hashed columns or the hash function change, `hash_file.KIND` must change.
    """
    columns = {column.name: _words(rows.column(column.name), column.kind) for column in dataset.own_columns}
    has_id = np.zeros(rows.num_rows, dtype=bool)
    if dataset.id_columns:
        has_id = rows.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    if has_id.all() and len(has_id):
        return _by_id(dataset, columns, has_id)
    identity, check = _combined(columns, columns, seeds=(1, 2), count=rows.num_rows)
    if not has_id.any():
        return RowHashes(identity, check, identity, has_id)
    by_id = _by_id(dataset, columns, has_id)
    return RowHashes(
        np.where(has_id, by_id.identity, identity),
        np.where(has_id, by_id.check, check),
        np.where(has_id, by_id.value, identity),
        has_id,
    )


def repeated_ids(rows: RowHashes) -> Mask:
    """Return a mask of the rows with the id of a later row."""
    ids = np.stack([rows.identity, rows.check])[:, ::-1]
    _, last = np.unique(ids, axis=1, return_index=True)
    mask: Mask = np.ones(len(rows), dtype=bool)
    mask[len(rows) - 1 - last] = False
    return mask


def _by_id(dataset: Dataset, columns: Mapping[str, _ColumnWords | None], has_id: Mask) -> RowHashes:
    names = [name for name in columns if name not in dataset.arrival_columns]
    (value,) = _combined(columns, names, seeds=(5,), count=len(has_id))
    identity, check = _combined(columns, dataset.id_columns, seeds=(3, 4), count=len(has_id))
    return RowHashes(identity, check, value, has_id)


def _words(values: pa.Array | pa.ChunkedArray, kind: ColumnKind) -> _ColumnWords | None:
    """Return one word per value, or two per text. Return None if all values are null."""
    if values.null_count == len(values):
        return None
    present = values.is_valid().to_numpy(zero_copy_only=False) if values.null_count else None
    if kind is ColumnKind.TEXT:
        texts = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return _ColumnWords(text_words(texts), present)
    if kind is ColumnKind.BOOLEAN:
        values = values.cast(pa.int64())
    dtype = np.float64 if kind is ColumnKind.NUMBER else np.int64
    filled: npt.NDArray[Any] = np.asarray(values.fill_null(0) if values.null_count else values, dtype=dtype)
    return _ColumnWords(filled.view(np.uint64)[np.newaxis], present)


def _combined(
    columns: Mapping[str, _ColumnWords | None], names: Collection[str], *, seeds: Sequence[int], count: int
) -> Hashes:
    """Return one row of hashes per seed. A hash is made from the sum of the mixed words of the named columns.

    A null adds nothing. count: the number of rows.
    """
    salts = np.array([[seed * int(STEP) % 2**64] for seed in seeds], dtype=np.uint64)
    total = np.repeat(salts, count, axis=1)
    for index, (name, column) in enumerate(columns.items()):
        if column is None or name not in names:
            continue
        for number, words in enumerate(column.words):
            own = np.uint64((2 * index + number + 1) * int(MIX_1) % 2**64)
            added = mixed(words + (salts ^ own))
            total += added if column.present is None else added * column.present
    return mixed(total).view(np.int64)


def bounds_in(identity: Hashes, identities: Hashes) -> tuple[Integers, Integers]:
    """Return the start and end of the entries of each of `identities` in `identity`.

    identity: sorted, not empty.
    """
    starts = identity.searchsorted(identities)
    stops = starts.copy()
    is_found = np.flatnonzero(identity[np.minimum(starts, len(identity) - 1)] == identities)
    stops[is_found] = identity.searchsorted(identities[is_found], "right")
    return starts, stops


def indices_of_ranges(starts: Integers, stops: Integers) -> Integers:
    """Return the indices in all ranges `[start, stop)`, one range after the other."""
    lengths = stops - starts
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(lengths.sum())
