"""Writes an export: file by file, from where an earlier attempt stopped, and at last the manifest."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from django.conf import settings

from calendars.library import versions
from jobs.exports.files import FileEntry, file_sha256, new_file, symbol_files
from jobs.exports.query import ExportQuery
from stats.cursors import RowPosition
from stats.exceptions import RangeTooLarge, ResyncRequired
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from store.timestamps import DAY_NS
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
        self._query, self._out, self._report = query, out, report
        self._notes, self._unfinished = work / "files.jsonl", work / "unfinished"
        # What an attempt that was killed left unfinished.
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True)
        self._rows = self._bytes = self._most_rows = 0
        self._files: list[FileEntry] = []
        # Of symbols: the commits of their logs, and the date of the last file, see `symbol_files`.
        self._commits: dict[str, str] = {}
        self._last_day: dict[str, int | None] = {}

    def write(self) -> JsonObject:
        """Write all files that are not there yet. Return the data set's id, which is the manifest's SHA-256, and totals.

        Raises `ResyncRequired` if a symbol's logs were restored or changed since its files were written, `RangeTooLarge`
        for too many files, and what pages raise.
        """
        self._resume()
        for symbol in self._query.symbols:
            self._most_rows += self._page(symbol).source.total_estimate()
            self._tell()
        for symbol in self._query.symbols:
            self._write_symbol(symbol)
        return manifest_write(self._head(), self._files, self._out, self._unfinished)

    def _resume(self) -> None:
        """Find the files of earlier attempts: those before the first that is not as it was written."""
        lines = self._notes.read_bytes().splitlines(keepends=True) if self._notes.exists() else []
        for number, line in enumerate(lines):
            if not self._finds(line):
                self._notes.write_bytes(b"".join(lines[:number]))
                return

    def _finds(self, line: bytes) -> bool:
        """Return whether the file of a note is as it was written, and take it."""
        try:
            note = msgspec.json.decode(line)
        except ValueError:  # the line was cut off
            return False
        entry, symbol = FileEntry(**note["file"]), note["symbol"]
        if file_sha256(self._out / entry.path, self._tell) != entry.sha256:
            return False
        self._commits[symbol], self._rows = note["commits"], self._rows + entry.rows
        self._take(symbol, entry, note["day"])
        return True

    def _take(self, symbol: str, entry: FileEntry, day: int | None) -> None:
        self._files.append(entry)
        self._bytes += entry.bytes
        self._last_day[symbol] = day

    def _page(self, symbol: str) -> PageSnapshot:
        page = page_snapshot(self._query.of_symbol(symbol), now_ns=time.time_ns())
        if self._commits.setdefault(symbol, page.commits) != page.commits:
            raise ResyncRequired(
                f"the data of {symbol} were restored or changed since the export began; start it again"
            )
        return page

    def _write_symbol(self, symbol: str) -> None:
        """Write a symbol's files that are not there, and note each. A note may be lost with the power: no harm."""
        position = None
        if symbol in self._last_day:
            if (last_day := self._last_day[symbol]) is None:
                return
            position = RowPosition(0, (last_day + 1) * DAY_NS)
        for entry, day in symbol_files(
            self._query, self._page(symbol), symbol, self._out, self._unfinished, position=position, tell=self._count
        ):  # fmt: skip
            self._take(symbol, entry, day)
            note = {"symbol": symbol, "commits": self._commits[symbol], "file": entry, "day": day}
            with self._notes.open("ab") as notes:
                notes.write(msgspec.json.encode(note) + b"\n")
            if len(self._files) > MOST_FILES:
                raise RangeTooLarge(
                    f"an export has at most {MOST_FILES:,} files: ask for fewer symbols, a shorter range or another format"
                )

    def _head(self) -> JsonObject:
        """Return what the manifest begins with. It is the same for the same data: it has no instant of the export."""
        return {
            "dataset": self._query.dataset.name,
            "class": self._query.market_class,
            "format": self._query.format,
            "query": {name: value for name, value in self._query.parameters if name != "as_of"},
            "commits": {symbol: self._commits[symbol] for symbol in self._query.symbols},
        }

    def _count(self, rows: int, size: int) -> None:
        self._rows += rows
        self._tell(size)

    def _tell(self, unfinished: int = 0) -> None:
        self._report(self._rows, self._bytes + unfinished, max(self._most_rows, self._rows))


def manifest_write(head: JsonObject, files: Sequence[FileEntry], out: Path, unfinished: Path) -> JsonObject:
    """Write the manifest, which begins with `head`. Return the data set's id, which is its SHA-256, and totals."""
    manifest = {
        **head,
        "rows": sum(each.rows for each in files),
        "files": sorted(files, key=lambda each: each.path),
        "versions": {
            "program": settings.SPECTACULAR_SETTINGS["VERSION"],
            "calendars": versions(),
            "pyarrow": pa.__version__,
            "numpy": np.__version__,
        },
    }
    content = msgspec.json.format(msgspec.json.encode(manifest))
    with new_file(out / MANIFEST, unfinished) as file:
        file.write(content)
    for folder, _, _ in os.walk(out):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return {
        "dataset": sha256(content).hexdigest(),
        "rows": manifest["rows"],
        "bytes": sum(each.bytes for each in files) + len(content),
        "files": len(files) + 1,
    }
