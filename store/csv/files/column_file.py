"""A file of numpy columns that is mapped into memory. Bytes are verified before their first use.

    magic · columns, each at a multiple of 64 bytes · tables · header (JSON) · trailer

Each column is divided into pieces of a fixed size. The tables hold the CRC-32 of every piece and, for a
column that can be searched, every piece's first value. Opening a file verifies only the tables and the
header. Columns are written one after the other, so the writer holds only a part of one column in memory.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, KeysView, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from store.arrays import Integers
from store.csv.files.mapping import mapped_bytes

# The size of a piece, unless the writer of a file chooses another one.
PIECE_BYTES = 65_536

Records = npt.NDArray[Any]
# Returns the type of a column's records by the column's name.
DTypeOf = Callable[[str], np.dtype[Any]]
Facts = Mapping[str, Any]

# Marks a column of integers, whose records are searched by themselves.
WHOLE = ""

_MAGIC = b"columns1"
_ALIGNMENT = 64
# The tables' offset, the tables' length, the header's length, the CRC-32 of tables and header, and `_MAGIC`.
_TRAILER = struct.Struct("<QQQI8s")


class ColumnsDamaged(Exception):
    """The file does not have the bytes that were written. Make it again from its source data."""


class _Extent(msgspec.Struct, frozen=True):
    """A column's name, its offset in the file and its number of records.

    searched: the field that can be searched, which is in ascending order; `WHOLE` for the records themselves;
    None if the column cannot be searched.
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
    """Writes the columns of a file one after the other; call `finish` at the end.

    piece_bytes: the size of a piece; by default `PIECE_BYTES`.
    """

    def __init__(self, file: BinaryIO, piece_bytes: int | None = None) -> None:
        self._file = file
        self._piece_bytes = piece_bytes or PIECE_BYTES
        self._end = file.write(_MAGIC)
        self._columns: list[_Extent] = []
        self._tables: list[bytes] = []

    def write(
        self, name: str, dtype: np.dtype[Any], runs: Iterable[Records], *, searched: str | None = None
    ) -> None:
        """Write a column. runs: arrays of its records; all but the last must consist of whole pieces."""
        self._end += self._file.write(bytes(-self._end % _ALIGNMENT))
        start, count, size = self._end, 0, records_in_piece(dtype, self._piece_bytes)
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
                firsts.append(_keys(records, searched)[::size].astype(np.int64))
        self._columns.append(_Extent(name, start, count, searched))
        self._tables.append(np.array(sums, "<u4").tobytes())
        if searched is not None:
            self._tables.append(np.concatenate(firsts, dtype="<i8").tobytes() if firsts else b"")

    def finish(self, kind: str, facts: Facts) -> int:
        """Write the tables and the header; return their CRC-32, which depends on every byte of the columns.

        kind: the name of the file's layout. facts: stored in the header.
        """
        tables = b"".join(self._tables)
        header = msgspec.json.encode(_Header(kind, self._piece_bytes, facts, self._columns))
        checksum = zlib.crc32(header, zlib.crc32(tables))
        self._file.write(tables + header)
        self._file.write(_TRAILER.pack(self._end, len(tables), len(header), checksum, _MAGIC))
        return checksum


class _Index(NamedTuple):
    """The field that can be searched, and its first value in each piece."""

    searched: str
    firsts: Integers


