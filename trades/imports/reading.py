"""How a file is read: its options, the layout of its columns, and the symbol of its rows."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from store.symbols import InvalidSymbol
from trades.exceptions import ImportRefused
from trades.formats.arrow_values import one_array
from trades.imports.blocks import SYMBOL, SourceFile
from trades.imports.columns import with_joined, with_prepared
from trades.imports.csv_file import CsvFile
from trades.imports.formats import bare_name
from trades.imports.hints import look, paired
from trades.imports.layout import FileLayout, ReadOptions, file_layout
from trades.imports.parse import BlockParser
from trades.imports.repeated_hours import RepeatedHours, repeated_hours
from trades.imports.symbols import (
    may_be_symbols,
    symbol_of_folder,
    symbol_of_name,
    tells_other_things,
    unclear_columns,
)
from trades.instruments.services import log_name


@dataclass(frozen=True, slots=True)
class FileReading:
    """A file and how it is read. symbol: of all rows; None takes it from the layout's column."""

    file: SourceFile
    options: ReadOptions
    layout: FileLayout
    symbol: str | None

    def parser(self, *, skip_bad: bool, bad_limit: int | None = None) -> BlockParser:
        """Return a parser, which reads the file once more if it has local times that occurred twice."""

        @cache
        def hours() -> RepeatedHours:
            earliest = replace(self, options=replace(self.options, ambiguous="earliest"))
            return repeated_hours(earliest.plain_parser(bad_limit).blocks(self.file), self.options)

        return self.plain_parser(bad_limit, skip_bad=skip_bad, repeated_hours=hours)

    def plain_parser(
        self,
        bad_limit: int | None = None,
        *,
        skip_bad: bool = True,
        repeated_hours: Callable[[], RepeatedHours] | None = None,
    ) -> BlockParser:
        """Return a parser that without `repeated_hours` reads local times that occurred twice as the options say."""
        return BlockParser(
            self.file.path,
            self.layout,
            self.options,
            symbol=self.symbol,
            skip_bad=skip_bad,
            bad_limit=bad_limit,
            repeated_hours=repeated_hours,
        )

    def times_of(self, cells: pa.Table) -> pa.Array:
        """Return the cells of the event time, joined or computed if the layout says so."""
        prepared = with_prepared(cells, self.options.prepared, self.file.path)
        return one_array(with_joined(prepared, self.layout.joined)[self.layout.sources["timestamp"]])


def file_reading(file: SourceFile, options: ReadOptions) -> FileReading:
    """Return how a file is read. Raises `ImportRefused` for missing columns, or if nothing tells the symbol."""
    dataset, symbol = options.dataset, options.symbol
    symbols = frozenset(log_name(dataset, each) for each in options.symbols)
    options = replace(options, symbol=None if symbol is None else log_name(dataset, symbol), symbols=symbols)
    try:
        layout = file_layout(file.names, options)
    except ImportRefused as error:
        raise ImportRefused(f"{file.path}: {error}") from error
    return FileReading(file, options, *_with_symbol(file, layout, options))


def _with_symbol(file: SourceFile, layout: FileLayout, options: ReadOptions) -> tuple[FileLayout, str | None]:
    """Return the layout with the column of symbols, or without one the symbol of all rows. Raises `ImportRefused`."""
    if options.symbol is not None or layout.symbol is not None:
        return layout, options.symbol
    try:
        return layout, _symbol_of_path(file, options)
    except ImportRefused as error:
        unclear = unclear_columns(layout.unread_columns)
        if len(unclear) == 1 and SYMBOL not in options.columns:
            return layout.with_symbol(unclear[0]), None
        others = _columns_of_symbols(file, layout)
        hint = f"; or{look('--columns', paired({SYMBOL: others[0]}))[1:]}" if others else ""
        raise ImportRefused(f"{error}{hint}") from error


def _columns_of_symbols(file: SourceFile, layout: FileLayout) -> list[str]:
    """Return the unread columns of a text file whose cells may be symbols."""
    names = [name for name in layout.unread_columns if not tells_other_things(name)]
    if not names or not isinstance(file, CsvFile):
        return []
    rows = file.first_rows(names)
    return [name for name in names if may_be_symbols(rows[name].drop_null().unique().to_pylist())]


def _symbol_of_path(file: SourceFile, options: ReadOptions) -> str:
    whose = "folder"
    try:
        symbol = symbol_of_folder(file.path)
        if symbol is None and options.vendor:
            raise ImportRefused(f"{file.path}: no column has the symbol{_symbol_hint(file.path)}")
        whose = "file"
        return log_name(options.dataset, symbol or symbol_of_name(unquote(bare_name(file.path))))
    except InvalidSymbol as error:
        raise ImportRefused(
            f"{file.path}: no column has the symbol, and the {whose}'s name is not one ({error}){_symbol_hint(file.path)}"
        ) from error


def _symbol_hint(path: Path) -> str:
    """Return the end of a message: the option, with the symbol by which the file's name seems to begin."""
    first = re.split(r"[^A-Za-z0-9.]", unquote(bare_name(path)))[0]
    is_symbol = first.isalnum() and not first.isdecimal() and first in (first.upper(), first.lower())
    if is_symbol:
        return look("--symbol", first.upper())
    return "; give --symbol, or --columns symbol=… with the column that has it"
