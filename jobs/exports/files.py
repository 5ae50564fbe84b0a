"""The files of an export, each complete or not there: written below a temporary name, synced, renamed."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import orjson
import pyarrow as pa

from jobs.exports.query import PARQUET
from stats.rendering.arrow_stream import stream_arrow
from stats.rendering.column_texts import COLUMN_TEXTS
from stats.rendering.formats import FORMATS
from stats.rendering.table import OutColumn, Table

# Rows of a Parquet file's row groups, but for its last one: the bytes do not depend on how the rows were read.
ROW_GROUP_ROWS = 1 << 17
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A finished file: its path below the export's folder, symbol, number of rows, size in bytes, SHA-256.

    following: the position of the symbol's row after the file, as [time_ns, ordinal]; None for the symbol's last file.
    """

    path: str
    symbol: str
    rows: int
    size: int
    sha256: str
    following: tuple[int, int] | None = None


class HashedFile(io.RawIOBase):
    """A file that is being written. Its name is `path` once it is finished."""

    def __init__(self, path: Path, work: Path) -> None:
        self._path, self._temporary = path, work / uuid4().hex
        self._digest, self.size = hashlib.sha256(), 0
        self._file = self._temporary.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all bytes."""
        self._digest.update(data)
        written = self._file.write(data)
        self.size += written
        return written

    def finish(self) -> tuple[int, str]:
        """Make the file durable, give it its name, and return its size and SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary.replace(self._path)
        super().close()
        return self.size, self._digest.hexdigest()

    def close(self) -> None:
        """Give up a file that is not finished."""
        self._file.close()
        super().close()


class RowsWriter(Protocol):
    """Writes a file's rows."""

    def rows(self, table: Table) -> None:
        """Write rows after those before."""

    def finish(self) -> None:
        """Write what follows the last row."""


class StreamedRows:
    """Writes rows in a format that can be streamed."""

    def __init__(self, file: HashedFile, format_name: str, columns: tuple[OutColumn, ...]) -> None:
        make = FORMATS[format_name].stream
        assert make is not None  # noqa: S101 EXPORT_FORMATS has no others
        self._file, self._encoder = file, make(columns, None)
        file.write(self._encoder.begin())

    def rows(self, table: Table) -> None:
        for piece in self._encoder.rows(table):
            self._file.write(piece)

    def finish(self) -> None:
        self._file.write(self._encoder.end())


class ParquetRows:
    """Writes rows as Parquet: zstd, statistics, row groups of `ROW_GROUP_ROWS`."""

    def __init__(self, file: HashedFile, columns: tuple[OutColumn, ...]) -> None:
        from pyarrow import parquet  # noqa: PLC0415 it takes a twentieth of a second

        self._encoder = stream_arrow(columns, None)
        schema = pa.schema([_described(field) for field in self._encoder.schema()])
        self._writer = parquet.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._count = 0

    def rows(self, table: Table) -> None:
        batch = self._encoder.batch(table)
        while self._count + len(batch) >= ROW_GROUP_ROWS:
            missing = ROW_GROUP_ROWS - self._count
            self._waiting.append(batch[:missing])
            self._write()
            batch = batch[missing:]
        if len(batch):
            self._waiting.append(batch)
            self._count += len(batch)

    def finish(self) -> None:
        if self._waiting:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        # One chunk a column: the pages of a file do not depend on how the rows were read.
        group = pa.Table.from_batches(self._waiting).combine_chunks()
        self._writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._count = [], 0


class OpenFile:
    """A symbol's file that is being written."""

    def __init__(self, path: str, symbol: str, file: HashedFile, writer: RowsWriter) -> None:
        self.path, self._symbol, self._file, self._writer = path, symbol, file, writer
        self._count = 0

    @property
    def size(self) -> int:
        """Bytes that were written so far."""
        return self._file.size

    def rows(self, table: Table) -> None:
        """Write rows after those before."""
        self._writer.rows(table)
        self._count += len(table)

    def finish(self, following: tuple[int, int] | None) -> FileEntry:
        """Finish the file. following: see `FileEntry`."""
        self._writer.finish()
        size, digest = self._file.finish()
        return FileEntry(self.path, self._symbol, self._count, size, digest, following)

    def give_up(self) -> None:
        """Close the file, if it is not finished."""
        if not self._file.closed:
            with suppress(OSError):
                self._writer.finish()
            self._file.close()


def _described(field: pa.Field) -> pa.Field:
    return field.with_metadata({"description": COLUMN_TEXTS.get(field.name, "")})


def rows_writer(file: HashedFile, format_name: str, columns: tuple[OutColumn, ...]) -> RowsWriter:
    """Return the writer of a file in a format of `EXPORT_FORMATS`."""
    if format_name == PARQUET:
        return ParquetRows(file, columns)
    return StreamedRows(file, format_name, columns)


class WrittenFiles:
    """The finished files of an export, by path, and each symbol's last; a file of the folder `work` has them for later attempts.

    A file that is not as it was written is forgotten, and so are the symbol's files after it. check: called often.
    """

    def __init__(self, out: Path, work: Path, check: Callable[[], None]) -> None:
        self.by_path: dict[str, FileEntry] = {}
        self.last_of: dict[str, FileEntry] = {}
        self._path = work / "files.jsonl"
        damaged = set[str]()
        for entry in self._noted():
            if entry.symbol not in damaged and file_sha256(out / entry.path, check) == entry.sha256:
                self.by_path[entry.path] = self.last_of[entry.symbol] = entry
            else:
                damaged.add(entry.symbol)

    def add(self, entry: FileEntry) -> None:
        """Note a finished file. The note may be lost with the power; the file is then made again."""
        self.by_path[entry.path] = self.last_of[entry.symbol] = entry
        with self._path.open("ab") as notes:
            notes.write(orjson.dumps(asdict(entry)) + b"\n")

    def _noted(self) -> Iterator[FileEntry]:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                yield _entry(orjson.loads(line))
            except ValueError:  # a line that was cut off
                continue


def _entry(values: dict[str, Any]) -> FileEntry:
    following = values.pop("following")
    return FileEntry(**values, following=following and tuple(following))


def file_sha256(path: Path, check: Callable[[], None]) -> str | None:
    """Return a file's SHA-256; None if there is no such file. check: called often."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_HASHED_AT_ONCE):
                digest.update(data)
                check()
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def write_whole(path: Path, work: Path, content: bytes) -> None:
    """Write a file in one piece."""
    file = HashedFile(path, work)
    file.write(content)
    file.finish()
