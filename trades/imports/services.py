"""`file_import`: imports one file into the store."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.exceptions import StorageError
from store.resolutions import Resolution
from store.symbols import InvalidSymbol
from store.timestamps import DAY_NS
from trades.exceptions import BadRow, ImportRefused
from trades.imports.blocks import LINE, SYMBOL, RowBlock, SourceFile
from trades.imports.csv_file import CsvFile, Guess
from trades.imports.distances import distance_doubt
from trades.imports.formats import bare_name, opened_file
from trades.imports.hints import is_date, option, unread_clock
from trades.imports.layout import FileLayout, ReadOptions, file_layout
from trades.imports.parse import BlockParser
from trades.imports.progress import ImportProgress, ProgressNote
from trades.imports.record_files import RecordFile
from trades.imports.repeated_hours import RepeatedHours, repeated_hours
from trades.imports.run import FileImport, StageStatus, one_batch, storable_rows
from trades.imports.symbol_runs import BAD_ROWS_LIMIT, SymbolsImport
from trades.imports.symbols import UnreadTexts, symbol_of_folder, symbol_of_name, unclear_columns
from trades.instruments.services import log_name
from trades.services import conditions_of
from trades.stores import market_store

PREVIEW_ROWS = 5
# What has a time of day in a format of `strptime`.
_HOURS = ("%H", "%I", "%c", "%X")
_OF_THE_PAST = (TRADES, QUOTES, OPTION_QUOTES, BARS)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import. examples: the first bad rows."""

    path: Path
    counts: ImportProgress
    examples: tuple[BadRow, ...] = ()
    unread_columns: tuple[str, ...] = ()
    was_finished: bool = False

    @property
    def rows(self) -> int:
        return self.counts.rows

    @property
    def stored(self) -> int:
        return self.counts.stored

    @property
    def duplicates(self) -> int:
        """The rows that had been stored before."""
        return self.rows - self.stored - self.counts.bad


def file_import(
    *,
    path: Path,
    options: ReadOptions,
    notes: Path,
    file: SourceFile | None = None,
    skip_bad: bool = False,
    restart: bool = False,
    confirmed: bool = False,
    caller: str = "",
    progress: Callable[[StageStatus], None] = lambda _: None,
) -> ImportResult:
    """Store those rows of a file that are not stored yet, in bounded memory.

    Equal rows without an id are separate rows: afterwards the store has at least as many of them as the file.
    notes: the folder of saved progress. file: the path's reader, if there is one already. restart: ignore saved
    progress. confirmed: store bars whose distances contradict their resolution, dates without their times of day, and
    times of trades, quotes and bars that are more than a day ahead. caller: who imports, for the commits.

    Raises `ImportsError`s, the store's `StorageError`s, `OSError`.
    """
    options = _with_log_names(options)
    note = ProgressNote(notes, path, f"{options.identity}{skip_bad}")
    with note.locked():
        source = file or opened_file(path, options.dialect)
        layout = _layout(source, options)
        saved = None if restart else _current_progress(note.load(), options)
        layout, symbol = _with_symbol(source, layout, options, is_begun=saved is not None)
        if saved is not None and saved.is_finished:
            done = replace(saved, stored=0)
            return ImportResult(path, done, unread_columns=layout.unread_columns, was_finished=True)
        parser = file_parser(source, layout, options, symbol=symbol, skip_bad=skip_bad)
        if saved is None and not confirmed:
            _check(source, layout, options, symbol)
        done = saved or ImportProgress()
        latest_ns = _latest_ns(options, confirmed=confirmed)
        run = FileImport(
            source, parser, note, done=done, latest_ns=latest_ns, caller=caller, progress=progress
        )
        done, examples = run.run()
        return ImportResult(path, done, examples, layout.unread_columns)


def symbols_import(
    *,
    file: SourceFile,
    options: ReadOptions,
    spool: Path,
    caller: str,
    request_key: Callable[[str], str],
    confirmed: bool = False,
) -> SymbolsImport:
    """Return the import of a file's rows, of each symbol all or none, in bounded memory. Nothing is read yet.

    See `SymbolsImport`, and `file_import` for `confirmed`. Raises `ImportRefused`, `OSError`.
    """
    options = _with_log_names(options)
    layout, symbol = _with_symbol(file, _layout(file, options), options, is_begun=False)
    if not confirmed:
        _check(file, layout, options, symbol)
    # One more than are allowed, so that none is left out without a word.
    parser = file_parser(file, layout, options, symbol=symbol, skip_bad=True, bad_limit=BAD_ROWS_LIMIT + 1)
    latest_ns = _latest_ns(options, confirmed=confirmed)
    return SymbolsImport(file, parser, spool, latest_ns=latest_ns, caller=caller, request_key=request_key)


