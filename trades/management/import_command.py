"""`manage.py import`, and what the page `/import` takes of it: `import` is no name of a module that can be imported."""

import fcntl
import glob
import os
import shutil
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from store.datasets import DATASETS, TRADES
from store.exceptions import StorageError
from store.symbols import InvalidSymbol
from store.timestamps import format_timestamp
from trades.conditions import CONDITION_MAPS
from trades.exceptions import BadRow, ImportRefused, ImportsError
from trades.imports.blocks import SourceFile, no_check
from trades.imports.csv_file import Dialect
from trades.imports.formats import AUTO, FORMATS, TEXTS, opened_file, read_options
from trades.imports.hints import texts_of
from trades.imports.layout import AMBIGUOUS, ReadOptions, Scale
from trades.imports.own_exports import MANIFEST
from trades.imports.preview import ImportPreview, row_documents
from trades.imports.run import ImportStage, StageStatus
from trades.imports.services import ImportResult, file_import, file_preview
from trades.imports.symbols import file_symbol
from trades.imports.vendors import SYMBOL_RULES

# Of the symbols and spellings of a file so many are printed.
_SHOWN = 20
# The exit status that a shell reports for a program ended by Ctrl-C.
_STOPPED = 128 + signal.SIGINT
NOT_STORED = "nothing was stored: add --yes to store what is shown, or give the options that make it certain"


class ImportCommand(BaseCommand):
    """Imports files. A repeated run stores no row twice."""

    help = "Import files of any size: files, patterns, folders. Rows that are stored already are skipped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="a file, a pattern, a folder")
        parser.add_argument(
            "--format",
            default=AUTO,
            choices=list(FORMATS),
            help="the layout of the files (default: detected)",
        )
        parser.add_argument(
            "--dataset",
            choices=list(DATASETS),
            help="default: by the columns; of a vendor's layout with trades and quotes, the quotes",
        )
        parser.add_argument("--symbol", help="default: the file's column, or its name (AAPL.csv is AAPL)")
        parser.add_argument("--symbols", help="read only the rows of these: AAPL,MSFT")
        parser.add_argument(
            "--conditions",
            choices=list(CONDITION_MAPS),
            help="the vendor whose condition codes the file has (docs/bar_policies.md)",
        )
        parser.add_argument("--skip-bad", action="store_true", help="skip rows that cannot be stored")
        parser.add_argument(
            "--yes",
            action="store_true",
            help="store what is shown without asking",
        )
        parser.add_argument(
            "--preview",
            action="store_true",
            help="show what would be stored, and store nothing",
        )
        _add_times(parser)
        _add_columns(parser)

    def handle(self, *_: Any, patterns: Sequence[str], **options: Any) -> None:
        """Print a line per file. Raises CommandError for the first file that cannot be imported."""
        try:
            files = files_of(patterns, options["format"])
            terms, kinds = self._shown(files, options)
            if options["preview"]:
                return
            confirmed = set(files) if options["yes"] else self._confirmed(kinds)
            with _bar(Console(stderr=True)) as task_for:
                for number, path in enumerate(files, start=1):
                    task = task_for(f"{path.name} ({number} of {len(files)})")
                    with _said_when_stopped(path, task) as progress:
                        file = opened_file(path, dialect_of(options))
                        self._import(file, terms[path], {**options, "yes": path in confirmed}, progress)
        except KeyboardInterrupt:
            raise CommandError("stopped: nothing was stored", returncode=_STOPPED) from None
        except (ImportsError, StorageError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or 'the file'}: {error.strerror or error}") from error

    def _confirmed(self, kinds: Collection[Sequence[Path]]) -> set[Path]:
        """Ask whether to store the files of each kind, and return these files. Raises CommandError for a no."""
        if kinds and not sys.stdin.isatty():
            raise CommandError(NOT_STORED)
        for paths in kinds:
            count = len(paths) - 1
            others = (
                f" and {count:,} other file{'s' if count > 1 else ''} with the same columns" if count else ""
            )
            if input(f"Store {paths[0]}{others}? [y/N] ").strip().lower() not in ("y", "yes"):
                raise CommandError("nothing was stored")
        return {path for paths in kinds for path in paths}

    def _shown(
        self, files: Sequence[Path], options: dict[str, Any]
    ) -> tuple[dict[Path, ReadOptions], Collection[Sequence[Path]]]:
        """Print a preview of each kind of file that is not certain; return how each file is read, and the files of each kind."""
        terms: dict[Path, ReadOptions] = {}
        kinds: dict[Hashable, list[Path]] = {}
        for path in files:
            file, terms[path] = file_and_options(path, options)
            preview = file_preview(file=file, options=terms[path])
            if options["preview"] or (not preview.is_certain and preview.kind not in kinds):
                self.stdout.write("\n".join(preview_lines(preview)))
            if not preview.is_certain:
                kinds.setdefault(preview.kind, []).append(path)
        return terms, kinds.values()

    def _import(
        self,
        file: SourceFile,
        read: ReadOptions,
        options: dict[str, Any],
        progress: Callable[[StageStatus], None],
    ) -> None:
        """Import a file, and print what it did. Raises CommandError for a bad row, or if all rows are bad."""
        try:
            with _spool(settings.DATA_DIR / "imports") as spool:
                imported = file_import(
                    file=file,
                    options=read,
                    spool=spool / "sorted",
                    skip_bad=options["skip_bad"],
                    confirmed=options["yes"],
                    progress=progress,
                )
        except BadRow as error:
            raise CommandError(f"{error}; give --skip-bad to leave such rows out") from error
        for line in report_lines(imported, read):
            self.stdout.write(line)
        for row in imported.counts.examples:
            self.stderr.write(f"  {row}")
        if 0 < imported.counts.rows == imported.counts.bad:
            raise CommandError(f"{file.path}: no row can be stored")


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _spool(root: Path) -> Iterator[Path]:
    """Yield a folder of this import alone, locked while it runs. Deletes the folders of imports that were killed."""
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(root):
            for old in root.iterdir():
                with suppress(OSError), _locked(old, wait=False):
                    shutil.rmtree(old)
            path = Path(stack.enter_context(TemporaryDirectory(dir=root)))
            stack.enter_context(_locked(path))
        yield path


