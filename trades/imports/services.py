"""`csv_import`: imports one file into the store."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from store.exceptions import StorageError
from store.symbols import InvalidSymbol, parse_symbol
from trades.exceptions import BadRow, ImportRefused
from trades.imports.blocks import CsvFile
from trades.imports.layout import FileLayout, ReadOptions
from trades.imports.parse import BlockParser
from trades.imports.progress import ImportProgress, ProgressNote
from trades.imports.run import FileImport, StageStatus
from trades.instruments.services import symbol_canonical
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import. duplicates: rows that had been stored before. examples: the first bad rows."""

    path: Path
    rows: int
    stored: int
    bad: int
    examples: tuple[BadRow, ...] = ()
    unread_columns: tuple[str, ...] = ()
    was_finished: bool = False

    @property
    def duplicates(self) -> int:
        return self.rows - self.stored - self.bad


def csv_import(
    *,
    path: Path,
    options: ReadOptions,
    notes: Path,
    skip_bad: bool = False,
    restart: bool = False,
    progress: Callable[[StageStatus], None] = lambda _: None,
) -> ImportResult:
    """Store those rows of a `.csv` or `.csv.gz` file that are not stored yet, in bounded memory.

    Equal rows without an id are separate rows: afterwards the store has at least as many of them as the file.
    notes: the folder of saved progress. restart: ignore saved progress. Raises `ImportsError`s, the store's
    `StorageError`s, `OSError`.
    """
    if options.symbol is not None:
        options = replace(options, symbol=symbol_canonical(options.symbol))
    note = ProgressNote(notes, path, f"{options!r}{skip_bad}")
    with note.locked():
        file = CsvFile(path)
        layout, start = file.layout(options)
        saved = None if restart else _current_progress(note.load(), options)
        if saved is not None and saved.is_finished:
            return ImportResult(path, saved.rows, 0, saved.bad, (), layout.unread_columns, was_finished=True)
        symbol = _symbol_of(path, layout, options)
        parser = BlockParser(path, layout, options, symbol=symbol, skip_bad=skip_bad)
        file_import = FileImport(
            file, parser, note, start=start, done=saved or ImportProgress(), progress=progress
        )
        done, examples = file_import.run()
        return ImportResult(path, done.rows, done.stored, done.bad, examples, layout.unread_columns)


def _current_progress(saved: ImportProgress | None, options: ReadOptions) -> ImportProgress | None:
    """Return the progress if the store still has its newest commit, None if the store was emptied or restored."""
    if saved is None or saved.commit is None:
        return None
    symbol, number, commit_hash = saved.commit
    store = market_store()
    try:
        if store.head(options.dataset, symbol).number < number:
            return None
        return saved if store.head(options.dataset, symbol, commit=number).hash == commit_hash else None
    except StorageError:
        return None


def _symbol_of(path: Path, layout: FileLayout, options: ReadOptions) -> str | None:
    if layout.symbol is not None or options.symbol is not None:
        return options.symbol
    stem = path.name.removesuffix(".gz").removesuffix(".csv")
    try:
        return symbol_canonical(parse_symbol(stem))
    except InvalidSymbol as error:
        raise ImportRefused(
            f"{path}: no column has the symbol, and the file's name is not one: give --symbol"
        ) from error
