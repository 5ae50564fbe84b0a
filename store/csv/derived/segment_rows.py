"""The file of a segment's stored rows: their columns in order of time, verified piece by piece.

A column of the file is named by a column of the rows and what it holds of it: its values as `int64`, `int32` or
`double`, the `bits` of booleans, and a bitmap of the rows that are `valid`. Texts are stored as Arrow holds them,
as `offsets` into a `text`. If texts occur repeatedly, these two hold the distinct ones, and `codes` the index of
each row's text. A column that has only nulls is left out. Two more columns have the `searched_ids` of the rows with ids,
in ascending order, and the rows' event times.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers, indices_of_ranges, ranges_of
from store.csv.derived.segment_files import map_file, write_file
from store.csv.files.column_file import WHOLE, ColumnFile, ColumnWriter, MappedColumn
from store.declarations import Dataset
from store.rows.row_hashes import NO_ID, searched_ids
from store.rows.stored_rows import stored_schema

KIND = "rows 2"
_DTYPES: dict[str, np.dtype[Any]] = {
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "double": np.dtype("<f8"),
    "bits": np.dtype("u1"),
    "valid": np.dtype("u1"),
    "offsets": np.dtype("<i4"),
    "text": np.dtype("u1"),
    "codes": np.dtype("<i4"),
}
_BITMAPS = ("bits", "valid")
_TEXTS = ("offsets", "text")
_TIME = "timestamp"
_IDS, _ID_TIMES = "ids int64", "id_times int64"
# A text column is stored with codes if each text occurs at least this often on average.
_REPEATS = 4

# The columns of stored rows from which bars are made.
PRINT_COLUMNS = frozenset(
    ("timestamp", "price", "volume", "sequence", "conditions", "arrival", "commit", "until")
)


def write_rows(path: Path, dataset: Dataset, rows: pa.Table) -> int:
    """Write stored rows, which are in order, and return the file's checksum."""
    ids = searched_ids(dataset, rows)

    def write(writer: ColumnWriter) -> None:
        if ids is not None:
            order = np.argsort(ids, kind="stable")[np.count_nonzero(ids == NO_ID) :]
            times = rows.column(_TIME).to_numpy()[order]
            writer.write(_IDS, _DTYPES["int64"], [ids[order]], searched=WHOLE)
            writer.write(_ID_TIMES, _DTYPES["int64"], [times])
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            if column.null_count < len(column):
                _write_column(writer, name, column.combine_chunks())

    return write_file(path, KIND, {"rows": rows.num_rows}, write)


def map_rows(path: Path, checksum: int) -> SegmentRows:
    """Return the stored rows of a file. Raises `ColumnsDamaged`, and `OSError` as `map_file` does."""
    return SegmentRows(map_file(path, KIND, checksum, _dtype_of))


class MappedTimes:
    """Ascending integers, such as event times. Only those that are read are verified. Methods raise `ColumnsDamaged`."""

    def __init__(self, column: MappedColumn) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._column.part(*index.indices(len(self))[:2])
        return self._column.part(index, index + 1)[0]

    def searchsorted(self, times: Any) -> Any:
        """Return the same as numpy's method; side is left."""
        wanted = np.asarray(times)
        if not wanted.size:
            return np.empty(0, np.int64)
        start = self._column.search(int(wanted.min()), "left")
        stop = self._column.search(int(wanted.max()), "left")
        return start + self._column.part(start, stop).searchsorted(wanted)

    def ranges_of(self, values: Integers) -> tuple[Integers, Integers]:
        """Return the same as `arrays.ranges_of`. values: at least one."""
        start = self._column.search(int(values.min()), "left")
        stop = self._column.search(int(values.max()), "right")
        starts, ends = ranges_of(self._column.part(start, stop), values)
        return start + starts, start + ends