@cache
def import_parser() -> CommandParser:
    """Return a parser of the command's own options, which raises CommandError."""
    parser = CommandParser(add_help=False, allow_abbrev=False)
    ImportCommand().add_arguments(parser)
    return parser


def file_and_options(
    path: Path, options: dict[str, Any], check: Callable[[], object] = no_check
) -> tuple[SourceFile, ReadOptions]:
    """Return a file's reader, and how it is read by the command's options. check: see `SourceFile`.

    Raises `ImportRefused`, `OSError`.
    """
    file = opened_file(path, dialect_of(options), check)
    return file, read_options(file, options["format"], **_terms(options))


def report_lines(result: ImportResult, options: ReadOptions) -> Iterator[str]:
    """Yield what is said of an import: the counts, and its symbols."""
    counts = result.counts
    parts = [f"{counts.rows:,} rows", f"{counts.stored:,} stored", f"{counts.duplicates:,} already there"]
    if counts.bad:
        parts.append(f"{counts.bad:,} bad")
    if counts.unknown_conditions:
        words = (f"{word} {count:,}" for word, count in sorted(counts.unknown_conditions.items()))
        parts.append(f"unknown conditions: {', '.join(words)}")
    parts += _left_out(result)
    if options.vendor:
        parts.append(f"layout: {options.vendor}")
    if options.guessed:
        parts.append(f"guessed: {' '.join(guess.option for guess in options.guessed)}")
    yield f"{result.path}: {'; '.join(parts)}"
    for line in _symbol_lines(result):
        yield f"  {line}"


def _left_out(result: ImportResult) -> Iterator[str]:
    """Yield what an import did not read."""
    if result.unread_columns:
        yield f"columns not read: {', '.join(result.unread_columns)}"
    if result.notes:
        yield f"notes at the end, which are no rows: {'; '.join(result.notes)}"


def preview_lines(preview: ImportPreview) -> Iterator[str]:
    """Yield what is said of a file before it is imported."""
    shown = preview.document()
    what = [f"{shown['dataset']}", *([f"layout {shown['format']}"] if shown["format"] else [])]
    what += [f"symbol {shown['symbol']}"] if shown["symbol"] else []
    what += [f"time zone {shown['timezone']}"]
    what += [f"resolution {shown['resolution']}"] if shown["resolution"] else []
    yield f"{preview.reading.file.path} would be stored as: {', '.join(what)}"
    yield f"  columns: {', '.join(f'{name} is {source}' for name, source in shown['columns'].items())}"
    for title, rows in (("first", preview.first_rows), ("last", preview.last_rows)):
        if rows.num_rows:
            yield f"  the {title} rows:"
            yield from (f"    {line}" for line in _aligned(preview_cells(rows)))
    for column in preview.unread:
        note = f" ({column.note})" if column.note else ""
        yield f"  not read: {column.name}{note}: {', '.join(column.samples)}"
    yield from (f"  no row: {note}" for note in preview.reading.file.notes)
    yield from (f"  cannot be stored: {bad}" for bad in shown["bad"])
    yield from (f"  doubt: {doubt}" for doubt in preview.doubts)
    yield from (f"  note: {note}" for note in preview.notes)
    yield from (f"  guessed: {guess.option}    ({guess.reason})" for guess in preview.guessed)
    if not preview.is_certain:
        yield f"  to store without a question: {preview.command}"


