"""`manage.py export`: writes rows of market data as files, in this process."""

import fcntl
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.exports.files import new_file
from jobs.exports.query import (
    DEFAULT_CLASS,
    EXPORT_FORMATS,
    PARAMETER_NAMES,
    PARQUET,
    ExportQuery,
    ExportRequestSerializer,
    export_parameters,
)
from jobs.exports.writing import ExportWriter
from stats.exceptions import READ_ERRORS
from stats.market_data.datasets import MARKET_DATASETS
from trades.exceptions import InvalidValue
from web.requests.exceptions import RequestError
from web.requests.field_errors import field_errors
from web.requests.json_fields import JsonObject

_NOTES = ".export"
_REFUSALS = (*READ_ERRORS, InvalidValue, RequestError, OSError)


class Command(BaseCommand):
    help = "Write rows of market data as files. A repeated run goes on where the last one stopped. Needs no server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("dataset", choices=[*MARKET_DATASETS])
        add("symbols", metavar="SYMBOLS", help="AAPL,MSFT; or @SP500: the members of a universe")
        add("--out", required=True, type=Path, metavar="DIR", help="the folder of the files")
        add("--format", choices=EXPORT_FORMATS, default=PARQUET)
        add("--class", default=DEFAULT_CLASS, help="of the symbols, as in the path of market data")
        parameters = parser.add_argument_group("parameters of the dataset's stream")
        for name in PARAMETER_NAMES:
            parameters.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE")

    def handle(self, *_: Any, out: Path, **options: Any) -> None:
        try:
            document = _document(options)
            with _taken(out, document) as parameters:
                self._write(parameters, out)
        except ValidationError as error:
            first = next(field_errors(error.detail))
            raise CommandError(f"{first.path}: {first.message}") from error
        except _REFUSALS as error:
            raise CommandError(str(error)) from error

    def _write(self, parameters: JsonObject, out: Path) -> None:
        work = out / _NOTES
        with _bar() as report:
            result = ExportWriter(ExportQuery.of(parameters), out=out, work=work, report=report).write()
        shutil.rmtree(work)
        self.stdout.write(
            f"{result['rows']:,} rows in {result['files']:,} files, data set {result['dataset']}"
        )


def _document(options: dict[str, Any]) -> JsonObject:
    """Return what the options ask for, as the body of `POST /exports` does. Raises ValidationError."""
    names = ("dataset", "format", "class", *PARAMETER_NAMES)
    body: JsonObject = {name: options[name] for name in names if options[name] is not None}
    body["symbols"] = options["symbols"].split(",")
    if options["fields"] is not None:
        body["fields"] = options["fields"].split(",")
    serializer = ExportRequestSerializer(data=body)
    serializer.is_valid(raise_exception=True)
    values: JsonObject = serializer.validated_data
    return values


@contextmanager
def _taken(out: Path, document: JsonObject) -> Iterator[JsonObject]:
    """Take a folder for an export; yield its parameters, which are those of the run that was interrupted, if there was one.

    Raises CommandError if the folder has other files, or if another process has taken it.
    """
    work = out / _NOTES
    path = work / "parameters.json"
    kept = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    others = {each.name for each in out.iterdir()} - {_NOTES} if out.exists() else set()
    if kept["asked"] != document if kept else others:
        raise CommandError(
            f"{out} has files of something else: take an empty folder. "
            "Only the same arguments go on in a folder of an unfinished export."
        )
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another process writes into {out}") from None
        if not kept:
            kept = {"asked": document, "parameters": export_parameters(document, now_ns=time.time_ns())}
            with new_file(path, work) as file:
                file.write(msgspec.json.encode(kept))
        yield kept["parameters"]


@contextmanager
def _bar() -> Iterator[Callable[[int, int, int], None]]:
    """Show a progress bar on a terminal; yield the report that moves it."""
    columns = (BarColumn(), TextColumn("{task.completed:,.0f} rows"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda rows, _size, most_rows: bar.update(task, completed=rows, total=most_rows)
