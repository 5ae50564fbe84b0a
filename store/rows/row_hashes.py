"""Hashes by which rows of a batch are compared with stored ones: of their ids, and of rows without an id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.declarations import ColumnKind, Dataset
from store.text_columns import text_ends
from store.timestamps import DAY_NS

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
    shortest = max(int(lengths.min(initial=1)), 1)
    for offset in range(0, int(lengths.max(initial=1)), _WORD_BYTES):
        own = slice(None) if offset < shortest else np.flatnonzero(lengths > offset)
        words = words_from[starts[own] + offset] & _OWN_BYTES[np.minimum(lengths[own] - offset, _WORD_BYTES)]
        hashes[:, own] = mixed((hashes[:, own] ^ words) * MIX_2 + _SEEDS)
    return hashes


Hashes: TypeAlias = npt.NDArray[np.int64]

# Stands for the hash of a row without an id.
NO_ID = -(2**63)


def id_hashes(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> Integers:
    """Return a 63-bit hash of each row's id, `NO_ID` for rows without one.

    An id that does not contain the event time is hashed with its event date, on which it is unique. Derived files hold
    these hashes: if they change, `manifest.FORMAT` must change.
    """
    hashes = np.full(rows.num_rows, NO_ID)
    if not dataset.id_columns:
        return hashes
    has_id = rows.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    if not has_id.any():
        return hashes
    (hashes_of_ids,) = hashed(dataset, rows, dataset.id_columns, seeds=(3,))
    if dataset.has_optional_ids:
        days = (rows.column(0).to_numpy() // DAY_NS).view(np.uint64)
        hashes_of_ids = mixed(hashes_of_ids.view(np.uint64) ^ mixed(days * STEP)).view(np.int64)
    return np.where(has_id, hashes_of_ids >> 1, NO_ID)


def searched_ids(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> Integers | None:
    """Return the `id_hashes`; None if no row has an id, or if ids contain the event time, by which rows are found."""
    if not dataset.has_optional_ids or rows.column(dataset.id_columns[-1]).null_count == rows.num_rows:
        return None
    return id_hashes(dataset, rows)


@dataclass(frozen=True, slots=True)
class RowKeys:
    """128 bits of each row's original columns, and a hash of its later columns."""

    one: Hashes
    other: Hashes
    later: Hashes

    @classmethod
    def of(cls, dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> RowKeys:
        """Hash rows. rows: with the dataset's columns, and perhaps others."""
        names = [column.name for column in dataset.own_columns]
        later = [name for name in dataset.later_names if name not in names]
        one, other = hashed(dataset, rows, names, seeds=(1, 2))
        return cls(one, other, *hashed(dataset, rows, later, seeds=(6,)))


def hashed(
    dataset: Dataset, rows: pa.RecordBatch | pa.Table, names: Sequence[str], *, seeds: Sequence[int]
) -> Hashes:
    """Return one row of hashes of the named columns per seed."""
    columns = [_words(rows.column(name), dataset.column(name).kind) for name in names]
    return _combined(columns, seeds=seeds, count=rows.num_rows)


@dataclass(frozen=True, slots=True)
class _ColumnWords:
    """One or two words for each value of a column. present: a mask of the values; None if no value is null."""

    words: Words
    present: Mask | None


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
    if kind is ColumnKind.NUMBER:
        filled = filled + 0.0  # minus zero is zero
    return _ColumnWords(filled.view(np.uint64)[np.newaxis], present)


def _combined(columns: Sequence[_ColumnWords | None], *, seeds: Sequence[int], count: int) -> Hashes:
    """Return one row of hashes per seed. A hash is made from the sum of the mixed words of the columns.

    A null adds nothing. count: the number of rows.
    """
    salts = np.array([[seed * int(STEP) % 2**64] for seed in seeds], dtype=np.uint64)
    total = np.repeat(salts, count, axis=1)
    for index, column in enumerate(columns):
        if column is None:
            continue
        for number, words in enumerate(column.words):
            own = np.uint64((2 * index + number + 1) * int(MIX_1) % 2**64)
            added = mixed(words + (salts ^ own))
            total += added if column.present is None else added * column.present
    return mixed(total).view(np.int64)
