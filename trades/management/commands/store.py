"""`manage.py store verify | stats | rebuild | compact-derived | clock | copy | switch`."""

import json
import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from store.backends import NoSuchStore, folder_of, store_at
from store.copies import CopyProgress, MirrorError
from store.copying import StoreCopy
from store.datasets import STORED_DATASETS
from store.exceptions import StorageError
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.market_store import MarketStore
from store.moving import MovableStore, NotMoved
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamp
from trades.stores import LogName, NotMaintained, logs_of, maintained_store, market_store

_VERIFY = (
    "Check every byte against the commit records: the hash chain, and the checksum of every 4 KiB; in a store without files"
    " the hash chain, and the rows of every commit up to the first damaged one. Prints each damage"
    " with its file, offset, commit and the times of the rows that cannot be served. The offset is the start of the"
    " damaged 4 KiB block, the first of missing bytes, or the start of a damaged commit record's line. Continues with"
    " the other symbols. Exit status 1 if anything is damaged."
)
_CLOCK = (
    "List logs that refuse writes, because their newest commit is more than a minute ahead of the clock. With --accept,"
    " let all processes write to these logs, and with the clock as it is: after it was set by more than a minute, all"
    " writes are refused. Check the clock first: a commit that is stamped in the future hides all later ones from `as_of`."
    " Later commits of a log that is ahead are stamped a nanosecond apart until the clock has reached them. Exit status 1"
    " if a log is ahead and --accept is not given."
)
_COPY = (
    "Copy all logs and declarations of instruments from one store into another, with numbers, hashes and times of their"
    " commits. FROM may be written to meanwhile. Run it again to copy what came since, or after it was ended in any way."
    " Each commit is checked before it is stored; `store verify --store TO` reads the copy back."
    " Exit status 1 if a log of TO is not one of FROM: it stays as it is."
)
_SWITCH = (
    "Move the server's market data to another store while the server runs: copy everything, let writers wait for a moment,"
    " copy the rest, and tell all processes, which then use the other store; no live connection ends. Set MARKET_STORE to TO"
    " before the next start. Exit status 1 if nothing moved."
)
_FAILURES = (
    StorageError,
    NotMaintained,
    NotMoved,
    InvalidSymbol,
    InvalidTimestamp,
    NoSuchStore,
    MirrorError,
)
_FOLLOW_SECONDS = 0.5


