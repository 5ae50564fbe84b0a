"""The import of an upload's file. Web processes import it when an upload begins, because it imports pyarrow."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from jobs.exceptions import ConfirmationNeeded, JobError
from jobs.kinds import Run
from jobs.uploads.services import unavailable, upload_path
from trades.exceptions import ImportRefused, ImportsError, without_path
from trades.imports.blocks import SourceFile, no_check
from trades.imports.formats import FORMATS, TEXTS
from trades.imports.layout import ReadOptions
from trades.imports.services import file_preview, symbols_import
from trades.management.import_command import file_and_options, import_parser, options_check
from web.requests.json_fields import JsonObject

# What is shown of a result. An error may contain a file's cells, or all its columns.
_SYMBOLS_SHOWN, _COLUMNS_SHOWN, _ERROR_LENGTH = 10_000, 100, 500
# Options of the command that an upload has no need of: it begins anew, and a symbol's rows are stored or none.
_NOT_HERE = {"restart", "skip_bad", "dataset", "symbol"}
# The ends of names of files.
_SUFFIXES = tuple(sorted({*TEXTS, *(suffix for suffixes in FORMATS.values() for suffix in suffixes)}))


def imported(run: Run) -> JsonObject:
    """Import an upload's file, and return the job's result. The whole file is read before its first row is stored.

    Raises ConfirmationNeeded for a file that is not certain, JobError, the store's `StorageError`s.
    """
    path, size = upload_path(run), run.parameters["size"]

    def report(done: int) -> None:
        run.progress(done // 2, size)

    try:
        file, options = opened_upload(path, run.parameters, run.check)
        _ask_unless_certain(run, file, options)
        rows = symbols_import(
            file=file,
            options=options,
            spool=path.parent / "sorted",
            caller=run.created_by,
            request_key=run.request_key,
            confirmed=run.is_confirmed or bool(run.parameters["options"].get("yes")),
        )
        rows.read(report)
        outcomes = list(rows.store(lambda done: report(size + done)))
    except ImportsError as error:
        raise JobError("upload_refused", shorten(without_path(str(error), path))) from error
    except OSError as error:
        raise unavailable(error) from error
    items = [
        {"dataset": options.dataset.name, **asdict(each), "error": shorten(without_path(each.error, path))}
        for each in outcomes
    ]
    if len(items) > _SYMBOLS_SHOWN:
        items.sort(key=lambda item: not item["error"])
    return {
        **{name: sum(item[name] for item in items) for name in ("rows", "stored", "duplicates")},
        "refused": sum(bool(item["error"]) for item in items),
        "unread_columns": [shorten(name) for name in sorted({*rows.unread_columns})[:_COLUMNS_SHOWN]],
        "symbols": items[:_SYMBOLS_SHOWN],
        "symbols_left_out": max(len(items) - _SYMBOLS_SHOWN, 0),
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


def opened_upload(
    path: Path, parameters: JsonObject, check: Callable[[], None] = no_check
) -> tuple[SourceFile, ReadOptions]:
    """Return the reader of an upload's file, and how its rows are read. check: see `SourceFile`.

    Raises `ImportsError`s, `OSError`.
    """
    return file_and_options(path, command_options(parameters), check)


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