def _latest_ns(options: ReadOptions, *, confirmed: bool) -> int | None:
    """Return the latest time that is not refused; None for any."""
    return None if confirmed or options.dataset not in _OF_THE_PAST else time.time_ns() + DAY_NS


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """The first rows of a file as they would be stored, with `SYMBOL` and `LINE`, and the first bad rows.

    guessed: the options that were not given, and the symbol if the file's name tells it.
    """

    rows: pa.Table
    bad: tuple[BadRow, ...]
    unread_columns: tuple[str, ...]
    guessed: tuple[Guess, ...]


def file_preview(*, file: SourceFile, options: ReadOptions, confirmed: bool = False) -> ImportPreview:
    """Return the first rows of a file as they would be stored, and store nothing.

    Raises as `file_import` for these rows.
    """
    options = _with_log_names(options)
    layout, symbol = _with_symbol(file, _layout(file, options), options, is_begun=False)
    if not confirmed:
        _check(file, layout, options, symbol)
    parser = file_parser(file, layout, options, symbol=symbol, skip_bad=True)
    block = _first_block(parser, file)
    rows = block.rows.slice(0, PREVIEW_ROWS)
    latest_ns, symbols = _latest_ns(options, confirmed=confirmed), rows[SYMBOL].unique().to_pylist()
    try:
        stored = [_stored_rows(parser, rows, each, latest_ns) for each in symbols]
    except ImportRefused as error:
        raise ImportRefused(f"{file.path}: {error}") from error
    first = pa.concat_tables([rows.slice(0, 0), *stored]).sort_by(LINE)
    guessed = options.guessed
    if symbol is not None and options.symbol is None:
        guessed = (*guessed, Guess(option("--symbol", symbol), "the file's name"))
    return ImportPreview(first, block.bad[:PREVIEW_ROWS], layout.unread_columns, guessed)


def has_storable_rows(*, file: SourceFile, options: ReadOptions) -> bool:
    """Return whether a row of the file's first piece with rows can be stored. Raises as `file_import`."""
    options = _with_log_names(options)
    layout, symbol = _with_symbol(file, _layout(file, options), options, is_begun=True)
    parser = file_parser(file, layout, options, symbol=symbol, skip_bad=True)
    count: int = _first_block(parser, file).rows.num_rows
    return count > 0


def _first_block(parser: BlockParser, file: SourceFile) -> RowBlock:
    """Return the first block with rows, which may all be bad. Raises `ImportRefused` for a file without rows."""
    block = next((each for each in parser.blocks(file) if each.rows.num_rows or each.bad), None)
    if block is None:
        raise ImportRefused(f"{file.path}: has no rows")
    return block


def _stored_rows(parser: BlockParser, rows: pa.Table, symbol: str, latest_ns: int | None) -> pa.Table:
    """Return a symbol's rows as they would be stored, in order of time. Raises `ImportRefused`."""
    dataset = parser.dataset
    some = rows.filter(pc.equal(rows[SYMBOL], symbol)).sort_by(rows.column_names[0]).combine_chunks()
    conditions = conditions_of(dataset=dataset, symbol=symbol, given=parser.conditions)
    batch = storable_rows(
        dataset, symbol, one_batch(dataset, some), conditions=conditions, latest_ns=latest_ns
    )
    return pa.table([*batch.columns, some[SYMBOL], some[LINE]], schema=rows.schema)


def _with_log_names(options: ReadOptions) -> ReadOptions:
    dataset, symbol = options.dataset, options.symbol
    named = replace(options, symbol=None if symbol is None else log_name(dataset, symbol))
    return replace(named, symbols=frozenset(log_name(dataset, each) for each in options.symbols))


def _layout(file: SourceFile, options: ReadOptions) -> FileLayout:
    try:
        return file_layout(file.names, options)
    except ImportRefused as error:
        raise ImportRefused(f"{file.path}: {error}") from error


def _check(file: SourceFile, layout: FileLayout, options: ReadOptions, symbol: str | None) -> None:
    """Raise `ImportRefused` if times of day would be lost, or the first bars contradict their resolution."""
    _check_clock(file, layout, options)
    if options.dataset is BARS:
        _check_distances(file, layout, options, symbol)


def _is_of_dates(resolution: str | None) -> bool:
    with suppress(ValueError):  # the column's check reports it
        return resolution is not None and Resolution.parse(resolution).is_period
    return False


def _check_clock(file: SourceFile, layout: FileLayout, options: ReadOptions) -> None:
    """Raise `ImportRefused` if the file's times of day are in a column that would not be read."""
    source = layout.sources.get("timestamp")
    if source is None or source in layout.joined or _is_of_dates(options.given.get("resolution")):
        return
    clock = unread_clock(layout.unread_columns)
    if clock is not None and _has_dates_only(file, source, options.time_format):
        raise ImportRefused(
            f"{file.path}: {source} has dates only; give {option('--columns', f'timestamp={source}+{clock}')}, or give --yes to leave"
            f" {clock} out"
        )


def _has_dates_only(file: SourceFile, source: str, time_format: str) -> bool:
    if time_format:
        return not any(hours in time_format for hours in _HOURS)
    if isinstance(file, RecordFile):
        return bool(pa.types.is_date(file.schema.field(source).type))
    return isinstance(file, CsvFile) and is_date(file.first_cell(source))