class SegmentRows:
    """The stored rows of a segment, in order. Bytes are verified before they are returned.

    Methods raise `ColumnsDamaged`.
    """

    def __init__(self, file: ColumnFile) -> None:
        self._file = file
        self._count: int = file.facts["rows"]
        self._roles: dict[str, list[str]] = {}
        for part in file.names:
            if part not in (_IDS, _ID_TIMES):
                name, role = part.split()
                self._roles.setdefault(name, []).append(role)
        self._arrays: dict[str, pa.Array] = {}
        self.times = MappedTimes(file[f"{_TIME} int64"])

    def __len__(self) -> int:
        return self._count

    def times_of_ids(self, ids: Integers) -> Integers:
        """Return the event times of the rows with these ids. ids: `searched_ids`, ascending."""
        if _IDS not in self._file.names:
            return np.empty(0, np.int64)
        stored = MappedTimes(self._file[_IDS])
        indices = indices_of_ranges(*stored.ranges_of(ids))
        if not len(indices):
            return indices
        first = int(indices[0])
        times: Integers = self._file[_ID_TIMES].part(first, int(indices[-1]) + 1)[indices - first]
        return times

    def column(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows `[start, stop)` of a column of numbers without nulls."""
        (role,) = self._roles[name]
        return self._file[f"{name} {role}"].part(start, stop)

    def batch(self, start: int, stop: int, names: Collection[str] = ()) -> pa.RecordBatch:
        """Return the rows `[start, stop)`, not copied: of the named columns those that the file has.

        names: empty means all columns.
        """
        selected = [name for name in self._roles if not names or name in names]
        arrays = [self._array(name, start, stop) for name in selected]
        return pa.RecordBatch.from_arrays(arrays, names=selected)

    def at(self, indices: slice | Integers, names: Collection[str] = ()) -> pa.RecordBatch:
        """Return the rows with these indices, which ascend."""
        if isinstance(indices, slice):
            return self.batch(indices.start, indices.stop, names)
        first = int(indices[0])
        return self.batch(first, int(indices[-1]) + 1, names).take(pa.array(indices - first))

    def _array(self, name: str, start: int, stop: int) -> pa.Array:
        self._verify(name, start, stop)
        array = self._arrays.get(name)
        if array is None:
            array = self._arrays[name] = self._unverified(name)
        return array.slice(start, stop - start)

    def _verify(self, name: str, start: int, stop: int) -> None:
        columns = {role: self._file[f"{name} {role}"] for role in self._roles[name]}
        for role, column in columns.items():
            if role in _BITMAPS:
                column.part(start // 8, -(-stop // 8))
            elif role not in _TEXTS:
                column.part(start, stop)
            elif "codes" in columns:
                column.all()
            elif role == "offsets":
                offsets = column.part(start, stop + 1)
                columns["text"].part(int(offsets[0]), int(offsets[-1]))

    def _unverified(self, name: str) -> pa.Array:
        """Return all rows of a column. Hand out only slices that were verified."""
        buffers = {role: pa.py_buffer(self._file[f"{name} {role}"].unverified) for role in self._roles[name]}
        valid = buffers.pop("valid", None)
        texts = [None, buffers.get("offsets"), buffers.get("text")]
        if "codes" in buffers:
            codes = pa.Array.from_buffers(pa.int32(), self._count, [valid, buffers["codes"]])
            count = len(self._file[f"{name} offsets"]) - 1
            distinct = pa.Array.from_buffers(pa.string(), count, texts)
            return pa.DictionaryArray.from_arrays(codes, distinct, safe=False)
        if "text" in buffers:
            return pa.Array.from_buffers(pa.string(), self._count, [valid, *texts[1:]])
        ((role, values),) = buffers.items()
        type_ = pa.bool_() if role == "bits" else pa.type_for_alias(role)
        return pa.Array.from_buffers(type_, self._count, [valid, values])


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


@cache
def _dtype_of(part: str) -> np.dtype[Any]:
    return _DTYPES[part.split()[1]]


def _write_column(writer: ColumnWriter, name: str, column: pa.Array) -> None:
    parts: dict[str, npt.NDArray[Any]] = {}
    if column.null_count:
        parts["valid"] = _bitmap(column.is_valid())
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        if len(encoded.dictionary) * _REPEATS <= len(column):
            parts["codes"] = encoded.indices.fill_null(0).to_numpy()
            column = encoded.dictionary
        parts["offsets"], parts["text"] = _texts(column)
    elif pa.types.is_boolean(column.type):
        parts["bits"] = _bitmap(column.fill_null(False))
    else:
        parts[str(column.type)] = column.fill_null(0).to_numpy()
    for role, values in parts.items():
        searched = WHOLE if name == _TIME else None
        writer.write(f"{name} {role}", _DTYPES[role], [values], searched=searched)


def _bitmap(column: pa.Array) -> npt.NDArray[np.uint8]:
    return np.packbits(column.to_numpy(zero_copy_only=False), bitorder="little")


def _texts(column: pa.Array) -> Sequence[npt.NDArray[Any]]:
    """Return the offsets, from 0, and the text."""
    _, offsets, text = column.buffers()
    ends = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset)
    first, last = int(ends[0]), int(ends[-1])
    return ends - ends[0], np.frombuffer(text or b"", np.uint8)[first:last]
