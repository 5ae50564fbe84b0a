"""The files of a segment: column files, written under a temporary name and renamed, and mapped to be read."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from store.csv.files.column_file import ColumnFile, ColumnsDamaged, ColumnWriter, DTypeOf, Facts

FILE_SUFFIX = ".columns"
PARTIAL_SUFFIX = ".partial"
# A read of a few rows verifies one or two pieces of each of its columns. Smaller pieces make such a read little
# faster; twice the size makes it a third slower.
SEGMENT_PIECE_BYTES = 16_384
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def write_file(path: Path, kind: str, facts: Facts, write: Callable[[ColumnWriter], None]) -> int:
    """Write a column file and return its checksum. write: writes the columns. Raises `OSError`.

    The file is not synced: after a power cut it may not have the bytes that were written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        with partial.open("wb") as file:
            writer = ColumnWriter(file, SEGMENT_PIECE_BYTES)
            write(writer)
            checksum = writer.finish(kind, facts)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return checksum


def map_file(path: Path, kind: str, checksum: int, dtype_of: DTypeOf) -> ColumnFile:
    """Map a column file into memory. No handle stays open.

    Raises `ColumnsDamaged` if the file is missing, damaged or another one, and `OSError` if handles or memory
    run out.
    """
    try:
        file = ColumnFile.mapped(path, kind, dtype_of)
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise
        raise ColumnsDamaged(f"{path.name} cannot be opened") from error
    if file.checksum != checksum:
        raise ColumnsDamaged(f"{path.name} is not the file that was written")
    return file
