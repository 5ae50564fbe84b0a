"""The hash of a commit's rows and corrections. It is the same in every backend, and must not change in any version.

A column's values are hashed in order, however the rows are divided into batches:

    time, integer   little-endian int64
    number          little-endian IEEE 754 double; a negative zero is a zero
    boolean         one byte, 0 or 1
    text            UTF-8, without separators

A missing value is a zero, or no text. The sizes of a column are hashed beside its values: of a text its length in bytes
(little-endian int32), of others 1 (int8), and of a missing value -1. Only texts and columns with missing values have
sizes.

The rows' hash is SHA-256 of their count (little-endian, 8 bytes) and, for each column with a value, in the dataset's
order: its name in UTF-8, a NUL, the SHA-256 of its sizes, and that of its values. So a column that is added later does
not change the hash of rows that have no value in it. Without corrections, a commit's hash is that of its rows.
Otherwise it is SHA-256 of two hashes in hex, that of the rows and that of the corrections, without a separator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.declarations import Column, ColumnKind, Dataset
from store.rows.stored_rows import corrections_of
from store.text_columns import text_ends

_VALUE_TYPES: dict[ColumnKind, np.dtype[Any]] = {
    ColumnKind.TIME: np.dtype("<i8"),
    ColumnKind.INTEGER: np.dtype("<i8"),
    ColumnKind.NUMBER: np.dtype("<f8"),
    ColumnKind.BOOLEAN: np.dtype("<u1"),
}


class TableHash:
    """SHA-256 of rows, which may come in several batches."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = [_ColumnHash(column) for column in columns]
        self._rows = 0

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Add rows. They must have the columns."""
        for column in self._columns:
            values = rows.column(column.name)
            column.add(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values, self._rows)
        self._rows += rows.num_rows

    def hexdigest(self) -> str:
        """Return the hash of all rows so far, in hex."""
        digests = [column.digest() for column in self._columns if column.has_values]
        return hashlib.sha256(b"".join([self._rows.to_bytes(8, "little"), *digests])).hexdigest()


class ContentHash:
    """SHA-256 of a commit's rows, then of its corrections, both in the order of a walk."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._rows = TableHash(dataset.columns)
        self._corrections: TableHash | None = None

    def add_rows(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Add rows in the dataset's schema."""
        self._rows.add(rows)

    def add_corrections(self, lines: pa.RecordBatch | pa.Table) -> None:
        """Add corrections in the schema of `corrections_of` the dataset."""
        if self._corrections is None:
            self._corrections = TableHash(corrections_of(self._dataset).columns)
        self._corrections.add(lines)

    def hexdigest(self) -> str:
        """Return the hash of all rows and corrections so far, in hex."""
        rows = self._rows.hexdigest()
        if self._corrections is None:
            return rows
        return hashlib.sha256((rows + self._corrections.hexdigest()).encode()).hexdigest()


class _ColumnHash:
    """The hashes of one column's values and sizes."""

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self._kind = column.kind
        self._size_type = np.dtype("<i4" if column.kind is ColumnKind.TEXT else "<i1")
        self._values, self._sizes = hashlib.sha256(), hashlib.sha256()
        self._has_sizes = column.kind is ColumnKind.TEXT
        self.has_values = False

    def add(self, values: pa.Array, before: int) -> None:
        """Add values. before: the number of values so far, which were all missing unless `has_values`."""
        if values.null_count == len(values) and not self.has_values:
            return
        if before and not self.has_values:
            self._add_missing(before)
        if values.null_count and not self._has_sizes:
            self._add_sizes(np.ones(before, np.int64))
        self.has_values = True
        is_present = values.is_valid().to_numpy(zero_copy_only=False) if values.null_count else True
        if self._kind is ColumnKind.TEXT:
            texts = values.fill_null("") if values.null_count else values
            ends = text_ends(texts)
            self._values.update(memoryview(texts.buffers()[2] or b"")[ends[0] : ends[-1]])
            sizes = np.diff(ends)
        else:
            self._values.update(_numbers(values, self._kind))
            sizes = np.ones(len(values), np.int64)
        if self._has_sizes:
            self._add_sizes(np.where(is_present, sizes, -1))

    def digest(self) -> bytes:
        """Return the column's name and its two hashes."""
        return b"%s\0%s%s" % (self.name.encode(), self._sizes.digest(), self._values.digest())

    def _add_missing(self, count: int) -> None:
        self._add_sizes(np.full(count, -1))
        if self._kind is not ColumnKind.TEXT:
            self._values.update(bytes(count * _VALUE_TYPES[self._kind].itemsize))

    def _add_sizes(self, sizes: Integers) -> None:
        self._has_sizes = True
        self._sizes.update(sizes.astype(self._size_type).tobytes())


def _numbers(values: pa.Array, kind: ColumnKind) -> bytes:
    """Return the values of a column that has no texts, as they are hashed."""
    if values.null_count:
        values = values.fill_null(False if kind is ColumnKind.BOOLEAN else 0)
    numbers = values.to_numpy(zero_copy_only=False).astype(_VALUE_TYPES[kind], copy=False)
    return (numbers + 0.0 if kind is ColumnKind.NUMBER else numbers).tobytes()  # type: ignore[no-any-return]
