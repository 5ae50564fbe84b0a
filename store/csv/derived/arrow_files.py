"""Arrow IPC files: written under a temporary name and renamed; verified by checksum and mapped."""

import errno
import os
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.declarations import Dataset
from store.rows.stored_rows import stored_schema

FILE_SUFFIX = ".arrow"
PARTIAL_SUFFIX = ".partial"
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_DTYPES: dict[pa.DataType, np.dtype[Any]] = {
    pa.int64(): np.dtype(np.int64),
    pa.float64(): np.dtype(np.float64),
    pa.int32(): np.dtype(np.int32),
}


class NotUsable(Exception):
    """A derived file is missing or damaged. Callers answer without derived files and make them again."""


def write_batches(path: Path, schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> int:
    """Write the batches and return the file's CRC-32. Raises `OSError`.

    The file is not synced: after a power cut it may not match its checksum.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data = memoryview(sink.getvalue())
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return zlib.crc32(data)


def map_batches(path: Path, checksum: int) -> list[pa.RecordBatch]:
    """Map a file into memory; return its batches, not copied.

    Raises `NotUsable`, and `OSError` if handles or memory run out. No handle stays open. The mapping lasts as
    long as the batches, even if the file is deleted.
    """
    try:
        with pa.memory_map(os.fspath(path)) as source:
            content = source.read_buffer()
            if zlib.crc32(memoryview(content)) != checksum:
                raise NotUsable(f"{path.name} is not as written")
            reader = pa.ipc.open_file(content)
            return [reader.get_batch(index) for index in range(reader.num_record_batches)]
    except pa.ArrowException as error:
        raise NotUsable(f"{path.name} is not as written") from error
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise
        raise NotUsable(f"{path.name} cannot be opened") from error


def as_numpy(column: pa.Array) -> npt.NDArray[Any]:
    """Return a numpy view of a column of numbers without nulls.

    Arrow's own conversion imports pandas, which takes half a second.
    """
    dtype = _DTYPES[column.type]
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)


# A text column is stored as a dictionary if each text occurs at least this often on average.
_REPEATS = 4

# The columns of stored rows from which bars are made.
PRINT_COLUMNS = frozenset(
    ("timestamp", "price", "volume", "sequence", "conditions", "arrival", "commit", "until")
)


def write_columns(path: Path, rows: pa.Table) -> int:
    """Write stored rows, which are in order, and return the file's checksum.

    Columns that have only nulls are left out.
    """
    columns = {
        name: _compact(column.combine_chunks())
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if column.null_count < len(column)
    }
    batch = pa.record_batch(columns)
    return write_batches(path, batch.schema, [batch])


def map_columns(path: Path, checksum: int) -> pa.RecordBatch:
    """Return the stored rows of a file without decoding dictionary columns. Raises `NotUsable`."""
    batches = map_batches(path, checksum)
    if len(batches) != 1:
        raise NotUsable(f"{path.name} does not hold one batch of rows")
    return batches[0]


def plain_rows(dataset: Dataset, rows: pa.RecordBatch, names: Collection[str] = ()) -> pa.Table:
    """Return mapped rows in the schema of stored rows. Missing columns are null; dictionaries are decoded.

    names: the columns to return, in the schema's order; empty means all.
    """
    schema = stored_schema(dataset)
    if names:
        schema = pa.schema([field for field in schema if field.name in names])
    columns = [
        pa.nulls(rows.num_rows, field.type)
        if field.name not in rows.schema.names
        else _plain(rows.column(field.name))
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _compact(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    encoded = column.dictionary_encode()
    return encoded if len(encoded.dictionary) * _REPEATS <= len(column) else column


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
