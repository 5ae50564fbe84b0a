"""`manage.py store verify | stats | rebuild | compact-derived | expire | copy | cut`."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ops.serve.installation import InstallationError
from store.backends import NoSuchStore, folder_of, store_at
from store.copying import copy_store
from store.datasets import STORED_DATASETS
from store.exceptions import StorageError
from store.expiring import EXPIRING, LogExpiry, expire, planned, remove_due
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.market_store import MarketStore
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import DAY_NS, InvalidTimestamp, format_timestamp, parse_timestamp
from trades.cutting import NotCut, logs_cut
from trades.stores import LogName, NotMaintained, logs_of, maintained_store, market_store

_VERIFY = (
    "Walk all commits: check the hash chain, the checksum of every 4 KiB, the content hash of every commit's rows, the"
    " index against the records, and the derived files; in a store without files the hash chain and the content hashes. Goes on after damage, and prints every"
    " damaged block with its file, offset, commit and the times of the rows that cannot be served. The offset is the start"
    " of the damaged 4 KiB block, the first of missing bytes, or the start of a damaged commit record's line."
    " Exit status 1 if anything is damaged."
)
_COPY = (
    "Copy all logs and declarations of instruments from one store into another, with numbers, hashes and times of their"
    " commits. FROM may be written to meanwhile. Run it again to copy what came since, or after it was ended in any way. To"
    " move a server: copy while it runs, stop it, copy again, set MARKET_STORE, and start it. Each commit is checked before"
    " it is stored; `store verify --store TO` reads the copy back. Exit status 1 if a log could not be copied: the others are."
)
_EXPIRE = (
    "Expire the rows of dates before DATE: first the bars of a minute, and daily bars that minutes do not make, are kept, and"
    " checked against those made of the trades; then the expiry is recorded. The rows are deleted a day later at the earliest,"
    " by the worker or the next run. Shows first what it will free, and asks. Run it again after it was"
    " ended in any way."
)
_CUT = (
    "Restore logs to an instant: cut off all later commits, of rows, corrections and declarations, of all symbols or of those"
    " that are named. Shows first what each log loses, and asks. Stop the server before. The records of lost commits are kept"
    " beside the log; their rows are lost at the next write. Run it again after it was ended in any way."
)
_FAILURES = (
    StorageError,
    InstallationError,
    NotCut,
    NotMaintained,
    InvalidSymbol,
    InvalidTimestamp,
    NoSuchStore,
)


class Command(BaseCommand):
    help = "Maintain the store: verify it, print statistics, rebuild derived files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        texts = {
            "verify": _VERIFY,
            "stats": "Commits, rows, bytes and times of each symbol.",
            "rebuild": "Delete derived files and build them again.",
            "compact-derived": "Merge small derived files.",
        }
        for verb, text in texts.items():
            verb_parser = verbs.add_parser(
                verb, help=text.partition(":")[0].partition(".")[0], description=text
            )
            verb_parser.add_argument("symbols", nargs="*", metavar="SYMBOL", help="default: all")
            verb_parser.add_argument(
                "--dataset", action="append", dest="datasets", choices=[*STORED_DATASETS], help="default: all"
            )
            if verb in {"verify", "stats"}:
                verb_parser.add_argument(
                    "--store", help="a folder, or the URL of a store; default: the server's"
                )
            if verb == "stats":
                verb_parser.add_argument("--json", action="store_true", help="print JSON only")
        expire = verbs.add_parser(
            "expire", help="Delete rows of old dates, and keep their bars", description=_EXPIRE
        )
        expire.add_argument(
            "--before", required=True, metavar="DATE", help="the first date to keep, such as 2025-01-31"
        )
        expire.add_argument(
            "--dataset",
            required=True,
            action="append",
            dest="datasets",
            choices=[each.name for each in EXPIRING],
        )
        expire.add_argument(
            "--symbol", action="append", dest="symbols", metavar="SYMBOL", help="default: all"
        )
        expire.add_argument("--yes", action="store_true", help="do not ask")
        copy = verbs.add_parser("copy", help="Copy all logs from one store into another", description=_COPY)
        copy.add_argument("origin", metavar="FROM", help="a folder, or the URL of a store")
        copy.add_argument("to", metavar="TO", help="the same; new, or a copy of FROM already")

        cut = verbs.add_parser("cut", help="Restore logs to an instant", description=_CUT)
        cut.add_argument("symbols", nargs="*", metavar="SYMBOL", help="default: all")
        cut.add_argument(
            "--until", required=True, metavar="INSTANT", help="the last commit up to it stays the newest one"
        )
        cut.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_: Any, verb: str, symbols: Sequence[str] = (), **options: Any) -> None:
        """Run a verb over the logs. Raises CommandError, with status 1, for damage or an unknown symbol."""
        try:
            if verb == "copy":
                self._copy(options["origin"], options["to"])
            elif verb == "cut":
                self._cut(symbols, options)
            elif verb == "expire":
                self._expire(symbols or (), options)
            else:
                self._maintain(verb, symbols, options)
        except _FAILURES as error:
            raise CommandError(str(error)) from error

    def _maintain(self, verb: str, symbols: Sequence[str], options: dict[str, Any]) -> None:
        store = store_at(options["store"]) if options.get("store") else market_store()
        logs = logs_of(
            store,
            datasets=options["datasets"] or [],
            symbols=list(map(parse_symbol, symbols)),
            with_empty=verb == "verify",
        )
        if verb == "verify":
            self._verify(store, logs)
        elif verb == "stats":
            self._stats(store, logs, as_json=options["json"])
        else:
            self._derive(logs, is_rebuilt=verb == "rebuild")

    def _verify(self, store: MarketStore, logs: list[LogName]) -> None:
        commits = rows = size = damages = 0
        checks = [(f"{dataset.name}/{symbol}", store.check(dataset, symbol)) for dataset, symbol in logs]
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("verifying", total=sum(check.size for _, check in checks))
            for name, check in checks:
                bar.update(task, description=name)
                check.progress = partial(bar.advance, task)
                for finding in _findings(check):
                    self._report(name, finding)
                    damages += 1
                commits, rows = commits + check.checked.commits, rows + check.checked.rows
                size += check.checked.bytes
        self.stdout.write(f"{len(logs):,} logs, {commits:,} commits, {rows:,} rows, {size:,} bytes checked")
        if damages:
            raise CommandError(f"{damages} damaged", returncode=1)

    def _report(self, log: str, finding: LogFinding) -> None:
        """Print a finding."""
        commit = f" (commit {finding.commit})" if finding.commit is not None else ""
        times = ""
        if finding.first_ns is not None and finding.last_ns is not None:
            first, last = format_timestamp(finding.first_ns), format_timestamp(finding.last_ns)
            times = f"; rows from {first} to {last} cannot be served"
        place = f"/{finding.file}, byte {finding.offset}" if finding.file else ""
        position = f"{log}{place}{commit}"
        self.stdout.write(f"damaged: {position}: {finding.message}{times}")

    def _stats(self, store: MarketStore, logs: list[LogName], *, as_json: bool) -> None:
        rows = [_row(log, store.statistics(*log)) for log in logs]
        if as_json:
            self.stdout.write(json.dumps(rows))
            return
        table = Table(box=None)
        for name in ("dataset", "symbol", "commits", "rows", "bytes", "derived", "first", "last"):
            is_number = name in {"commits", "rows", "bytes", "derived"}
            table.add_column(name, justify="right" if is_number else "left")
        for row in rows:
            table.add_row(
                *(f"{cell:,}" if isinstance(cell, int) else str(cell or "") for cell in row.values())
            )
        Console(file=self.stdout, width=180).print(table)  # type: ignore[arg-type]

    def _copy(self, origin_path: str, to_path: str) -> None:
        origin, to = _stores(origin_path, to_path)
        count = problems = 0
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("copying", total=None)
            for log in copy_store(origin, to, on_rows=partial(bar.advance, task)):
                count += 1
                if log.problem:
                    problems += 1
                    self.stdout.write(
                        f"{log.dataset}/{log.symbol}: stays at commit {log.head.token}: {log.problem}"
                    )
            rows = int(bar.tasks[task].completed)
        self.stdout.write(f"{count:,} logs, {rows:,} rows copied")
        if problems:
            raise CommandError(f"{problems:,} logs were not copied", returncode=1)

    def _expire(self, symbols: Sequence[str], options: dict[str, Any]) -> None:
        store, before_ns = market_store(), parse_timestamp(options["before"])
        if before_ns % DAY_NS or before_ns > time.time_ns():
            raise CommandError(f"--before {options['before']} is not a date up to today, such as 2025-01-31")
        logs = logs_of(store, datasets=options["datasets"], symbols=list(map(parse_symbol, symbols)))
        plans = [planned(store, *log, before_ns) for log in logs]
        for plan in plans:
            size = f"{plan.bytes / 2**20:,.1f} MB"
            self.stdout.write(f"{_name(plan)}: {len(plan.dates):,} dates, {plan.rows:,} rows, {size}")
        has_rows = any(plan.dates for plan in plans)
        if has_rows and not (options["yes"] or _says_yes("Expire these rows?")):
            raise CommandError("nothing has expired")
        for plan in plans:
            expire(store, plan)
            if freed := remove_due(store, plan.dataset, plan.symbol, time.time_ns()):
                self.stdout.write(f"{_name(plan)}: freed {freed / 2**20:,.1f} MB that expired before")
        if has_rows:
            self.stdout.write("Expired. After a day the worker, or the next run, deletes the rows.")

    def _cut(self, symbols: Sequence[str], options: dict[str, Any]) -> None:
        try:
            until_ns = parse_timestamp(options["until"])
        except InvalidTimestamp:
            raise CommandError(
                f"--until {options['until']} is not a time such as 2025-01-02T12:00:00Z"
            ) from None
        logs_cut(
            symbols=list(map(parse_symbol, symbols)),
            until_ns=until_ns,
            say=self.stdout.write,
            is_wanted=lambda: options["yes"] or _says_yes("Cut these logs?"),
        )

    def _derive(self, logs: list[LogName], *, is_rebuilt: bool) -> None:
        store = maintained_store()
        for dataset, symbol in logs:
            files = store.derive(dataset, symbol, rebuild=is_rebuilt, compact=not is_rebuilt)
            result = "skipped: another process is building it; run the command again later"
            if files is not None:
                result = f"{files.segments:,} segments, {files.rows:,} rows, {files.bytes:,} bytes, to commit {files.commit}"
            self.stdout.write(f"{dataset.name}/{symbol}: {result}")


def _stores(origin_path: str, to_path: str) -> tuple[MarketStore, MarketStore]:
    """Return the stores of a copy; the second one may be new. Raises CommandError, `NoSuchStore`."""
    _refuse_nested(folder_of(origin_path), folder_of(to_path))
    origin = store_at(origin_path)
    if not any(origin.symbols(dataset) for dataset in STORED_DATASETS.values()):
        raise CommandError("FROM has no data: give the DATA_DIR of a store, or its URL")
    return origin, store_at(to_path, create=True)


def _refuse_nested(*folders: Path | None) -> None:
    found = [folder.resolve() for folder in folders if folder is not None]
    if len(found) == 2 and any(each.is_relative_to(other) for each, other in (found, found[::-1])):
        raise CommandError("one of the folders is in the other: choose a TO beside FROM")


def _findings(check: LogCheck) -> Iterator[LogFinding]:
    """Yield the findings of a check; one more if the rest of the log cannot be read."""
    try:
        yield from check.findings()
    except OSError as error:
        yield LogFinding("", 0, f"cannot be read ({error.strerror}): nothing more of it was checked")


def _says_yes(question: str) -> bool:
    """Return whether a person says yes. Raises CommandError if nobody can be asked."""
    try:
        return input(f"{question} [yes/no] ") == "yes"
    except EOFError:
        raise CommandError("nothing was done: add --yes where nobody can be asked") from None


def _name(plan: LogExpiry) -> str:
    return f"{plan.dataset.name}/{plan.symbol}"


def _row(log: LogName, counts: LogStatistics) -> dict[str, Any]:
    times = [None if at is None else format_timestamp(at) for at in (counts.first_ns, counts.last_ns)]
    return {
        "dataset": log[0].name,
        "symbol": log[1],
        "commits": counts.commits,
        "rows": counts.rows,
        "bytes": counts.bytes,
        "derived_bytes": counts.derived_bytes,
        "first": times[0],
        "last": times[1],
    }