def _check_distances(file: SourceFile, layout: FileLayout, options: ReadOptions, symbol: str | None) -> None:
    """Raise `ImportRefused` if the distances of the file's first bars contradict their resolution."""
    parser = file_parser(file, layout, options, symbol=symbol, skip_bad=True, bad_limit=BAD_ROWS_LIMIT)
    block = next((each for each in parser.blocks(file) if each.rows.num_rows or each.bad), None)
    doubt = distance_doubt(block) if block is not None and block.rows.num_rows else ""
    if doubt:
        raise ImportRefused(f"{file.path}: {doubt}; give --resolution as it is, or give --yes if it is right")


def file_parser(
    file: SourceFile,
    layout: FileLayout,
    options: ReadOptions,
    *,
    symbol: str | None,
    skip_bad: bool,
    bad_limit: int | None = None,
) -> BlockParser:
    """Return the parser of a file, which reads the file once more if it has local times that occurred twice."""

    @cache
    def hours() -> RepeatedHours:
        earliest = replace(options, ambiguous="earliest")
        parser = BlockParser(file.path, layout, earliest, symbol=symbol, skip_bad=True, bad_limit=bad_limit)
        return repeated_hours(parser.blocks(file), options)

    return BlockParser(
        file.path,
        layout,
        options,
        symbol=symbol,
        skip_bad=skip_bad,
        bad_limit=bad_limit,
        repeated_hours=hours,
    )


def _current_progress(saved: ImportProgress | None, options: ReadOptions) -> ImportProgress | None:
    """Return the progress if the store still has its newest commit, None if the store was emptied or restored."""
    if saved is None or saved.commit is None:
        return None
    symbol, number, commit_hash = saved.commit
    store = market_store()
    try:
        if store.log(options.dataset, symbol).head.number < number:
            return None
        return saved if store.log(options.dataset, symbol).at(number).commit.hash == commit_hash else None
    except StorageError:
        return None


def _with_symbol(
    file: SourceFile, layout: FileLayout, options: ReadOptions, *, is_begun: bool
) -> tuple[FileLayout, str | None]:
    """Return the layout with the column of symbols, or without one the symbol of all rows. Raises `ImportRefused`."""
    if layout.symbol is not None or SYMBOL in options.columns:
        return layout, options.symbol or (None if layout.symbol else _symbol_of_path(file, options))
    symbol, refusal = options.symbol, None
    if symbol is None:
        try:
            symbol = _symbol_of_path(file, options)
        except ImportRefused as error:
            unclear = unclear_columns(layout.unread_columns)
            if len(unclear) == 1:
                return layout.with_symbol(unclear[0]), None
            refusal = error
    if not is_begun:
        _check_texts(file, layout, None if options.symbol else symbol)
    if refusal:
        raise refusal
    return layout, symbol


def _check_texts(file: SourceFile, layout: FileLayout, name_symbol: str | None) -> None:
    """Raise `ImportRefused` if a column that would not be read seems to have other symbols than the rows would get.

    name_symbol: the symbol by the file's name, if it is from there.
    """
    columns = {name: UnreadTexts(name, name_symbol) for name in layout.unread_columns}
    columns = {name: texts for name, texts in columns.items() if texts.may_tell}
    if not columns:
        return
    for piece in file.pieces([*columns]):
        for name, texts in columns.items():
            texts.add(_distinct_texts(piece.cells[name]))
            if texts.symbols:
                raise ImportRefused(
                    f"{file.path}: {name} may be the symbol ({', '.join(texts.symbols)}), and would not be"
                    f" read; give {option('--columns', f'symbol={name}')}, or give --columns symbol= if it is something else"
                )
        if not any(texts.may_tell for texts in columns.values()):
            return


def _distinct_texts(column: pa.ChunkedArray) -> list[str]:
    """Return the texts and integers of a column; of other types empty texts."""
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return [str(cell or "") for cell in column.unique().to_pylist()]
    return [""]


def _symbol_of_path(file: SourceFile, options: ReadOptions) -> str:
    whose = "folder"
    try:
        symbol = symbol_of_folder(file.path)
        if symbol is None and options.vendor:
            raise ImportRefused(f"{file.path}: no column has the symbol{_symbol_hint(file.path)}")
        whose = "file"
        return log_name(options.dataset, symbol or symbol_of_name(bare_name(file.path)))
    except InvalidSymbol as error:
        raise ImportRefused(
            f"{file.path}: no column has the symbol, and the {whose}'s name is not one ({error}){_symbol_hint(file.path)}"
        ) from error


def _symbol_hint(path: Path) -> str:
    """Return the end of a message: the option, with the symbol by which the file's name seems to begin."""
    first = re.split(r"[^A-Za-z0-9.]", bare_name(path))[0]
    is_symbol = first.isalnum() and not first.isdecimal() and first in (first.upper(), first.lower())
    return f"; give {option('--symbol', first.upper()) if is_symbol else '--symbol, or --columns symbol=…'}"
