"""Keeps a Parquet tree current: new commits make only those files again whose dates they touch."""

import shutil
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgspec

from jobs.exports.files import new_file, symbol_files, symbol_path
from jobs.exports.query import ExportQuery
from stats.caching.keys import key_parts
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from store.symbols import folder_name
from store.timestamps import DAY_NS

# 1880 to 2059, as days since 1970. Halving it ends at single dates.
_ALL_DAYS = range(-(1 << 15), 1 << 15)


class ExportFollower:
    """Keeps the Parquet files of a query below `out` current. What it must remember is in the folder `work`.

    It remembers a hash of all that the rows of a range of dates are made from: their commits, terms, and which bars are
    final. Where it has changed, the halves of the range are compared, down to the dates whose files are made again.
    """

    def __init__(self, query: ExportQuery, *, out: Path, work: Path) -> None:
        self._query, self._out, self._work = query, out, work
        self._unfinished = work / "unfinished"
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True)
        self._hashes = {symbol: self._remembered(symbol) for symbol in query.symbols}

    def update(self, *, now_ns: int) -> int:
        """Make the files again that have changed; return their number. A file without rows any more is deleted."""
        days = _ALL_DAYS if self._query.is_by_date else None
        count = 0
        for symbol in self._query.symbols:
            before = dict(self._hashes[symbol])
            count += self._update(symbol, days, now_ns)
            if self._hashes[symbol] != before:
                with new_file(self._path(symbol), self._unfinished) as file:
                    file.write(msgspec.json.encode(self._hashes[symbol]))
        return count

    def _update(self, symbol: str, days: range | None, now_ns: int) -> int:
        """Make those of the dates' files again that have changed. days: None for all rows, if they are in one file."""
        page = self._page(symbol, days, now_ns)
        name = f"{days.start} {len(days)}" if days else ""
        inputs = sha256(repr((self._query.parameters, key_parts(page.plans[0].source))).encode()).hexdigest()
        known = self._hashes[symbol].get(name)
        if known == inputs[:16]:
            return 0
        if not days or len(days) == 1:
            count = self._write(symbol, page, days)
        elif known is None and not len(page.source.after(None, 1)):
            count = 0
        else:
            middle = len(days) // 2
            count = sum(self._update(symbol, half, now_ns) for half in (days[:middle], days[middle:]))
        self._hashes[symbol][name] = inputs[:16]
        return count

    def _write(self, symbol: str, page: PageSnapshot, days: range | None) -> int:
        """Make a file again, or delete it if it has no rows any more."""
        count = sum(1 for _ in symbol_files(self._query, page, symbol, self._out, self._unfinished))
        if not count:
            path = self._out / symbol_path(self._query, symbol, days.start if days else None)
            with suppress(FileNotFoundError):
                path.unlink()
                path.parent.rmdir()
        return count

    def _page(self, symbol: str, days: range | None, now_ns: int) -> PageSnapshot:
        """Return the snapshot of a symbol's rows; of those of some dates, if any are given."""
        query = self._query.of_symbol(symbol)
        if days:
            start_ns, end_ns = days.start * DAY_NS, days.stop * DAY_NS
            last_ns = now_ns if query.end_ns is None else query.end_ns
            query = replace(
                query,
                start_ns=max(start_ns, query.start_ns or start_ns),
                end_ns=query.end_ns if end_ns > last_ns else end_ns,
                whole_dates=(False, False),
            )
        return page_snapshot(query, now_ns=now_ns)

    def _path(self, symbol: str) -> Path:
        return self._work / f"{folder_name(symbol)}.json"

    def _remembered(self, symbol: str) -> dict[str, str]:
        path = self._path(symbol)
        return msgspec.json.decode(path.read_bytes()) if path.exists() else {}