def preview_cells(rows: pa.Table) -> list[list[str]]:
    """Return the names and the rows of a preview as texts, but for columns without values."""
    documents = row_documents(rows)
    texts = [["" if value is None else str(value) for value in row.values()] for row in documents]
    return [[*documents[0]], *texts] if documents else []


def _aligned(cells: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _symbol_lines(result: ImportResult) -> Iterator[str]:
    """Yield a line for each of the first symbols, and one for those that a vendor's rule translated."""
    symbols = result.counts.symbols
    for symbol, of_symbol in islice(symbols.items(), _SHOWN):
        yield (
            f"{symbol}: {of_symbol.rows:,} rows, {format_timestamp(of_symbol.first_ns)}"
            f" to {format_timestamp(of_symbol.last_ns)}"
        )
    if (more := len(symbols) - _SHOWN) > 0:
        yield f"and {more:,} more symbols"
    if result.translated:
        shown = sorted(result.translated.items())[:_SHOWN]
        spellings = ", ".join(f"{spelling} is {symbol}" for spelling, symbol in shown)
        more = len(result.translated) - len(shown)
        yield f"symbols by the vendor's rule: {spellings}" + (f", and {more:,} more" if more else "")


def _add_times(parser: ArgumentParser) -> None:
    parser.add_argument("--timezone", help="time zone of times without an offset (default UTC)")
    parser.add_argument(
        "--ambiguous",
        default="infer",
        choices=AMBIGUOUS,
        help="how to read a local time that occurred twice, if the rows' order does not decide (default: refuse it)",
    )
    parser.add_argument(
        "--time-format", help="how times are written, if not in ISO 8601: '%%m/%%d/%%Y %%H:%%M'"
    )
    parser.add_argument(
        "--bar-times",
        choices=("start", "end"),
        help="whether the times of bars are those of their start (default) or end",
    )
    parser.add_argument(
        "--date", help="local date, such as 2013-10-07, if times count milliseconds since midnight"
    )


def _add_columns(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--columns",
        action="append",
        help="names or positions in the file: timestamp=ts,price=2; volume=up+down adds two columns; an empty name leaves"
        " one out",
    )
    parser.add_argument(
        "--rows",
        action="append",
        metavar="COLUMN=VALUE,…",
        help="read only the rows that have one of these values in this column: EventType=TRADE",
    )
    parser.add_argument("--scale", action="append", help="factors: price=0.0001")
    parser.add_argument("--absolute", help="read these numbers without their signs: volume, of sales below 0")
    parser.add_argument("--encoding", help="of the text: utf-8, utf-16, windows-1252, … (default: detected)")
    parser.add_argument("--delimiter", help="the mark between cells (default: detected)")
    parser.add_argument("--quote", help="the quotation mark (default: detected)")
    parser.add_argument(
        "--skip-lines",
        type=int,
        help="number of lines before the names, or before the first row (default: detected)",
    )
    parser.add_argument(
        "--decimal",
        choices=(",", "."),
        help="the decimal mark; the other one separates thousands (default: detected)",
    )
    parser.add_argument(
        "--resolution", help="of all bars, where no column has it: 1m, 1d, … (default: detected)"
    )


def files_of(patterns: Sequence[str], file_format: str) -> list[Path]:
    """Return the files that match the patterns, each once. Raises `ImportRefused` for a pattern without a file."""
    suffixes = FORMATS[file_format]
    named = (*suffixes, *(() if file_format == "parquet" else TEXTS))
    if file_format == AUTO:
        named = (*named, *(suffix for some in FORMATS.values() for suffix in some))
    files: dict[Path, None] = {}
    for pattern in patterns:
        matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 a pattern may be absolute
        paths = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, matches))
        found = [file for path in paths for file in _files(path, suffixes, named)]
        if not found:
            names = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}" if suffixes[1:] else suffixes[0]
            raise ImportRefused(f"{pattern} names no {names} file (--format {file_format})")
        files.update(dict.fromkeys(found))
    return list(files)


def _files(path: Path, suffixes: tuple[str, ...], named: tuple[str, ...]) -> list[Path]:
    """Return the file, if it has one of the suffixes in `named`, or the files in a folder and its folders."""
    if path.is_dir():
        return sorted(
            each
            for each in path.rglob("*")
            if each.name.endswith(suffixes)
            and each.name != MANIFEST
            and not any(part.startswith(".") for part in each.relative_to(path).parts)
            and each.is_file()
        )
    return [path] if path.name.endswith(named) else []


