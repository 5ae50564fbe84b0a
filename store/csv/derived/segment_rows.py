"""The file of a segment's stored rows, in order of time.

Text columns whose texts occur repeatedly are dictionaries. A column that has only nulls is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, ranges_of
from store.csv.files.arrow_file import ArrowFile, Seal, write_arrow
from store.declarations import Dataset
from store.rows.stored_rows import stored_schema

_TIME = "timestamp"
# A text column is stored as a dictionary if each text occurs at least this often on average.
_REPEATS = 4

# The columns of stored rows from which bars are made.
PRINT_COLUMNS = frozenset(
    ("timestamp", "price", "volume", "sequence", "conditions", "arrival", "commit", "until")
)


def write_rows(path: Path, rows: pa.Table) -> Seal:
    """Write stored rows, which are in order."""
    columns = {
        name: _coded(column.combine_chunks())
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if column.null_count < len(column)
    }
    return write_arrow(path, pa.RecordBatch.from_pydict(columns), {})


class MappedTimes:
    """The column of event times, which ascend. Methods raise `ColumnsDamaged`."""

    def __init__(self, file: ArrowFile) -> None:
        self._file = file

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._file.numbers(_TIME, *index.indices(len(self))[:2])
        return self._file.numbers(_TIME, index, index + 1)[0]

    def searchsorted(self, times: Any) -> Any:
        """Return the same as numpy's method; side is left."""
        wanted = np.asarray(times)
        if not wanted.size:
            return np.empty(0, np.int64)
        start, stop = (self._file.search(_TIME, int(each), "left") for each in (wanted.min(), wanted.max()))
        return start + self[start:stop].searchsorted(wanted)

    def ranges_of(self, values: Integers) -> tuple[Integers, Integers]:
        """Return the same as `arrays.ranges_of`. values: at least one."""
        start = self._file.search(_TIME, int(values.min()), "left")
        stop = self._file.search(_TIME, int(values.max()), "right")
        starts, ends = ranges_of(self[start:stop], values)
        return start + starts, start + ends


class SegmentRows:
    """The stored rows of a segment, in order. Methods raise `ColumnsDamaged`."""

    def __init__(self, path: Path, seal: Seal) -> None:
        """Map the file. Also raises `OSError` as `ArrowFile` does."""
        self._file = ArrowFile(path, seal)
        self._names = list(self._file.names)
        self.times = MappedTimes(self._file)
        self.column = self._file.numbers

    def __len__(self) -> int:
        return len(self._file)

    def batch(self, start: int, stop: int, names: Collection[str] = ()) -> pa.RecordBatch:
        """Return the rows `[start, stop)`, not copied: of the named columns those that the file has.

        names: empty means all columns.
        """
        selected = [name for name in self._names if name in names] if names else self._names
        return self._file.rows(start, stop, selected)

    def at(self, indices: slice | Integers, names: Collection[str] = ()) -> pa.RecordBatch:
        """Return the rows with these indices, which ascend."""
        if isinstance(indices, slice):
            return self.batch(indices.start, indices.stop, names)
        first = int(indices[0])
        return self.batch(first, int(indices[-1]) + 1, names).take(pa.array(indices - first))


def plain_rows(
    dataset: Dataset, rows: pa.RecordBatch, names: Collection[str] = (), *, coded_texts: bool = False
) -> pa.Table:
    """Return mapped rows in the schema of stored rows. Missing columns are null; dictionaries are decoded.

    names: the columns to return, in the schema's order; empty means all. coded_texts: keep dictionaries that have few
    texts for the number of rows.
    """
    schema = stored_schema(dataset)
    if names:
        schema = pa.schema([field for field in schema if field.name in names])
    columns = [
        _nulls(rows.num_rows, field.type)
        if field.name not in rows.schema.names
        else _plain(rows.column(field.name), keep_few=coded_texts)
        for field in schema
    ]
    return pa.table(columns, names=schema.names) if coded_texts else pa.table(columns, schema=schema)


def _nulls(count: int, type_: pa.DataType) -> pa.Array:
    return _many_nulls(max(count - 1, 0).bit_length(), type_).slice(0, count)


@cache
def _many_nulls(bits: int, type_: pa.DataType) -> pa.Array:
    """Return nulls that many tables share. At most a segment has them."""
    return pa.nulls(1 << bits, type_)


def _plain(column: pa.Array, *, keep_few: bool) -> pa.Array:
    if not isinstance(column, pa.DictionaryArray):
        return column
    is_kept = keep_few and len(column.dictionary) * _REPEATS <= len(column)
    return column if is_kept else column.dictionary_decode()


def _coded(column: pa.Array) -> pa.Array:
    """Return a column of texts as a dictionary if texts occur repeatedly; other columns as they are."""
    if not pa.types.is_string(column.type):
        return column
    coded = column.dictionary_encode()
    return coded if len(coded.dictionary) * _REPEATS <= len(column) else column
