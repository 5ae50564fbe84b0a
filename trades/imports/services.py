"""`file_import`: imports one file into the store. `file_preview` shows what it would store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.exceptions import StorageError
from store.timestamps import DAY_NS
from trades.exceptions import BadRow
from trades.imports.blocks import BAD_ROWS_LIMIT, SourceFile
from trades.imports.doubts import refuse_wrong_rows
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions
from trades.imports.preview import ImportPreview, file_preview
from trades.imports.progress import ImportProgress, ProgressNote
from trades.imports.reading import FileReading, file_reading
from trades.imports.run import FileImport, StageStatus
from trades.imports.samples import first_sample
from trades.imports.symbol_runs import SymbolsImport
from trades.stores import market_store

__all__ = ["ImportPreview", "ImportResult", "file_import", "file_preview", "is_begun", "symbols_import"]

_OF_THE_PAST = (TRADES, QUOTES, OPTION_QUOTES, BARS)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import. examples: the first bad rows. notes: the lines of words at the file's end."""

    path: Path
    counts: ImportProgress
    examples: tuple[BadRow, ...] = ()
    unread_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
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
    previewed: bool = False,
    confirmed: bool = False,
    caller: str = "",
    progress: Callable[[StageStatus], None] = lambda _: None,
) -> ImportResult:
    """Store those rows of a file that are not stored yet, in bounded memory.

    Equal rows without an id are separate rows: afterwards the store has at least as many of them as the file.
    Whether the file is certain, or a person has seen its preview, is for the caller to know. notes: the folder of saved
    progress. file: the path's reader, if there is one already. restart: ignore saved progress. previewed: the file had a
    `file_preview`, which refuses wrong rows. confirmed: also store times of trades, quotes and bars that are more than a
    day ahead. caller: who imports, for the commits.

    Raises `ImportsError`s, the store's `StorageError`s, `OSError`.
    """
    reading = file_reading(file or opened_file(path, options.dialect), options)
    note, unread = _note_of(reading, notes, skip_bad=skip_bad), reading.layout.unread_columns
    with note.locked():
        saved = None if restart else _current_progress(note.load(), reading.options)
        if saved is not None and saved.is_finished:
            done = replace(saved, stored=0)
            return ImportResult(path, done, unread_columns=unread, was_finished=True)
        if saved is None and not previewed:
            refuse_wrong_rows(reading, first_sample(reading))
        run = FileImport(
            reading.file,
            reading.parser(skip_bad=skip_bad),
            note,
            done=saved or ImportProgress(),
            latest_ns=_latest_ns(reading.options, confirmed=confirmed),
            caller=caller,
            progress=progress,
        )
        done, examples = run.run()
        return ImportResult(path, done, examples, unread, reading.file.notes)


def is_begun(*, reading: FileReading, notes: Path, skip_bad: bool) -> bool:
    """Return whether an earlier import of the file with these options has stored a part of it, or all."""
    note = _note_of(reading, notes, skip_bad=skip_bad)
    return _current_progress(note.load(), reading.options) is not None


def _note_of(reading: FileReading, notes: Path, *, skip_bad: bool) -> ProgressNote:
    return ProgressNote(notes, reading.file.path, f"{reading.options.identity}{skip_bad}")


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
    reading = file_reading(file, options)
    refuse_wrong_rows(reading, first_sample(reading))
    # One more than are allowed, so that none is left out without a word.
    parser = reading.parser(skip_bad=True, bad_limit=BAD_ROWS_LIMIT + 1)
    latest_ns = _latest_ns(options, confirmed=confirmed)
    return SymbolsImport(file, parser, spool, latest_ns=latest_ns, caller=caller, request_key=request_key)


def _latest_ns(options: ReadOptions, *, confirmed: bool) -> int | None:
    """Return the latest time that is not refused; None for any."""
    return None if confirmed or options.dataset not in _OF_THE_PAST else time.time_ns() + DAY_NS


def has_storable_rows(*, file: SourceFile, options: ReadOptions) -> bool:
    """Return whether a row of the file's first piece with rows can be stored. Raises as `file_import`."""
    return bool(first_sample(file_reading(file, options)).rows.num_rows)


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
