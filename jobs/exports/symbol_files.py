"""Writes the files of one symbol: one, or one for each UTC date."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from jobs.exports.files import FileEntry, HashedFile, OpenFile, rows_writer
from jobs.exports.query import PARQUET, ExportQuery
from stats.cursors import RowPosition
from stats.market_data.answers.page import PageSnapshot, selected, selected_columns
from stats.market_data.rows import Rows, read_page
from store.symbols import folder_name
from store.timestamps import DAY_NS

# Rows that are read at once.
READ_ROWS = 1 << 15


def symbol_files(
    query: ExportQuery,
    page: PageSnapshot,
    symbol: str,
    out: Path,
    unfinished: Path,
    *,
    position: RowPosition | None = None,
    tell: Callable[[int, int], None] = lambda _rows, _size: None,
) -> Iterator[FileEntry]:
    """Write a symbol's files below `out`, and yield each when it is complete.

    Without a row there is no Parquet file; another format has a file for each symbol. unfinished: the folder of files
    that are being written. position: of the first row; None for the page's first. tell: called often, with the number of
    rows since the last call, and the bytes of the file that is being written. It may raise.
    """
    columns = selected_columns(page.source.columns, page.query.fields)

    def begun(path: str) -> OpenFile:
        target = HashedFile(out / path, unfinished)
        return OpenFile(path, symbol, target, rows_writer(target, query.format, columns))

    file = None if query.format == PARQUET else begun(symbol_path(query, symbol, 0))
    try:
        for rows in _pieces(page, position, is_by_date=query.is_by_date):
            path = symbol_path(query, symbol, int(rows.time_ns[0]))
            if file is None:
                file = begun(path)
            elif path != file.path:
                following = rows.position(0)
                yield file.finish((following.time_ns, following.ordinal))
                file = begun(path)
            file.rows(selected(rows.table, page.query.fields))
            tell(len(rows), file.size)
        if file is not None:
            yield file.finish(None)
    finally:
        if file is not None:
            file.give_up()


def symbol_path(query: ExportQuery, symbol: str, time_ns: int) -> str:
    """Return the path of a symbol's file below the export's folder. time_ns: of one of the file's rows."""
    # Readers of a Parquet tree take all files below its folder, which has the dataset's name.
    name, tree = folder_name(symbol), query.dataset.name
    if query.format != PARQUET:
        return f"{tree}/{name}.{query.format}"
    # They split at "=".
    folder = f"{tree}/symbol={name.replace('=', '%3D')}"
    if query.is_by_date:
        folder += f"/date={np.datetime64(time_ns // DAY_NS, 'D')}"
    return f"{folder}/part-0.parquet"


def _pieces(page: PageSnapshot, position: RowPosition | None, *, is_by_date: bool) -> Iterator[Rows]:
    """Yield the rows from a position on; those of one piece belong to one file."""
    while True:
        part = read_page(page.source, position, READ_ROWS, backwards=False)
        days = part.rows.time_ns // DAY_NS
        changes = np.flatnonzero(days[1:] != days[:-1]) + 1 if is_by_date else ()
        for start, end in pairwise([0, *changes, len(part.rows)]):
            if end > start:
                yield part.rows[start:end]
        if part.later is None:
            return
        position = part.later