class MappedColumn:
    """The records of a mapped column.

    Records are verified before they are returned. Methods raise `ColumnsDamaged`.
    """

    def __init__(
        self, title: str, values: Records, size: int, sums: memoryview, index: "_Index | None"
    ) -> None:
        """Create it. title: names the column in errors. size: the records in a piece. index: to search it."""
        self._title = title
        self._values = values
        self._size = size
        self._sums = sums
        self._index = index
        self._verified = bytearray(len(sums))

    @property
    def unverified(self) -> Records:
        """All records, not copied. Hand out only those that `part` has verified."""
        return self._values

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
        if self._index is None:
            raise TypeError("the column is not in order")
        start = (int(self._index.firsts.searchsorted(value, side)) - 1) * self._size
        if start < 0:
            return 0
        piece = self.part(start, min(start + self._size, len(self._values)))
        return start + int(_keys(piece, self._index.searched).searchsorted(value, side))

    def _verify(self, first: int, last: int) -> None:
        content, size = self._values.view(np.uint8).data, self._size * self._values.itemsize
        for piece in range(first, last):
            if not self._verified[piece]:
                if zlib.crc32(content[piece * size : (piece + 1) * size]) != self._sums[piece]:
                    raise ColumnsDamaged(f"piece {piece} of {self._title} is not as written")
                self._verified[piece] = 1


def _keys(records: Records, searched: str) -> Records:
    return records if searched == WHOLE else records[searched]


class ColumnFile:
    """The columns and facts of a file. Raises `ColumnsDamaged` if the content is not a complete such file.

    checksum: as returned by `ColumnWriter.finish`.
    """

    def __init__(
        self, content: memoryview | bytes, kind: str, dtype_of: DTypeOf, *, name: str = "a column file"
    ) -> None:
        """Create it. name: the file's name, for errors."""
        self._content = memoryview(content)
        self._name = name
        self._dtype_of = dtype_of
        self._tables, header, self.checksum = self._verified_ends()
        if header.kind != kind:
            raise ColumnsDamaged(f"{name} is a file of another kind: {header.kind}")
        self.facts = header.facts
        self._extents: dict[str, tuple[_Extent, int]] = {}
        self._piece_bytes = header.piece_bytes
        self._columns: dict[str, MappedColumn] = {}
        offset = 0
        for extent in header.columns:
            self._extents[extent.name] = extent, offset
            size = header.piece_bytes // dtype_of(extent.name).itemsize or 1
            offset += -(-extent.count // size) * (4 if extent.searched is None else 12)

    @classmethod
    def mapped(cls, path: Path, kind: str, dtype_of: DTypeOf) -> "ColumnFile":
        """Map a file. No descriptor stays open. Also raises `OSError`."""
        return cls(mapped_bytes(path), kind, dtype_of, name=path.name)

    @property
    def names(self) -> KeysView[str]:
        """The columns' names, in the order in which they were written."""
        return self._extents.keys()

    def __getitem__(self, name: str) -> MappedColumn:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._column(*self._extents[name])
        return column

    def verify(self) -> None:
        """Verify all pieces that were not verified yet."""
        for name in self._extents:
            self[name].all()

    def _verified_ends(self) -> tuple[memoryview, _Header, int]:
        content, damaged = self._content, ColumnsDamaged(f"the end of {self._name} is not as written")
        if len(content) < _TRAILER.size:
            raise damaged
        start, tables_size, header_size, checksum, magic = _TRAILER.unpack(content[-_TRAILER.size :])
        end = start + tables_size
        if magic != _MAGIC or end + header_size + _TRAILER.size != len(content):
            raise damaged
        if zlib.crc32(content[start : -_TRAILER.size]) != checksum:
            raise damaged
        header = msgspec.json.decode(content[end : end + header_size], type=_Header)
        return content[start:end], header, checksum

    def _column(self, extent: _Extent, offset: int) -> MappedColumn:
        """Return a column. offset: where its sums and first values are in the tables."""
        dtype = self._dtype_of(extent.name)
        values = np.frombuffer(self._content, dtype, extent.count, extent.start)
        size = records_in_piece(dtype, self._piece_bytes)
        pieces = -(-extent.count // size)
        end = offset + 4 * pieces
        sums = self._tables[offset:end].cast("I")  # gives plain integers, which compare faster
        index = None
        if extent.searched is not None:
            firsts = bytes(self._tables[end : end + 8 * pieces])
            index = _Index(extent.searched, np.frombuffer(firsts, "<i8"))
        title = f"the column {extent.name!r} in {self._name}"
        return MappedColumn(title, values, size, sums, index)
