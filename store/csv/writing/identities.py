"""What rows are recognised by: hashes of their identities, the same in every process and version.

A row is known by 128 bits (`identity`, `check`): of its id columns where it has an id, of all columns
otherwise. `value` is a hash of what a row with an id says, so that an id taken by other values is noticed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Integers, Mask
from store.csv.writing.text_hashes import MIX_1, STEP, Words, mixed, text_words
from store.declarations import Column, Dataset, Kind

# 64 bits each, as signed integers: files of columns are searched by such.
Hashes: TypeAlias = npt.NDArray[np.int64]

_MISSING = np.int64(-(2**63))
_MISSING_NUMBER = np.float64(np.nan)
# A row of words for each that a value has.
_MISSING_WORDS = {
    kind: np.array([[_MISSING_NUMBER if kind is Kind.NUMBER else _MISSING]]).view(np.uint64) for kind in Kind
}
_MISSING_WORDS[Kind.TEXT] = np.repeat(_MISSING_WORDS[Kind.TEXT], 2, axis=0)


@dataclass(frozen=True, slots=True)
class RowHashes:
    """Equally long columns, one entry per row, in order of arrival."""

    identity: Hashes
    check: Hashes
    value: Hashes
    has_id: Mask

    def __len__(self) -> int:
        return len(self.identity)

    def taken(self, places: Integers) -> "RowHashes":
        """Those of some rows."""
        return RowHashes(self.identity[places], self.check[places], self.value[places], self.has_id[places])


@dataclass(frozen=True, slots=True)
class StoredHashes:
    """Equally long columns, one entry per stored row, or per value that a stored row with an id has had.

    arrival: the row's number in its log.
    """

    identity: Hashes
    check: Hashes
    value: Hashes
    arrival: Integers

    @classmethod
    def of(cls, rows: RowHashes, arrival: Integers) -> "StoredHashes":
        """The hashes of rows with these arrival numbers."""
        return cls(rows.identity, rows.check, rows.value, arrival)

    @classmethod
    def joined(cls, parts: Sequence["StoredHashes"]) -> "StoredHashes":
        """All parts' rows, one part after the other."""
        full = [part for part in parts if len(part)]
        if len(full) < 2:
            return full[0] if full else NO_HASHES
        return cls(
            np.concatenate([part.identity for part in full]),
            np.concatenate([part.check for part in full]),
            np.concatenate([part.value for part in full]),
            np.concatenate([part.arrival for part in full]),
        )

    def __len__(self) -> int:
        return len(self.identity)

    def taken(self, places: Integers) -> "StoredHashes":
        """Those of some rows."""
        return StoredHashes(
            self.identity[places], self.check[places], self.value[places], self.arrival[places]
        )

    def by_identity(self) -> "StoredHashes":
        """Sorted by identity; rows of one stay in their order."""
        return self.taken(np.argsort(self.identity, kind="stable"))


_NONE = np.zeros(0, dtype=np.int64)
NO_HASHES = StoredHashes(_NONE, _NONE, _NONE, _NONE)


def hashed_columns(dataset: Dataset) -> Sequence[Column]:
    """The columns that hashes are made of."""
    return dataset.first_form.columns


def hash_rows(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> RowHashes:
    """The hashes of rows, over the columns of the dataset's first form.

    A change of what is hashed or how needs another `hash_file.KIND`.
    """
    words = {column.name: _words(rows.column(column.name), column.kind) for column in hashed_columns(dataset)}
    count = rows.num_rows
    identity, check = _combined(list(words.values()), seeds=(1, 2), count=count)
    value = identity
    has_id = np.zeros(count, dtype=bool)
    if dataset.id_columns:
        has_id = rows.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    if has_id.any():
        keys = [words[name] for name in dataset.id_columns]
        said = [each for name, each in words.items() if name not in dataset.arrival_columns]
        (value_by_id,) = _combined(said, seeds=(5,), count=count)
        identity_by_id, check_by_id = _combined(keys, seeds=(3, 4), count=count)
        value = np.where(has_id, value_by_id, value)
        identity = np.where(has_id, identity_by_id, identity)
        check = np.where(has_id, check_by_id, check)
    return RowHashes(identity.view(np.int64), check.view(np.int64), value.view(np.int64), has_id)


def _words(values: pa.Array | pa.ChunkedArray, kind: Kind) -> Words:
    """A word per value, of a text two, as rows; or those of one missing value where all are missing."""
    if values.null_count == len(values):
        return _MISSING_WORDS[kind]
    if kind is Kind.TEXT:
        return _words_of_texts(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    if kind is Kind.BOOLEAN:
        values = values.cast(pa.int64())
    missing, dtype = (_MISSING_NUMBER, np.float64) if kind is Kind.NUMBER else (_MISSING, np.int64)
    filled: npt.NDArray[Any] = np.asarray(values.fill_null(missing), dtype=dtype)
    return filled.view(np.uint64)[np.newaxis]


def _words_of_texts(values: pa.Array) -> Words:
    words = text_words(values)
    if values.null_count:
        words[:, values.is_null().to_numpy(zero_copy_only=False)] = _MISSING_WORDS[Kind.TEXT]
    return words


def _combined(columns: Sequence[Words], *, seeds: Sequence[int], count: int) -> Words:
    """A row of hashes for each seed."""
    salts = np.array([[seed * int(STEP) % 2**64] for seed in seeds], dtype=np.uint64)
    total = np.repeat(salts, count, axis=1)
    for column in columns:
        for words in column:
            total = total * MIX_1 + STEP
            total ^= mixed(words + salts)
            total = mixed(total)
    return total


def bounds_in(identity: Hashes, wanted: Hashes) -> tuple[Integers, Integers]:
    """For each wanted hash: where those equal to it begin and end in a sorted column, which is not empty."""
    starts = identity.searchsorted(wanted)
    stops = starts.copy()
    there = np.flatnonzero(identity[np.minimum(starts, len(identity) - 1)] == wanted)
    stops[there] = identity.searchsorted(wanted[there], "right")
    return starts, stops


def between(starts: Integers, stops: Integers) -> Integers:
    """The places in each of the ranges `[start, stop)`, one range after the other."""
    lengths = stops - starts
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(lengths.sum())
