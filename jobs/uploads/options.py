"""The options of an import, as the body of an upload gives them: those of `manage.py import`."""

from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from trades.exceptions import ImportRefused, ImportsError
from trades.imports.blocks import SourceFile
from trades.imports.dataset_rows import RowsOfDataset, datasets_in
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions, file_layout
from trades.management.import_command import dialect_of, file_and_options, import_parser
from web.requests.json_fields import JsonObject

# Formats of files, by the ends of their names.
FILE_FORMATS = ("csv", "ndjson", "arrow", "parquet")
# Options of the command that an upload has no need of: it shows nothing, and a symbol's rows are stored or none.
_NOT_HERE = {"preview", "restart", "skip_bad", "dataset", "symbol"}


@cache
def option_names() -> dict[str, str]:
    """Return the names of the options of a body, and how the command has them."""
    actions = import_parser()._actions  # noqa: SLF001 argparse has no other list of its options
    return {
        each.dest: each.option_strings[0]
        for each in actions
        if each.option_strings and each.dest not in _NOT_HERE
    }


def command_options(parameters: JsonObject) -> dict[str, Any]:
    """Return the command's options that a job's parameters mean. Raises `ImportRefused`."""
    names = {**option_names(), "dataset": "--dataset", "symbol": "--symbol"}
    given: Mapping[str, Any] = {
        name: parameters[name] for name in ("dataset", "symbol") if parameters.get(name)
    }
    words = []
    for name, value in {**given, **parameters.get("options", {})}.items():
        words += [names[name]] if value is True else [f"{names[name]}={value}"]
    try:
        parsed: Namespace = import_parser().parse_args([*words, "--", "the file"])
    except CommandError as error:
        raise ImportRefused(str(error).removeprefix("Error: ")) from error
    return vars(parsed)


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
