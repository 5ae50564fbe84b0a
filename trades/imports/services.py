"""`file_import`: imports one file into the store. `file_preview` shows what it would store."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from store.datasets import BARS, OPTION_QUOTES, QUOTES, TRADES
from store.timestamps import DAY_NS
from trades.imports.blocks import BAD_ROWS_LIMIT, SourceFile
from trades.imports.doubts import refuse_wrong_rows
from trades.imports.layout import ReadOptions
from trades.imports.preview import ImportPreview, file_preview
from trades.imports.reading import file_reading
from trades.imports.run import FileImport, ImportCounts, StageStatus
from trades.imports.samples import first_sample

__all__ = ["ImportPreview", "ImportResult", "file_import", "file_preview"]

_OF_THE_PAST = (TRADES, QUOTES, OPTION_QUOTES, BARS)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import. translated: symbols by the vendor's spellings. notes: the lines of words at the file's end."""

    path: Path
    counts: ImportCounts
    translated: Mapping[str, str]
    unread_columns: tuple[str, ...]
    notes: tuple[str, ...]


def file_import(
    *,
    file: SourceFile,
    options: ReadOptions,
    spool: Path,
    skip_bad: bool = False,
    confirmed: bool = False,
    caller: str = "",
    progress: Callable[[StageStatus], None] = lambda _: None,
    is_bounded: bool = False,
) -> ImportResult:
    """Store those rows of a file that are not stored yet, in bounded memory.

    Equal rows without an id are separate rows: afterwards the store has at least as many of them as the file.
    The caller checks first that the file is certain, or was confirmed. confirmed: also store times of trades, quotes and
    bars that are more than a day ahead. spool, caller, is_bounded: see `FileImport`.

    Raises `ImportsError`s, the store's `StorageError`s, `OSError`. What was stored before stays stored.
    """
    reading = file_reading(file, options)
    refuse_wrong_rows(reading, first_sample(reading))
    # One more than the limit: with it the import fails.
    parser = reading.parser(skip_bad=skip_bad, bad_limit=BAD_ROWS_LIMIT + 1 if is_bounded else None)
    run = FileImport(
        file,
        parser,
        spool,
        latest_ns=_latest_ns(options, confirmed=confirmed),
        caller=caller,
        progress=progress,
        is_bounded=is_bounded,
    )
    run.run()
    return ImportResult(file.path, run.counts, parser.translated, reading.layout.unread_columns, file.notes)


def _latest_ns(options: ReadOptions, *, confirmed: bool) -> int | None:
    """Return the latest time that is not refused; None for any."""
    return None if confirmed or options.dataset not in _OF_THE_PAST else time.time_ns() + DAY_NS
