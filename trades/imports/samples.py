"""Rows from the beginning and the end of a file, with the cells that an import would not read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from trades.exceptions import BadRow, ImportRefused
from trades.imports.blocks import BAD_ROWS_LIMIT, LINE, FilePiece, RowBlock, SourceFile
from trades.imports.csv_file import CsvFile
from trades.imports.parse import BlockParser
from trades.imports.reading import FileReading

# A preview shows a few.
_BAD_OF_PIECE = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one part of a file.

    rows: the valid rows, as a `RowBlock` has them. unread: the cells of these rows in the columns that are not read.
    cells: the file's cells in all of its columns, also of rows that cannot be stored. bad: the rows that cannot be stored.
    """

    rows: pa.Table
    unread: pa.Table
    cells: pa.Table
    bad: tuple[BadRow, ...]


def first_sample(reading: FileReading) -> Sample:
    """Return the first part of a file with rows, which may all be bad; an empty one for a file without rows."""
    parser, unread = _parser(reading), _readable(reading)
    for piece in reading.file.pieces(_names(reading, unread), reading.options.nulls):
        block = parser.block(piece)
        if block.rows.num_rows or block.bad:
            return _sample(piece, block, unread)
    return Sample(parser.schema.empty_table(), pa.table({}), pa.table({}), ())


def last_sample(reading: FileReading, *, reads_all: bool) -> Sample | None:
    """Return the end of a file, which may be its only part.

    reads_all: read the whole file if nothing less tells its end; without it None is returned then, and with it for a file
    with too many bad rows.
    """
    unread = _readable(reading)
    if isinstance(reading.file, CsvFile):
        piece = reading.file.last_piece(_names(reading, unread), reading.options.nulls)
        # Whether a local time that occurred twice is the first or the second is told by the rows before.
        block = piece and reading.plain_parser().block(piece)
        if piece and block and block.rows.num_rows and not block.bad:
            return _sample(piece, block, unread)
    return _last_of_all(reading, _parser(reading), unread) if reads_all else None


def _parser(reading: FileReading) -> BlockParser:
    return reading.parser(skip_bad=True, bad_limit=_BAD_OF_PIECE)


def _last_of_all(reading: FileReading, parser: BlockParser, unread: Sequence[str]) -> Sample | None:
    last: tuple[FilePiece, RowBlock] | None = None
    bad = 0
    for piece in reading.file.pieces(_names(reading, unread), reading.options.nulls):
        block = parser.block(piece)
        # A parser names only the first bad rows of a piece. Without a valid row, all of its rows are bad.
        bad += len(block.bad) if block.rows.num_rows else piece.cells.num_rows
        if bad > BAD_ROWS_LIMIT:
            return None
        if block.rows.num_rows:
            last = piece, block
    return _sample(*last, unread) if last else None


def joined_samples(first: Sample, last: Sample | None) -> Sample:
    """Return both samples as one. Rows that both have are there once."""
    if last is None:
        return first
    is_new = last.rows[LINE].to_numpy() > first.rows[LINE].to_numpy().max(initial=0)
    places = pa.array(np.flatnonzero(is_new))
    rows = pa.concat_tables([first.rows, last.rows.take(places)])
    both = [first.unread, last.unread.take(places)] if last.unread.num_columns else [first.unread]
    return replace(first, rows=rows, unread=pa.concat_tables(both, promote_options="permissive"))


def _names(reading: FileReading, unread: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*reading.layout.read_columns(reading.options), *unread]))


def _readable(reading: FileReading) -> list[str]:
    """Return the unread columns whose cells can be shown: no lists or records, no texts that are too large."""
    file, kinds = reading.file, {field.name: field.type for field in getattr(reading.file, "schema", ())}
    names = [
        name
        for name in reading.layout.unread_columns
        if name not in kinds or not pa.types.is_nested(kinds[name])
    ]
    if isinstance(file, CsvFile) or _can_be_read(file, names):
        return names
    return [name for name in names if _can_be_read(file, [name])]


def _can_be_read(file: SourceFile, names: Sequence[str]) -> bool:
    try:
        next(iter(file.pieces(names)), None)
    except ImportRefused:
        return False
    return True


def _sample(piece: FilePiece, block: RowBlock, unread: Sequence[str]) -> Sample:
    places = np.searchsorted(piece.lines, block.rows[LINE].to_numpy())
    return Sample(block.rows, piece.cells.select(list(unread)).take(pa.array(places)), piece.cells, block.bad)
