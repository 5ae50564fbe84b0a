"""`file_import`: imports one file into the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from store.exceptions import StorageError
from store.symbols import InvalidSymbol, parse_symbol
from trades.exceptions import BadRow, ImportRefused
from trades.imports.blocks import SourceFile
from trades.imports.formats import bare_name, opened_file
from trades.imports.layout import FileLayout, ReadOptions, file_layout
from trades.imports.parse import BlockParser
from trades.imports.progress import ImportProgress, ProgressNote
from trades.imports.run import FileImport, StageStatus
from trades.instruments.services import log_name
from trades.stores import market_store


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import. duplicates: rows that had been stored before. examples: the first bad rows.

    unknown_conditions: the number of rows with each condition of unknown meaning.
    """

    path: Path
    rows: int
    stored: int
    bad: int
    examples: tuple[BadRow, ...] = ()
    unread_columns: tuple[str, ...] = ()
    was_finished: bool = False
    unknown_conditions: Mapping[str, int] = field(default_factory=dict)

    @property
    def duplicates(self) -> int:
        return self.rows - self.stored - self.bad


def file_import(
    *,
    path: Path,
    options: ReadOptions,
    notes: Path,
    file: SourceFile | None = None,
    skip_bad: bool = False,
    restart: bool = False,
    progress: Callable[[StageStatus], None] = lambda _: None,
) -> ImportResult:
    """Store those rows of a file that are not stored yet, in bounded memory.

    Equal rows without an id are separate rows: afterwards the store has at least as many of them as the file.
    notes: the folder of saved progress. file: the path's reader, if there is one already. restart: ignore saved
    progress. Raises `ImportsError`s, the store's
    `StorageError`s, `OSError`.
    """
    if options.symbol is not None:
        options = replace(options, symbol=log_name(options.dataset, options.symbol))
    options = replace(options, symbols=frozenset(log_name(options.dataset, each) for each in options.symbols))
    note = ProgressNote(notes, path, f"{options.identity}{skip_bad}")
    with note.locked():
        source = file or opened_file(path)
        try:
            layout = file_layout(source.names, options)
        except ImportRefused as error:
            raise ImportRefused(f"{path}: {error}") from error
        saved = None if restart else _current_progress(note.load(), options)
        if saved is not None and saved.is_finished:
            return _result(path, layout, replace(saved, stored=0), was_finished=True)
        symbol = _symbol_of(path, layout, options)
        parser = BlockParser(path, layout, options, symbol=symbol, skip_bad=skip_bad)
        done = saved or ImportProgress()
        done, examples = FileImport(source, parser, note, done=done, progress=progress).run()
        return _result(path, layout, done, examples)


def _result(
    path: Path,
    layout: FileLayout,
    done: ImportProgress,
    examples: tuple[BadRow, ...] = (),
    *,
    was_finished: bool = False,
) -> ImportResult:
    return ImportResult(
        path,
        done.rows,
        done.stored,
        done.bad,
        examples,
        layout.unread_columns,
        was_finished=was_finished,
        unknown_conditions=done.unknown_conditions,
    )


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
    if options.vendor:
        raise ImportRefused(f"{path}: no column has the symbol: give --symbol")
    try:
        return log_name(options.dataset, parse_symbol(bare_name(path)))
    except InvalidSymbol as error:
        raise ImportRefused(
            f"{path}: no column has the symbol, and the file's name is not one: give --symbol"
        ) from error
