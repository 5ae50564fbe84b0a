"""Arrow IPC files with one record batch, mapped into memory. Bytes are verified before their first use.

A second batch, without rows, ends the file. Its metadata have the file's index: the places of the columns, and the
CRC-32 of every 16 KiB before that batch. The manifest has a `Seal`, which verifies the rest. So a read verifies only
the bytes that it uses, and columns of numbers are read without pyarrow.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Collection, Iterator, KeysView, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.csv.files.mapping import mapped_bytes, mapped_descriptor

FILE_SUFFIX = ".arrow"
PARTIAL_SUFFIX = ".partial"
# A read of a few rows verifies one or two blocks of each of its columns. Smaller blocks make such a read little faster;
# twice the size makes it a third slower.
BLOCK_BYTES = 16_384
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# A binary search ends with a search of at most this many values at once.
_SEARCHED_AT_ONCE = 1_024
_INDEX_KEY = b"index"
# An Arrow file begins with this, and a stream follows.
_MAGIC = b"ARROW1\0\0"
_INT32 = np.dtype("<i4")
_TEXT = "string"
_VARIES = 0


class ColumnsDamaged(Exception):
    """The file does not have the bytes that were written. Make it again from its source data."""


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """Identifies a file. start: where the second batch begins. index: where the index begins and ends.

    checksum: the CRC-32 of all bytes from `start`.
    """

    start: int
    index: tuple[int, int]
    checksum: int


class _Buffer(NamedTuple):
    """bits: of a row; `_VARIES` for the text of strings."""

    offset: int
    bits: int


class _ColumnPlaces(msgspec.Struct, frozen=True, array_like=True):
    """type: Arrow's."""

    type: str
    buffers: list[_Buffer]


class _Index(msgspec.Struct, frozen=True):
    """head: where the first column begins. sums: little-endian `uint32`."""

    rows: int
    head: int
    columns: dict[str, _ColumnPlaces]
    facts: Mapping[str, Any]
    sums: bytes


_decoder = msgspec.json.Decoder(_Index)


