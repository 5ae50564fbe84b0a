"""Files with columns for each ticker, such as `('Close', 'AAPL')`, as pandas writes the tables of yfinance."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trades.formats.arrow_values import one_array
from trades.imports.blocks import FilePiece, SourceFile
from trades.imports.csv_file import CsvFile

DATE, TICKER = "Date", "ticker of yfinance"
_FIELDS = ("Open", "High", "Low", "Close", "Volume")
_KNOWN = {*_FIELDS, "Adj Close"}
_LEVELS = {"Price", "Ticker", ""}
_PAIR = re.compile(r"""\(['"](.+)['"], ['"](.+)['"]\)""")
_WORDS = re.compile("(Open|High|Low|Close|Adj Close|Volume)[ _](.+)")
# Of each ticker its columns, by field.
_Columns = Mapping[str, Mapping[str, str]]


class TickersFile:
    """A file whose rows have the prices of several tickers, read as a row for each ticker.

    columns: of each ticker, the file's columns by field. Rows of one date have one line.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, inner: SourceFile, date: str, columns: _Columns) -> None:
        self.path: Path = inner.path
        self.size = inner.size
        self.names: tuple[str, ...] = (DATE, *_FIELDS, TICKER)
        self._inner, self._date, self._columns = inner, date, columns

    def pieces(self, names: Sequence[str], nulls: Sequence[str] = ()) -> Iterator[FilePiece]:
        """See `SourceFile`."""
        fields = [name for name in names if name in _FIELDS]
        needed = [self._date, *(each[name] for each in self._columns.values() for name in fields)]
        for piece in self._inner.pieces(needed, nulls):
            tables = [self._table(piece.cells, ticker, fields) for ticker in self._columns]
            places = np.arange(len(tables) * len(piece.lines)).reshape(len(tables), -1).T.ravel()
            cells = pa.concat_tables(tables).take(pa.array(places)).select(names)
            yield replace(piece, cells=cells, lines=np.repeat(piece.lines, len(tables)))

    def _table(self, cells: pa.Table, ticker: str, fields: Sequence[str]) -> pa.Table:
        columns = {name: one_array(cells[self._columns[ticker][name]]) for name in fields}
        names = pa.repeat(pa.scalar(ticker), cells.num_rows)
        return pa.table({DATE: _local_texts(one_array(cells[self._date])), **columns, TICKER: names})


def _local_texts(times: pa.Array) -> pa.Array:
    """Return times as local texts, with the offset if they have a zone: it tells the date of a local midnight."""
    if not pa.types.is_timestamp(times.type):
        return times.cast(pa.string())
    return pc.strftime(times, "%Y-%m-%d %H:%M:%S" + ("%z" if times.type.tz else ""))


def tickers_file(file: SourceFile) -> SourceFile:
    """Return a file with columns for each ticker as a `TickersFile`, any other file as it is."""
    if isinstance(file, CsvFile):
        first = _first_line(file)
        second = _first_line(_after(file, 1)) if first[0] in _LEVELS and len(first) > 1 else ()
        if second and second[0] in _LEVELS:
            return _of_levels(file, list(zip(first[1:], second[1:], strict=False))) or file
    pairs_of_names = {name: pair for name in file.names if (pair := _pair(name))}
    others = [name for name in file.names if name not in pairs_of_names]
    columns = _columns(list(pairs_of_names.values()), list(pairs_of_names))
    return TickersFile(file, others[0], columns) if columns and len(others) == 1 else file


def _of_levels(file: CsvFile, pairs: list[tuple[str, str]]) -> SourceFile | None:
    """Return a text file in which two lines name the columns, and perhaps a third one the date."""
    columns = _columns(pairs, [str(place) for place in range(2, len(pairs) + 2)])
    if not columns:
        return None
    inner = _after(file, 2)
    if inner.has_names:
        inner = _after(file, 3)
    return TickersFile(inner, "1", columns)


def _first_line(file: CsvFile) -> tuple[str, ...]:
    """Return the cells of the line of names. Tickers of digits may look like a row."""
    return file.names if file.has_names else file.first_row


def _after(file: CsvFile, count: int) -> CsvFile:
    """Return the file without its first lines."""
    after = CsvFile(file.path, replace(file.dialect, skip_lines=(file.dialect.skip_lines or 0) + count))
    after.check = file.check
    return after


def _pair(name: str) -> tuple[str, str] | None:
    match = _PAIR.fullmatch(name) or _WORDS.fullmatch(name)
    return (match[1], match[2]) if match else None


def _columns(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the columns of each ticker, of names with a field and a ticker; none if a ticker lacks a field."""
    fields_come_first = all(first in _KNOWN for first, _ in pairs)
    if not fields_come_first and not all(second in _KNOWN for _, second in pairs):
        return {}
    found: dict[str, dict[str, str]] = {}
    for (first, second), name in zip(pairs, names, strict=True):
        field, ticker = (first, second) if fields_come_first else (second, first)
        found.setdefault(ticker, {})[field] = name
    return found if all({*_FIELDS} <= {*each} for each in found.values()) else {}
