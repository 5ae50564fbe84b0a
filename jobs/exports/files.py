"""Writes the files of one symbol: one, or one for each UTC date. A file has its path when it is complete and durable."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import groupby, pairwise
from pathlib import Path
from typing import BinaryIO, TypeAlias
from uuid import uuid4

import numpy as np
import pyarrow as pa

from jobs.exports.query import PARQUET, ExportQuery
from stats.cursors import RowPosition
from stats.market_data.answers.page import PageSnapshot, selected, selected_columns
from stats.market_data.rows import Rows, read_page
from stats.rendering.arrow_stream import ArrowEncoder
from stats.rendering.column_texts import COLUMN_TEXTS
from stats.rendering.formats import FORMATS
from stats.rendering.table import OutColumn, Table
from store.symbols import folder_name
from store.timestamps import DAY_NS

READ_ROWS = 1 << 15
# Rows of a Parquet file's row groups, but for its last one: the bytes do not depend on how the rows were read.
ROW_GROUP_ROWS = 1 << 17
_HASHED_AT_ONCE = 1 << 20

RowsWriter: TypeAlias = AbstractContextManager[Callable[[Table], object]]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A finished file, as the manifest lists it. path: below the export's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


def symbol_files(
    query: ExportQuery,
    page: PageSnapshot,
    symbol: str,
    out: Path,
    unfinished: Path,
    *,
    position: RowPosition | None = None,
    tell: Callable[[int, int], None] = lambda _rows, _size: None,
) -> Iterator[tuple[FileEntry, int | None]]:
    """Write a symbol's files below `out`; yield each when it is complete, with its date as days since 1970.

    The date is None if the symbol has one file. Without a row there is no Parquet file; another format has a file for
    each symbol. unfinished: the folder of files that are being written. position: of the first row; None for the page's
    first. tell: called often, with the number of rows since the last call, and the bytes of the file that is being
    written. It may raise.
    """
    columns, is_by_date = selected_columns(page.source.columns, page.query.fields), query.is_by_date

    def day_of(rows: Rows) -> int | None:
        return int(rows.time_ns[0]) // DAY_NS if is_by_date else None

    for day, pieces in groupby(_pieces(query, page, position), day_of):
        path, count = symbol_path(query, symbol, day), 0
        with (
            new_file(out / path, unfinished) as file,
            rows_writer(file, query.format, columns) as write,
        ):
            for rows in pieces:
                write(selected(rows.table, page.query.fields))
                count += len(rows)
                tell(len(rows), file.tell())
        size = (out / path).stat().st_size
        digest = file_sha256(out / path, partial(tell, 0, size))
        yield FileEntry(path, count, size, digest), day


def symbol_path(query: ExportQuery, symbol: str, day: int | None) -> str:
    """Return the path of a symbol's file below the export's folder. day: see `symbol_files`."""
    # Readers of a Parquet tree take all files below its folder, which has the dataset's name.
    name, tree = folder_name(symbol), query.dataset.name
    if query.format != PARQUET:
        return f"{tree}/{name}.{query.format}"
    # They split at "=".
    date = "" if day is None else f"/date={np.datetime64(day, 'D')}"
    return f"{tree}/symbol={name.replace('=', '%3D')}{date}/part-0.parquet"


def _pieces(query: ExportQuery, page: PageSnapshot, position: RowPosition | None) -> Iterator[Rows]:
    """Yield the rows from a position on; those of one piece belong to one file. Only of Parquet none is empty."""
    is_by_date = query.is_by_date
    while True:
        part = read_page(page.source, position, READ_ROWS, backwards=False)
        days = part.rows.time_ns // DAY_NS
        changes = np.flatnonzero(days[1:] != days[:-1]) + 1 if is_by_date else ()
        for start, end in pairwise([0, *changes, len(part.rows)]):
            if end > start or query.format != PARQUET:
                yield part.rows[start:end]
        if part.later is None:
            return
        position = part.later


@contextmanager
def new_file(path: Path, unfinished: Path) -> Iterator[BinaryIO]:
    """Open a file to write it in the folder `unfinished`. Then it is made durable, and gets its path."""
    temporary = unfinished / uuid4().hex
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)


def rows_writer(
    file: BinaryIO, format_name: str, columns: Sequence[OutColumn], texts: Mapping[str, str] = COLUMN_TEXTS
) -> RowsWriter:
    """Return what writes rows in a format. texts: the descriptions of columns, by name, for Parquet."""
    return _parquet(file, columns, texts) if format_name == PARQUET else _streamed(file, format_name, columns)


@contextmanager
def _streamed(
    file: BinaryIO, format_name: str, columns: Sequence[OutColumn]
) -> Iterator[Callable[[Table], object]]:
    make = FORMATS[format_name].stream
    assert make is not None  # noqa: S101 EXPORT_FORMATS has no others
    encoder = make(columns, None)
    file.write(encoder.begin())
    yield lambda table: file.writelines(encoder.rows(table))
    file.write(encoder.end())


@contextmanager
def _parquet(
    file: BinaryIO, columns: Sequence[OutColumn], texts: Mapping[str, str]
) -> Iterator[Callable[[Table], object]]:
    """Write Parquet: zstd, statistics, row groups of `ROW_GROUP_ROWS`."""
    from pyarrow import parquet  # noqa: PLC0415 it takes a twentieth of a second

    encoder = ArrowEncoder(columns, None, {})
    schema = pa.schema(
        [field.with_metadata({"description": texts.get(field.name, "")}) for field in encoder.schema()]
    )
    waiting = schema.empty_table()

    def write_group() -> None:
        nonlocal waiting
        # One chunk a column: the pages of a file do not depend on how the rows were read.
        writer.write_table(waiting[:ROW_GROUP_ROWS].combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        waiting = waiting[ROW_GROUP_ROWS:]

    def write(table: Table) -> None:
        nonlocal waiting
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([encoder.batch(table)])])
        while len(waiting) >= ROW_GROUP_ROWS:
            write_group()

    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        yield write
        if len(waiting):
            write_group()


def file_sha256(path: Path, check: Callable[[], object]) -> str:
    """Return a file's SHA-256; "" without such a file. check: called often."""
    digest = sha256()
    with suppress(FileNotFoundError), path.open("rb") as file:
        while data := file.read(_HASHED_AT_ONCE):
            digest.update(data)
            check()
        return digest.hexdigest()
    return ""
