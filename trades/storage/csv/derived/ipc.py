"""Arrow IPC files that are written whole under another name, renamed into place, and mapped once verified."""

import errno
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FILE_SUFFIX = ".arrow"
PARTIAL_SUFFIX = ".partial"
_PIECE_BYTES = 2**20
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_DTYPES: dict[pa.DataType, np.dtype[Any]] = {
    pa.int64(): np.dtype(np.int64),
    pa.float64(): np.dtype(np.float64),
    pa.int32(): np.dtype(np.int32),
}


class NotUsable(Exception):
    """A derived file is missing or not what was written: do without all of them, they must be derived again."""


def write_batches(path: Path, schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> int:
    """Write the batches and return the file's CRC-32. Raises `OSError`.

    Nothing is synced: what a power cut leaves of the file fails the checksum.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data = memoryview(sink.getvalue())
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        with partial.open("wb", buffering=0) as file:
            left = data
            while left:
                left = left[file.write(left) :]
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return zlib.crc32(data)


def map_batches(path: Path, checksum: int) -> list[pa.RecordBatch]:
    """The batches of a file, mapped into memory without a copy. Raises `NotUsable`, and `OSError` without handles.

    No handle stays open: the batches keep the mapping alive, and so does the file's inode when it is deleted.
    """
    try:
        with pa.memory_map(os.fspath(path)) as source:
            if _checksum(source) != checksum:
                raise NotUsable(f"{path.name} is not what was written")
            reader = pa.ipc.open_file(source)
            return [reader.get_batch(place) for place in range(reader.num_record_batches)]
    except pa.ArrowException as error:
        raise NotUsable(f"{path.name} is not what was written") from error
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise
        raise NotUsable(f"{path.name} cannot be opened") from error


def as_numpy(column: pa.Array) -> npt.NDArray[Any]:
    """A column of numbers without nulls as a view. Arrow's own way would import pandas, which takes half a second."""
    dtype = _DTYPES[column.type]
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)


def _checksum(source: pa.MemoryMappedFile) -> int:
    checksum = 0
    while piece := source.read_buffer(_PIECE_BYTES):
        checksum = zlib.crc32(piece, checksum)
    source.seek(0)
    return checksum