def _terms(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `read_options`. Raises `ImportRefused`."""
    try:
        rule = SYMBOL_RULES.get(options["format"])
        symbol = file_symbol(options["symbol"], rule) if options["symbol"] else None
        symbols = frozenset(file_symbol(each, rule) for each in (options["symbols"] or "").split(",") if each)
        date = np.datetime64(options["date"], "D") if options["date"] else None
    except (InvalidSymbol, ValueError) as error:
        raise ImportRefused(str(error)) from error
    return {
        "dataset": DATASETS[options["dataset"]] if options["dataset"] else None,
        "symbol": symbol,
        "symbols": symbols,
        "zone": options["timezone"],
        "ambiguous": options["ambiguous"],
        "columns": _pairs(options["columns"], "--columns"),
        "scale": {name: Scale.of(text) for name, text in _pairs(options["scale"], "--scale").items()} or None,
        "rows": _rows(options["rows"]),
        "date": date,
        "time_format": options["time_format"],
        "absolute": frozenset(name.strip() for name in options["absolute"].split(","))
        if options["absolute"]
        else None,
        "times_end": options["bar_times"] == "end" if options["bar_times"] else None,
        "given": {"resolution": options["resolution"]} if options["resolution"] else {},
        "conditions": CONDITION_MAPS[options["conditions"]] if options["conditions"] else None,
    }


def options_check(options: dict[str, Any]) -> None:
    """Raise `ImportRefused` for options that are wrong whatever the file."""
    dialect_of(options)
    ReadOptions(TRADES, zone=_terms(options)["zone"] or "UTC")


def dialect_of(options: dict[str, Any]) -> Dialect:
    """Return how the files are written, as far as options say. Raises `ImportRefused`."""
    if (options["skip_lines"] or 0) < 0:
        raise ImportRefused("--skip-lines is a number of lines, 0 or more")
    for name in ("delimiter", "quote"):
        mark = options[name] or "x"
        if len(mark.encode()) != 1 or mark in "\r\n":
            raise ImportRefused(f"--{name} is one character of ASCII")
    try:
        "".encode(options["encoding"] or "utf-8", "replace")
    except (LookupError, ValueError) as error:
        raise ImportRefused(
            f"there is no encoding {options['encoding']!r}; give --encoding windows-1252"
        ) from error
    texts = {name: options[name] or "" for name in ("encoding", "delimiter", "quote", "decimal")}
    return Dialect(**texts, skip_lines=options["skip_lines"])


def _pairs(values: Sequence[str] | str | None, option: str) -> dict[str, str]:
    given = [values] if isinstance(values, str) else values or []
    text, listed = ",".join(given), [pair for each in given for pair in texts_of(each)]
    pairs = [pair.partition("=") for pair in listed if pair]
    if any(not equals for _, equals, _ in pairs):
        raise ImportRefused(f"{option} is a list such as price=px,volume=qty, not {text!r}")
    named = {name.strip(): value.strip() for name, _, value in pairs}
    if len(named) < len(pairs):
        raise ImportRefused(f"{option} names a column twice: {text!r}")
    return named


def _rows(values: Sequence[str] | str | None) -> dict[str, tuple[str, ...]]:
    """Return the values of `--rows` by column. Raises `ImportRefused`."""
    found: dict[str, tuple[str, ...]] = {}
    for value in [values] if isinstance(values, str) else values or []:
        name, equals, texts = value.partition("=")
        if not equals:
            raise ImportRefused(f"--rows is a column and its values, such as EventType=TRADE, not {value!r}")
        found[name.strip()] = (*found.get(name.strip(), ()), *texts_of(texts))
    return found


@contextmanager
def _said_when_stopped(
    path: Path, show: Callable[[StageStatus], None]
) -> Iterator[Callable[[StageStatus], None]]:
    """Yield a function that shows how far the import of a file is. At Ctrl-C raises CommandError, which says what is stored."""
    latest: StageStatus | None = None

    def progress(step: StageStatus) -> None:
        nonlocal latest
        latest = step
        show(step)

    try:
        yield progress
    except KeyboardInterrupt:
        again = "Run the same command again: it stores no row twice."
        raise CommandError(
            f"{path}: stopped. {_stored_until(latest)}. {again}", returncode=_STOPPED
        ) from None


def _stored_until(step: StageStatus | None) -> str:
    if step is None:
        return "It had just begun"
    if step.stage is ImportStage.SORTING:
        return "Its rows were being sorted, and are stored after that"
    if step.stage is ImportStage.STORING_SORTED:
        return f"The first {step.done:,} of {step.rows:,} rows, in order of time, are stored"
    return f"The first {step.rows:,} rows are stored"


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[str], Callable[[StageStatus], None]]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[rows]:,} rows"), console=console, transient=True) as bar:

        def task_for(name: str) -> Callable[[StageStatus], None]:
            task = bar.add_task(escape(name), total=None, rows=0)

            def show(step: StageStatus) -> None:
                bar.update(
                    task,
                    description=f"{escape(name)}: {step.stage}",
                    completed=step.done,
                    total=step.total,
                    rows=step.rows,
                    visible=step.done < step.total,
                )

            return show

        yield task_for
