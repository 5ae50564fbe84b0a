"""Writes an export: file by file, from where an earlier attempt stopped, and at last the manifest."""

import os
import shutil
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from django.conf import settings

from calendars.library import versions
from jobs.exports.files import FileEntry, WrittenFiles, write_whole
from jobs.exports.query import ExportQuery
from jobs.exports.symbol_files import symbol_files
from stats.cursors import RowPosition
from stats.exceptions import RangeTooLarge, ResyncRequired
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from web.requests.json_fields import JsonObject

MANIFEST = "manifest.json"
MOST_FILES = 100_000


class ExportWriter:
    """Writes the files of an export into the folder `out`; what an attempt must know of earlier ones is in `work`.

    report: called often, with the rows and bytes so far and an upper bound of all rows. It may raise.
    """

    def __init__(
        self, query: ExportQuery, *, out: Path, work: Path, report: Callable[[int, int, int], None]
    ) -> None:
        self._query, self._out, self._work, self._report = query, out, work, report
        self._rows = self._bytes = self._most_rows = 0
        # What an attempt that was killed left unfinished.
        shutil.rmtree(work / "unfinished", ignore_errors=True)
        self._unfinished = work / "unfinished"
        self._unfinished.mkdir(parents=True)
        self._written = WrittenFiles(out, work, self._tell)

    def write(self) -> JsonObject:
        """Write all files that are not there yet. Return the data set's id, which is the manifest's SHA-256, and totals.

        Raises `ResyncRequired` if a log is not at the commit any more that the first attempt read, `RangeTooLarge`
        for too many files, and what pages raise.
        """
        commits = self._commits()
        self._rows = sum(each.rows for each in self._written.by_path.values())
        self._bytes = sum(each.size for each in self._written.by_path.values())
        for symbol in self._query.symbols:
            last = self._written.last_of.get(symbol)
            if last is None or last.following is not None:
                self._write_symbol(self._page(symbol, commits[symbol]), symbol, last)
        entries = sorted(self._written.by_path.values(), key=lambda each: each.path)
        content = self._manifest(commits, entries)
        write_whole(self._out / MANIFEST, self._unfinished, content)
        for folder, _, _ in os.walk(self._out):
            _sync_folder(Path(folder))
        size = sum(each.size for each in entries) + len(content)
        identity, count = sha256(content).hexdigest(), len(entries) + 1
        return {"dataset": identity, "rows": self._rows, "bytes": size, "files": count}

    def _commits(self) -> dict[str, str]:
        """Return the commits of each symbol's logs: those that the first attempt found."""
        path, commits = self._work / "commits.json", dict[str, str]()
        found: dict[str, str] = orjson.loads(path.read_bytes()) if path.exists() else {}
        for symbol in self._query.symbols:
            page = self._page(symbol, found.get(symbol))
            commits[symbol] = page.commits
            self._most_rows += page.source.total_estimate()
            self._tell()
        if not found:
            write_whole(path, self._unfinished, orjson.dumps(commits))
        return commits

    def _page(self, symbol: str, commits: str | None) -> PageSnapshot:
        """Return the snapshot of a symbol. commits: those that it must have; None for any."""
        page = page_snapshot(self._query.of_symbol(symbol), now_ns=time.time_ns())
        if commits is not None and page.commits != commits:
            raise ResyncRequired(
                f"the data of {symbol} were restored or changed since the export began; start it again"
            )
        return page

    def _write_symbol(self, page: PageSnapshot, symbol: str, last: FileEntry | None) -> None:
        """Write a symbol's files, those after `last`."""
        position = RowPosition(0, *last.following) if last and last.following else None
        for entry in symbol_files(
            self._query, page, symbol, self._out, self._unfinished, position=position, tell=self._count
        ):
            self._written.add(entry)
            self._bytes += entry.size
            if len(self._written.by_path) > MOST_FILES:
                raise RangeTooLarge(
                    f"an export has at most {MOST_FILES:,} files: ask for fewer symbols, a shorter range or another format"
                )

    def _count(self, rows: int, size: int) -> None:
        self._rows += rows
        self._tell(size)

    def _manifest(self, commits: dict[str, str], entries: list[FileEntry]) -> bytes:
        """Return the manifest. It is the same for the same data: it has no instant of the export."""
        query = {name: value for name, value in self._query.parameters if name != "as_of"}
        manifest = {
            "dataset": self._query.dataset.name,
            "class": self._query.market_class,
            "format": self._query.format,
            "query": query,
            "commits": commits,
            "rows": self._rows,
            "files": [_shown(each) for each in entries],
            "versions": {
                "program": settings.SPECTACULAR_SETTINGS["VERSION"],
                "calendars": versions(),
                "pyarrow": pa.__version__,
                "numpy": np.__version__,
            },
        }
        return orjson.dumps(manifest, option=orjson.OPT_INDENT_2)

    def _tell(self, unfinished: int = 0) -> None:
        self._report(self._rows, self._bytes + unfinished, max(self._most_rows, self._rows))


def _shown(entry: FileEntry) -> JsonObject:
    return {"path": entry.path, "rows": entry.rows, "bytes": entry.size, "sha256": entry.sha256}


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
