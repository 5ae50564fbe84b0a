"""The import of an upload's file. Web processes import it when an upload begins, because it imports pyarrow."""

from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from jobs.kinds import Run
from jobs.uploads.exceptions import UploadRefused
from jobs.uploads.files import unavailable, upload_path
from trades.exceptions import ImportRefused, ImportsError, without_path
from trades.imports.blocks import SourceFile
from trades.imports.dataset_rows import RowsOfDataset, datasets_in
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions
from trades.imports.services import symbols_import
from trades.management.import_command import dialect_of, file_and_options, import_parser, options_check
from web.requests.json_fields import JsonObject

# What is shown of a result. An error may contain a file's cells, or all its columns.
_SYMBOLS_SHOWN, _COLUMNS_SHOWN, _ERROR_LENGTH = 10_000, 100, 500
# Options of the command that an upload has no need of: it shows nothing, and a symbol's rows are stored or none.
_NOT_HERE = {"preview", "restart", "skip_bad", "dataset", "symbol"}


def imported(run: Run) -> JsonObject:
    """Import an upload's file, and return the job's result. The whole file is read before its first row is stored.

    Raises UploadRefused, the store's `StorageError`s.
    """
    path, size = upload_path(run), run.parameters["size"]
    items: list[JsonObject] = []
    totals = Counter(rows=0, stored=0, duplicates=0, refused=0)

    def report(step: int, done: int) -> None:
        run.progress((step * size + done) // (2 * len(imports)), size)

    try:
        imports = [
            symbols_import(
                file=file,
                options=options,
                spool=path.parent / f"sorted-{options.dataset.name}",
                caller=run.created_by,
                request_key=run.request_key,
                confirmed=bool(run.parameters["options"].get("yes")),
            )
            for file, options in opened_upload(path, run.parameters)
        ]
        for step, each in enumerate(imports):
            each.read(partial(report, step))
        for step, each in enumerate(imports, start=len(imports)):
            for outcome in each.store(partial(report, step)):
                values = {**asdict(outcome), "error": shorten(without_path(outcome.error, path))}
                items.append({"dataset": each.dataset.name, **values})
                totals.update({name: values[name] for name in ("rows", "stored", "duplicates")})
                totals["refused"] += bool(outcome.error)
    except ImportsError as error:
        raise UploadRefused(shorten(without_path(str(error), path))) from error
    except OSError as error:
        raise unavailable(error) from error
    # A column that one dataset lacks may be another's.
    unread = set[str].intersection(*({*each.unread_columns} for each in imports))
    if len(items) > _SYMBOLS_SHOWN:
        items.sort(key=lambda item: not item["error"])
    shown = items[:_SYMBOLS_SHOWN]
    return {
        **totals,
        "unread_columns": [shorten(name) for name in sorted(unread)[:_COLUMNS_SHOWN]],
        "symbols": shown,
        "symbols_left_out": len(items) - len(shown),
    }


def opened_upload(path: Path, parameters: JsonObject) -> list[tuple[SourceFile, ReadOptions]]:
    """Return for each dataset the reader of its rows in an upload's file, and how they are read.

    Raises `ImportsError`s, `OSError`.
    """
    options, column = command_options(parameters), parameters.get("dataset_column")
    if not column:
        return [file_and_options(path, options)]
    file = opened_file(path, dialect_of(options))
    return [
        (
            RowsOfDataset(file, column, dataset),
            file_and_options(path, {**options, "dataset": dataset.name})[1],
        )
        for dataset in datasets_in(file, column)
    ]


def shorten(text: str) -> str:
    """Return a text of at most _ERROR_LENGTH characters."""
    return text if len(text) <= _ERROR_LENGTH else f"{text[: _ERROR_LENGTH - 1]}…"


def command_options(parameters: JsonObject) -> dict[str, Any]:
    """Return the options of `manage.py import` that an upload's parameters mean. Raises `ImportRefused`."""
    options = parameters.get("options", {})
    if not all(isinstance(value, str) or value is True for value in options.values()):
        raise ImportRefused("options are texts, or true for options without a value")
    if unwanted := _NOT_HERE.intersection(name.replace("-", "_") for name in options):
        raise ImportRefused(f"{min(unwanted)} is no option of an upload")
    given = {name: parameters[name] for name in ("dataset", "symbol") if parameters.get(name)}
    words = []
    for name, value in {**options, **given}.items():
        word = f"--{name.replace('_', '-')}"
        words.append(word if value is True else f"{word}={value}")
    try:
        found = vars(import_parser().parse_args([*words, "--", "the file"]))
    except CommandError as error:
        raise ImportRefused(str(error).removeprefix("Error: ")) from error
    options_check(found)
    return found
