"""The files of a segment: its stored rows, in order of time, and each bar policy's aggregates.

Rows are an Arrow file. Texts that occur repeatedly are a dictionary; a column that has only nulls is left out.
Aggregates are plain columns, so a program that only reads bars needs no pyarrow.

Files are mapped and read in place. A read checks a file's size and name, so it reads only the pages that it needs.
`check_file` compares the checksum.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import COLUMNS, Aggregates, merge
from store.bars.session_bars import aggregate_rows
from store.csv.derived.mapping import mapped_bytes
from store.declarations import Dataset
from store.rows.stored_rows import stored_schema
from store.timestamps import DAY_NS, SECOND_NS
from store.window_list import LEVELS_NS

# A text column is stored as a dictionary if each text occurs at least this often on average.
_REPEATS = 4
_NAME = b"name"
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# The columns of stored rows from which bars are made.
PRINT_COLUMNS = frozenset(
    ("timestamp", "price", "volume", "sequence", "conditions", "arrival", "commit", "until")
)

Sync = Callable[[int], None]


class SegmentDamaged(Exception):
    """The file does not have the bytes that were written. Make it again from its source data."""


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """Identifies a file's content by its size and CRC-32.

    levels: of a file of aggregates, the number of rows by interval length, in their order.
    """

    size: int
    checksum: int
    levels: dict[int, int] = {}


def write_rows(path: Path, rows: pa.Table, sync: Sync) -> Seal:
    """Write stored rows, which are in order. sync: called with the descriptor of the written file. Raises `OSError`."""
    columns = {
        name: _coded(column.combine_chunks())
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if column.null_count < len(column)
    }
    batch = pa.RecordBatch.from_pydict(columns, metadata={_NAME: path.name})
    with _new_file(path, sync) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return _seal(path)


def aggregates_of(rows: pa.Table, policy: BarPolicy) -> dict[int, Aggregates]:
    """Return the aggregates of stored rows, which are in order, by interval length.

    A policy of sessions has days alone, a policy of auctions seconds alone.
    """
    if policy.is_session or policy.is_auction:
        level = DAY_NS if policy.is_session else SECOND_NS
        return {level: aggregate_rows(rows, level, policy)}
    finest = aggregate_rows(rows, LEVELS_NS[0], policy)
    return {level: merge([finest], level) for level in LEVELS_NS}


def write_aggregates(path: Path, levels: Mapping[int, Aggregates], sync: Sync) -> Seal:
    """Write aggregates: each column with one level after the other. Arguments and errors as of `write_rows`."""
    joined = Aggregates.joined([*levels.values()])
    with _new_file(path, sync) as file:
        file.write(_name_sum(path))
        for name, dtype in COLUMNS.items():
            file.write(np.ascontiguousarray(getattr(joined, name), dtype).data)
    return _seal(path, {level: len(rows) for level, rows in levels.items()})


def map_aggregates(path: Path, seal: Seal) -> dict[int, Aggregates]:
    """Return the aggregates of a file by interval length. Raises as `SegmentRows` does."""
    content = _content(path, seal)
    if content[:8] != _name_sum(path):
        raise SegmentDamaged(f"{path.name} is another file")
    columns = np.frombuffer(content, np.int64, offset=8).reshape(len(COLUMNS), -1)
    table = Aggregates(*(column.view(dtype) for column, dtype in zip(columns, COLUMNS.values(), strict=True)))
    levels, end = dict[int, Aggregates](), 0
    for level, rows in seal.levels.items():
        levels[level] = table[end : end + rows]
        end += rows
    return levels


class SegmentRows:
    """The stored rows of a segment, in order. times: their event times."""

    def __init__(self, path: Path, seal: Seal) -> None:
        """Map the file. Raises `SegmentDamaged`, and `OSError` if handles or memory run out."""
        content = pa.py_buffer(_content(path, seal))
        try:
            self._batch = pa.ipc.open_file(content).get_batch(0)
        except (pa.ArrowException, OSError) as error:
            raise SegmentDamaged(f"{path.name} is damaged: {error}") from error
        if (self._batch.schema.metadata or {}).get(_NAME) != path.name.encode():
            raise SegmentDamaged(f"{path.name} is another file")
        self.times: Integers = self._batch.column("timestamp").to_numpy()

    def __len__(self) -> int:
        return len(self.times)

    def column(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows `[start, stop)` of a column of numbers without nulls, not copied."""
        return self._batch.column(name).to_numpy()[start:stop]  # type: ignore[no-any-return]

    def at(self, indices: slice | Integers, names: Collection[str] = ()) -> pa.RecordBatch:
        """Return the rows with these indices, which ascend: of the named columns those that the file has.

        A slice is not copied. names: empty means all columns.
        """
        batch = self._batch
        if names:
            batch = batch.select([name for name in batch.schema.names if name in names])
        if isinstance(indices, slice):
            return batch.slice(indices.start, indices.stop - indices.start)
        return batch.take(pa.array(indices))


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


def check_file(path: Path, seal: Seal) -> None:
    """Read a whole file. Raises `SegmentDamaged` if it has not the bytes that were written."""
    if zlib.crc32(_content(path, seal)) != seal.checksum:
        raise SegmentDamaged(f"{path.name} is not as written")


@contextmanager
def _new_file(path: Path, sync: Sync) -> Iterator[BinaryIO]:
    path.unlink(missing_ok=True)  # who has mapped an old file of this name keeps it
    with path.open("xb") as file:
        yield file
        file.flush()
        sync(file.fileno())


def _seal(path: Path, levels: dict[int, int] | None = None) -> Seal:
    content = mapped_bytes(path)
    return Seal(len(content), zlib.crc32(content), levels or {})


def _content(path: Path, seal: Seal) -> memoryview:
    try:
        content = mapped_bytes(path)
    except OSError as error:
        if error.errno in _OUT_OF_RESOURCES:
            raise
        raise SegmentDamaged(f"{path.name} cannot be opened") from error
    if len(content) != seal.size:
        raise SegmentDamaged(f"{path.name} has {len(content)} bytes, not {seal.size}")
    return content


def _name_sum(path: Path) -> bytes:
    return zlib.crc32(path.name.encode()).to_bytes(8, "little")


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
