"""A file of numpy columns that is mapped into memory. Bytes are verified before their first use.

    magic · columns, each at a multiple of 64 bytes · tables · header (JSON) · trailer

Each column is divided into pieces of about 64 KiB. The tables hold the CRC-32 of every piece and, for a
column that can be searched, every piece's first value. Opening a file verifies only the tables and the
header. Columns are written one after the other, so the writer holds only a part of one column in memory.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Integers

PIECE_BYTES = 65_536

Records = npt.NDArray[Any]
DTypes = Mapping[str, np.dtype[Any]]
Facts = Mapping[str, int | str | list[str]]

_MAGIC = b"columns1"
_ALIGNMENT = 64
# The tables' offset, the tables' length, the header's length, the CRC-32 of tables and header, and `_MAGIC`.
_TRAILER = struct.Struct("<QQQI8s")


class ColumnsDamaged(Exception):
    """The file does not have the bytes that were written. Make it again from its source data."""


class _Extent(msgspec.Struct, frozen=True):
    """A column's name, its offset in the file and its number of records.

    searched: the field that can be searched, which is in ascending order; None if the column has none.
    """

    name: str
    start: int
    count: int
    searched: str | None


class _Header(msgspec.Struct, frozen=True):
    kind: str
    piece_bytes: int
    facts: Facts
    columns: list[_Extent]


def records_in_piece(dtype: np.dtype[Any], piece_bytes: int | None = None) -> int:
    """Return the number of records in a piece. Each piece has a checksum."""
    return max(1, (piece_bytes or PIECE_BYTES) // dtype.itemsize)


class ColumnWriter:
    """Writes the columns of a file one after the other; call `finish` at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = file.write(_MAGIC)
        self._columns: list[_Extent] = []
        self._tables: list[bytes] = []

    def write(
        self, name: str, dtype: np.dtype[Any], runs: Iterable[Records], *, searched: str | None = None
    ) -> None:
        """Write a column. runs: arrays of its records; all but the last must consist of whole pieces."""
        self._end += self._file.write(bytes(-self._end % _ALIGNMENT))
        start, count, size = self._end, 0, records_in_piece(dtype)
        sums: list[int] = []
        firsts: list[Integers] = []
        for run in runs:
            records = np.ascontiguousarray(run, dtype)
            self._end += self._file.write(records.view(np.uint8).data)
            count += len(records)
            sums.extend(
                zlib.crc32(records[index : index + size].data) for index in range(0, len(records), size)
            )
            if searched is not None:
                firsts.append(records[searched][::size].astype(np.int64))
        self._columns.append(_Extent(name, start, count, searched))
        self._tables.append(np.array(sums, "<u4").tobytes())
        if searched is not None:
            self._tables.append(np.concatenate(firsts, dtype="<i8").tobytes() if firsts else b"")

    def finish(self, kind: str, facts: Facts) -> None:
        """Write the tables and the header. kind: the name of the file's layout. facts: stored in the header."""
        tables = b"".join(self._tables)
        header = msgspec.json.encode(_Header(kind, PIECE_BYTES, facts, self._columns))
        checksum = zlib.crc32(header, zlib.crc32(tables))
        self._file.write(tables + header)
        self._file.write(_TRAILER.pack(self._end, len(tables), len(header), checksum, _MAGIC))


class MappedColumn:
    """The records of a mapped column.

    Records are verified before they are returned. Methods raise `ColumnsDamaged`.
    """

    def __init__(
        self, values: Records, size: int, sums: Integers, searched: str | None, firsts: Integers
    ) -> None:
        self._values = values
        self._size = size
        self._sums = sums
        self._searched = searched
        self._firsts = firsts
        self._verified = bytearray(len(sums))

    def __len__(self) -> int:
        return len(self._values)

    def part(self, start: int, stop: int) -> Records:
        """Return the records `[start, stop)`, not copied."""
        first, last = start // self._size, -(-stop // self._size)
        if self._verified.find(0, first, last) >= 0:
            self._verify(first, last)
        return self._values[start:stop]

    def all(self) -> Records:
        """Return all records, not copied."""
        return self.part(0, len(self._values))

    def search(self, value: int, side: Literal["left", "right"]) -> int:
        """Return the same as `numpy.searchsorted` on the field that can be searched. Reads only one piece."""
        if self._searched is None:
            raise TypeError("the column is not in order")
        start = (int(self._firsts.searchsorted(value, side)) - 1) * self._size
        if start < 0:
            return 0
        piece = self.part(start, min(start + self._size, len(self._values)))
        return start + int(piece[self._searched].searchsorted(value, side))

    def _verify(self, first: int, last: int) -> None:
        for piece in range(first, last):
            if not self._verified[piece]:
                records = self._values[piece * self._size : (piece + 1) * self._size]
                if zlib.crc32(records.data) != self._sums[piece]:
                    raise ColumnsDamaged
                self._verified[piece] = 1


class ColumnFile:
    """The columns and facts of a file. Raises `ColumnsDamaged` if the content is not a complete such file."""

    def __init__(self, content: pa.Buffer | bytes, kind: str, dtypes: DTypes) -> None:
        self._content = memoryview(content)
        tables, header = self._verified_ends()
        if header.kind != kind:
            raise ColumnsDamaged
        self.facts = header.facts
        self._columns: dict[str, MappedColumn] = {}
        for extent in header.columns:
            dtype = dtypes[extent.name]
            tables = self._take(extent, dtype, records_in_piece(dtype, header.piece_bytes), tables)

    @classmethod
    def mapped(cls, path: Path, kind: str, dtypes: DTypes) -> "ColumnFile":
        """Map a file. No descriptor stays open. Also raises `OSError`."""
        with pa.memory_map(str(path)) as file:
            return cls(file.read_buffer(), kind, dtypes)

    def __getitem__(self, name: str) -> MappedColumn:
        return self._columns[name]

    def verify(self) -> None:
        """Verify all pieces that were not verified yet."""
        for column in self._columns.values():
            column.all()

    def _verified_ends(self) -> tuple[memoryview, _Header]:
        content = self._content
        if len(content) < _TRAILER.size:
            raise ColumnsDamaged
        start, tables_size, header_size, checksum, magic = _TRAILER.unpack(content[-_TRAILER.size :])
        end = start + tables_size
        if magic != _MAGIC or end + header_size + _TRAILER.size != len(content):
            raise ColumnsDamaged
        if zlib.crc32(content[start : -_TRAILER.size]) != checksum:
            raise ColumnsDamaged
        return content[start:end], msgspec.json.decode(content[end : end + header_size], type=_Header)

    def _take(self, extent: _Extent, dtype: np.dtype[Any], size: int, tables: memoryview) -> memoryview:
        values = np.frombuffer(self._content, dtype, extent.count, extent.start)
        pieces = -(-extent.count // size)
        sums = np.frombuffer(tables, "<u4", pieces).astype(np.int64)
        tables, firsts = tables[4 * pieces :], np.empty(0, np.int64)
        if extent.searched is not None:
            firsts = np.frombuffer(bytes(tables[: 8 * pieces]), "<i8")
            tables = tables[8 * pieces :]
        self._columns[extent.name] = MappedColumn(values, size, sums, extent.searched, firsts)
        return tables
