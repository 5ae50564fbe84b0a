"""The options of an import, as the body of an upload gives them: those of `manage.py import`."""

from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.core.management import CommandError, CommandParser

from trades.exceptions import ImportRefused
from web.requests.json_fields import JsonObject

# Formats of files, by the ends of their names.
FILE_FORMATS = ("csv", "ndjson", "arrow", "parquet")
# Options of the command that an upload has no need of: it shows nothing, and a symbol's rows are stored or none.
_NOT_HERE = {"preview", "restart", "skip_bad", "dataset", "symbol"}


def _parser() -> CommandParser:
    from trades.management.import_command import import_parser  # noqa: PLC0415 (imports pyarrow)

    return import_parser()


@cache
def option_names() -> dict[str, str]:
    """Return the names of the options of a body, and how the command has them."""
    actions = _parser()._actions  # noqa: SLF001 argparse has no other list of its options
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
        parsed: Namespace = _parser().parse_args([*words, "--", "the file"])
    except CommandError as error:
        raise ImportRefused(str(error).removeprefix("Error: ")) from error
    return vars(parsed)
