"""The import of an upload's file. It is imported at the first job, because it imports pyarrow."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from django.core.management import CommandError

from jobs.kinds import Run
from jobs.uploads.exceptions import UploadRefused
from jobs.uploads.files import Upload, unavailable
from jobs.uploads.options import command_options
from trades.exceptions import ImportsError, without_path
from trades.imports.blocks import SourceFile
from trades.imports.dataset_rows import RowsOfDataset, datasets_in
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions, file_layout
from trades.imports.services import symbols_import
from trades.imports.symbol_runs import SymbolOutcome
from trades.management.import_command import dialect_of, file_and_options
from web.requests.json_fields import JsonObject

_REPORT_SECONDS = 0.2


def imported(upload: Upload, run: Run) -> JsonObject:
    """Import an upload's file, and return the job's result. Raises UploadRefused, the store's `StorageError`s."""
    next_report = 0.0

    def report(before: int, done: int) -> None:
        nonlocal next_report
        run.check()
        if time.monotonic() >= next_report:
            next_report = time.monotonic() + _REPORT_SECONDS
            run.progress((before * upload.size + done) // len(files), upload.size)

    items: list[JsonObject] = []
    totals, unread = Counter(rows=0, stored=0, duplicates=0, refused=0), set[str]()
    try:
        files = opened_upload(upload.path, run.parameters)
        for before, source in enumerate(files):
            outcomes, columns = _outcomes(upload, run, source, before, partial(report, before))
            # A column that one dataset lacks may be another's.
            unread = unread & {*columns} if before else {*columns}
            for each in outcomes:
                values = {**asdict(each), "error": without_path(each.error, upload.path)}
                items.append({"dataset": source[1].dataset.name, **values})
                totals.update(
                    rows=each.rows, stored=each.stored, duplicates=each.duplicates, refused=bool(each.error)
                )
    except ImportsError as error:
        raise UploadRefused(without_path(str(error), upload.path)) from error
    except OSError as error:
        raise unavailable(error) from error
    run.progress(upload.size, upload.size)
    return {**totals, "unread_columns": sorted(unread), "symbols": items}


def _outcomes(
    upload: Upload,
    run: Run,
    source: tuple[SourceFile, ReadOptions],
    before: int,
    progress: Callable[[int], None],
) -> tuple[list[SymbolOutcome], tuple[str, ...]]:
    """Import the rows of a dataset, after so many other datasets. Raises `ImportsError`s for the first one only."""
    file, options = source
    try:
        return symbols_import(
            file=file,
            options=options,
            spool=upload.folder / "sorted",
            caller=run.created_by,
            request_key=run.request_key,
            confirmed=bool(run.parameters["options"].get("yes")),
            progress=progress,
        )
    except ImportsError as error:
        if not before:
            raise
        return [SymbolOutcome(None, 0, error=str(error))], ()


def opened_upload(path: Path, parameters: JsonObject) -> list[tuple[SourceFile, ReadOptions]]:
    """Return for each dataset the reader of its rows in an upload's file, and how they are read.

    Raises `ImportsError`s, `OSError`.
    """
    options, column = command_options(parameters), parameters.get("dataset_column")
    try:
        if not column:
            return [file_and_options(path, options)]
        file = opened_file(path, dialect_of(options))
        found: list[tuple[SourceFile, ReadOptions]] = []
        for dataset in datasets_in(file, column):
            _, read = file_and_options(path, {**options, "dataset": dataset.name})
            rows = RowsOfDataset(file, column, dataset)
            file_layout(rows.names, read)
            found.append((rows, read))
    except CommandError as error:
        raise ImportsError(str(error)) from error
    return found