def write_arrow(path: Path, batch: pa.RecordBatch, facts: Mapping[str, Any]) -> Seal:
    """Write a file under a temporary name, and rename it. facts: stored in its index. Raises `OSError`.

    The file is not synced: after a power cut it may not have the bytes that were written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        with partial.open("w+b") as file:
            with pa.ipc.new_file(file, batch.schema) as writer:
                writer.write_batch(batch)
                file.flush()
                written = mapped_descriptor(file.fileno())
                index = msgspec.json.encode(_index_of(written, facts))
                writer.write_batch(_without_rows(batch), custom_metadata={_INDEX_KEY: index})
            file.flush()
            rest = bytes(mapped_descriptor(file.fileno())[len(written) :])
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    begins = len(written) + rest.index(index)
    return Seal(len(written), (begins, begins + len(index)), zlib.crc32(rest))


def _without_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with the same dictionaries. A slice of strings would be written with all their offsets."""
    columns = [
        column.slice(0, 0) if pa.types.is_dictionary(column.type) else pa.nulls(0, column.type)
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _index_of(content: memoryview, facts: Mapping[str, Any]) -> _Index:
    """Return the index of a file's content up to the end of its first batch."""
    base = pa.py_buffer(content)
    batch = pa.ipc.open_stream(base.slice(len(_MAGIC))).read_next_batch()
    columns = {
        name: _ColumnPlaces(str(column.type), list(_buffers(column, base.address)))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    offsets = [buffer.offset for column in columns.values() for buffer in column.buffers]
    head = min(offsets, default=len(content))
    sums = [zlib.crc32(content[at : at + BLOCK_BYTES]) for at in range(0, len(content), BLOCK_BYTES)]
    return _Index(batch.num_rows, head, columns, facts, np.array(sums, "<u4").tobytes())


def _buffers(column: pa.Array, base: int) -> Iterator[_Buffer]:
    """Yield the buffers that are not empty: the mask of nulls, of texts their offsets, and the values."""
    row_bits = (1, 32, _VARIES) if column.type == _TEXT else (1, column.type.bit_width)
    for buffer, bits in zip(column.buffers(), row_bits, strict=True):
        if buffer is not None and buffer.size:
            yield _Buffer(buffer.address - base, bits)


class ArrowFile:
    """The batch of a file. Bytes are verified before they are returned; methods raise `ColumnsDamaged`."""

    def __init__(self, path: Path, seal: Seal) -> None:
        """Map a file. No handle stays open, and a mapped file can be read after its deletion.

        Also raises `OSError` if handles or memory run out.
        """
        self._name = path.name
        self._seal = seal
        try:
            self._content = mapped_bytes(path)
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                raise
            raise ColumnsDamaged(f"{path.name} cannot be opened") from error
        if zlib.crc32(self._content[seal.start :]) != seal.checksum:
            raise ColumnsDamaged(f"{path.name} is not the file that was written")
        self._index = _decoder.decode(self._content[slice(*seal.index)])
        self.facts = self._index.facts
        self._sums = memoryview(self._index.sums).cast("I")  # gives plain integers, which compare faster
        self._verified = bytearray(len(self._sums))
        self._numbers: dict[str, tuple[npt.NDArray[Any], int]] = {}
        self._batch: pa.RecordBatch | None = None

    def __len__(self) -> int:
        return self._index.rows

    @property
    def names(self) -> KeysView[str]:
        """The columns' names, in their order."""
        return self._index.columns.keys()

    def numbers(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows `[start, stop)` of a column of numbers without nulls, not copied."""
        column, offset = self._numbers.get(name) or self._unverified(name)
        size = column.itemsize
        self._verify(offset + start * size, offset + stop * size)
        return column[start:stop]

    def search(
        self, name: str, value: int, side: Literal["left", "right"], start: int = 0, stop: int | None = None
    ) -> int:
        """Return the same as `numpy.searchsorted`; the rows `[start, stop)` of the column ascend."""
        stop = len(self) if stop is None else stop
        while stop - start > _SEARCHED_AT_ONCE:
            middle = (start + stop) // 2
            found = self.numbers(name, middle, middle + 1)[0]
            if found < value or (found == value and side == "right"):
                start = middle + 1
            else:
                stop = middle
        return start + int(self.numbers(name, start, stop).searchsorted(value, side))

    def rows(self, start: int, stop: int, names: Collection[str]) -> pa.RecordBatch:
        """Return the rows `[start, stop)` of some columns, not copied."""
        for name in names:
            self._verify_rows(name, start, stop)
        if self._batch is None:
            self._verify(0, self._index.head)
            self._batch = pa.ipc.open_file(pa.py_buffer(self._content)).get_batch(0)
        return self._batch.select(names).slice(start, stop - start)

    def verify(self) -> None:
        """Verify all bytes of the file."""
        self._verify(0, self._seal.start)

    def _unverified(self, name: str) -> tuple[npt.NDArray[Any], int]:
        """Return a column of numbers, and its offset."""
        found = self._index.columns[name]
        ((offset, _),) = found.buffers or (_Buffer(0, 0),)
        column = np.frombuffer(self._content, np.dtype(found.type), len(self), offset)
        self._numbers[name] = column, offset
        return column, offset

    def _verify_rows(self, name: str, start: int, stop: int) -> None:
        column = self._index.columns[name]
        ends = stop + (column.type == _TEXT)  # a text has an offset more than rows
        before = 0
        for offset, bits in column.buffers:
            if bits == _VARIES:  # the buffer before has the texts' offsets
                offsets = np.frombuffer(self._content, _INT32, len(self) + 1, before)
                self._verify(offset + int(offsets[start]), offset + int(offsets[stop]))
            else:
                self._verify(offset + start * bits // 8, offset + -(-ends * bits // 8))
            before = offset

    def _verify(self, start: int, stop: int) -> None:
        first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        if self._verified.find(0, first, last) < 0:
            return
        for block in range(first, last):
            if not self._verified[block]:
                end = min((block + 1) * BLOCK_BYTES, self._seal.start)
                if zlib.crc32(self._content[block * BLOCK_BYTES : end]) != self._sums[block]:
                    raise ColumnsDamaged(f"{self._name} is not as written near byte {block * BLOCK_BYTES}")
                self._verified[block] = 1