class Command(BaseCommand):
    help = "Maintain the store: verify it, print statistics, rebuild derived files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        texts = {
            "verify": _VERIFY,
            "stats": "Commits, rows, bytes and times of each symbol.",
            "rebuild": "Delete derived files and build them again.",
            "compact-derived": "Merge small derived files.",
            "clock": _CLOCK,
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
            if verb == "clock":
                verb_parser.add_argument("--accept", action="store_true", help="accept the clock as it is")
        copy = verbs.add_parser("copy", help="Copy all logs from one store into another", description=_COPY)
        copy.add_argument("origin", metavar="FROM", help="a folder, or the URL of a store")
        copy.add_argument("to", metavar="TO", help="the same; new, or a copy of FROM already")
        copy.add_argument("--follow", action="store_true", help="copy what comes, too, until Ctrl-C")
        copy.add_argument("--until", metavar="INSTANT", help="leave out what was committed later")

        switch = verbs.add_parser(
            "switch", help="Move the server's store to another store", description=_SWITCH
        )
        switch.add_argument(
            "to", metavar="TO", help="a folder, or the URL of a store; new, or a copy already"
        )

    def handle(self, *_: Any, verb: str, symbols: Sequence[str] = (), **options: Any) -> None:
        """Run a verb over the logs. Raises CommandError, with status 1, for damage or an unknown symbol."""
        try:
            if verb == "copy":
                self._copy(options["origin"], options["to"], options["until"], follow=options["follow"])
            elif verb == "switch":
                self._switch(options["to"])
            else:
                self._maintain(verb, symbols, options)
        except _FAILURES as error:
            raise CommandError(str(error)) from error

    def _maintain(self, verb: str, symbols: Sequence[str], options: dict[str, Any]) -> None:
        store = store_at(options["store"]) if options.get("store") else market_store().current
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
        elif verb == "clock":
            self._clock(logs, is_accepted=options["accept"])
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
                damages += sum(self._report(name, finding) for finding in _findings(name, check))
                commits, rows = commits + check.checked.commits, rows + check.checked.rows
                size += check.checked.bytes
        self.stdout.write(f"{len(logs):,} logs, {commits:,} commits, {rows:,} rows, {size:,} bytes checked")
        if damages:
            raise CommandError(f"{damages} damaged", returncode=1)

    def _report(self, log: str, finding: LogFinding) -> bool:
        """Print a finding; return whether it is damage."""
        commit = f" (commit {finding.commit})" if finding.commit is not None else ""
        times = ""
        if finding.first_ns is not None and finding.last_ns is not None:
            first, last = format_timestamp(finding.first_ns), format_timestamp(finding.last_ns)
            times = f"; rows from {first} to {last} cannot be served"
        word = "note" if finding.is_harmless else "damaged"
        place = f"/{finding.file}, byte {finding.offset}" if finding.file else ""
        position = f"{log}{place}{commit}"
        self.stdout.write(f"{word}: {position}: {finding.message}{times}")
        return not finding.is_harmless

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

    def _clock(self, logs: list[LogName], *, is_accepted: bool) -> None:
        store = maintained_store()
        now_ns = until_ns = time.time_ns()
        ahead = 0
        for dataset, symbol in logs:
            log = market_store().log(dataset, symbol)
            newest_ns = log.committed_at(log.head.number)
            if store.is_ahead_of_clock(newest_ns):
                ahead, until_ns = ahead + 1, max(until_ns, newest_ns)
                self.stdout.write(f"ahead: {dataset.name}/{symbol}: {format_timestamp(newest_ns)}")
        if is_accepted:
            store.accept_clock(until_ns)
            self.stdout.write(f"accepted: {format_timestamp(now_ns)}, {ahead:,} logs ahead of it")
        elif ahead:
            raise CommandError(f"{ahead:,} logs are ahead of {format_timestamp(now_ns)}", returncode=1)

    def _copy(self, origin_path: str, to_path: str, until: str | None, *, follow: bool) -> None:
        until_ns = None if until is None else parse_timestamp(until)
        copy = StoreCopy(*_stores(origin_path, to_path), until_ns=until_ns)
        logs = list(copy.logs())
        with Progress(console=Console(stderr=True), transient=True) as bar, suppress(KeyboardInterrupt):
            task = bar.add_task("copying", total=sum(log.end().rows for log in logs))
            bar.advance(task, sum(copy.to.log(log.dataset, log.symbol).end().rows for log in logs))
            problems = 0
            for progress in copy.round(on_rows=partial(bar.advance, task)):
                problems += self._report_copied(progress)
            self.stdout.write(f"{len(logs):,} logs, {problems} not copied further")
            while follow and not problems:
                self.stdout.flush()
                time.sleep(_FOLLOW_SECONDS)
                problems = sum(self._report_copied(each) for each in copy.round() if each.problem)
        if problems:
            raise CommandError("not all logs were copied", returncode=1)

    def _switch(self, to_path: str) -> None:
        store, folder = market_store(), folder_of(to_path)
        to = to_path if folder is None else str(folder.resolve())
        if not isinstance(store, MovableStore):
            raise CommandError(
                "MARKET_STORE names the store: stop the server, run `store copy`, and change MARKET_STORE"
            )
        if folder is None and "postgres=" not in to:
            raise CommandError("name the PostgreSQL of the commits in the URL: postgres=…")
        if settings.DATA_DIR.stat().st_uid != os.geteuid():
            raise CommandError("run it as the user of the server, whose processes read what it writes")
        _refuse_nested(settings.DATA_DIR, folder_of(to))
        waited = store.move(to, self.stdout.write)
        self.stdout.write(f"moved; writers waited {waited:.1f} s. Set MARKET_STORE before the next start")

    def _report_copied(self, progress: CopyProgress) -> bool:
        """Print how far a log is copied; return whether something is wrong."""
        problem = f", not copied further: {progress.problem}" if progress.problem else ""
        self.stdout.write(f"{progress.dataset}/{progress.symbol}: commit {progress.head.token}{problem}")
        return bool(problem)

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


def _findings(log: str, check: LogCheck) -> Iterator[LogFinding]:
    """Yield the findings of a check. Raises CommandError for a log that cannot be read."""
    try:
        yield from check.findings()
    except OSError as error:
        raise CommandError(f"{log}: {error.strerror}") from error


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
