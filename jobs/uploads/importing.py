"""The import of an upload's file. Web processes import it when an upload begins, because it imports pyarrow."""

from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from jobs.exceptions import ConfirmationNeeded, JobError
from jobs.kinds import Run
from jobs.uploads.services import unavailable, upload_path
from trades.exceptions import ImportRefused, ImportsError, without_path
from trades.imports.blocks import SourceFile
from trades.imports.formats import FORMATS, TEXTS
from trades.imports.layout import ReadOptions
from trades.imports.run import StageStatus
from trades.imports.services import file_import, file_preview
from trades.management.import_command import file_and_options, import_parser, options_check
from web.requests.json_fields import JsonObject

# What is shown of a result. An error may contain a file's cells, or all its columns.
_SYMBOLS_SHOWN, _COLUMNS_SHOWN, _ERROR_LENGTH = 10_000, 100, 500
# Options of the command that are fields of an upload.
_NOT_HERE = {"dataset", "symbol"}
# The ends of names of files.
_SUFFIXES = tuple(sorted({*TEXTS, *(suffix for suffixes in FORMATS.values() for suffix in suffixes)}))


def imported(run: Run) -> JsonObject:
    """Import an upload's file, and return the job's result.

    Raises ConfirmationNeeded for a file that is not certain, JobError, the store's `StorageError`s.
    """
    path, size = upload_path(run), run.parameters["size"]

    def report(step: StageStatus) -> None:
        run.progress(size * step.done // (step.total or 1), size)

    try:
        options = command_options(run.parameters)
        file, read = file_and_options(path, options, run.check)
        _ask_unless_certain(run, file, read)
        found = file_import(
            file=file,
            options=read,
            spool=path.parent / "sorted",
            skip_bad=options["skip_bad"],
            confirmed=run.is_confirmed or options["yes"],
            caller=run.created_by,
            progress=report,
            is_bounded=True,
        )
    except ImportsError as error:
        message = f"{error.stored:,} new rows are stored; {without_path(str(error), path)}"
        raise JobError("upload_refused", shorten(message)) from error
    except OSError as error:
        raise unavailable(error) from error
    counts = found.counts
    if not counts.rows:
        raise JobError("upload_refused", "the file has no rows")
    symbols = [
        {
            "symbol": symbol,
            "dataset": read.dataset.name,
            "rows": each.rows,
            "stored": each.stored,
            "duplicates": each.rows - each.stored,
            "commit": each.commit,
        }
        for symbol, each in islice(counts.symbols.items(), _SYMBOLS_SHOWN)
    ]
    return {
        **{name: getattr(counts, name) for name in ("rows", "stored", "duplicates", "bad")},
        "bad_rows": [shorten(without_path(str(each), path)) for each in counts.examples],
        "unread_columns": [shorten(name) for name in sorted({*found.unread_columns})[:_COLUMNS_SHOWN]],
        "symbols": symbols,
        "symbols_left_out": len(counts.symbols) - len(symbols),
    }


def _ask_unless_certain(run: Run, file: SourceFile, read: ReadOptions) -> None:
    """Raise ConfirmationNeeded unless the preview was confirmed, or none is needed. Raises `ImportRefused`, `OSError`."""
    options = run.parameters["options"]
    always = bool(options.get("preview"))
    if run.is_confirmed or (options.get("yes") and not always):
        return
    preview = file_preview(file=file, options=read)
    if always or not preview.is_certain:
        raise ConfirmationNeeded(_shown(preview.document(), upload_path(run)))


def _shown(value: Any, path: Path) -> Any:
    """Return a preview's document without the upload's path, and with shortened texts."""
    if isinstance(value, str):
        return shorten(without_path(value, path))
    if isinstance(value, dict):
        return {shorten(name): _shown(each, path) for name, each in value.items()}
    return [_shown(each, path) for each in value] if isinstance(value, list) else value


def shorten(text: str) -> str:
    """Return a text of at most _ERROR_LENGTH characters."""
    return text if len(text) <= _ERROR_LENGTH else f"{text[: _ERROR_LENGTH - 1]}…"


def check_name(name: str) -> None:
    """Raise `ImportRefused` if a file of this name cannot be imported."""
    if not name.endswith(_SUFFIXES) or name in _SUFFIXES:
        raise ImportRefused(f"the name of a file ends with one of {', '.join(_SUFFIXES)}")


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
