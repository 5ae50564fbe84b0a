"""Keeps a Parquet tree current: new commits make only those files again whose dates they touch."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from jobs.exports.files import write_whole
from jobs.exports.query import ExportQuery
from jobs.exports.symbol_files import symbol_files, symbol_path
from stats.caching.keys import key_parts
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from store.protocol import CommitId, Window
from store.timestamps import DAY_NS
from store.walk import Resync
from trades.stores import market_store

_STATE = "state.json"


class ExportFollower:
    """Keeps the Parquet files of a query below `out` current. What it must remember is in the folder `work`.

    For each symbol it remembers the newest commits of the logs, all else that rows are made from, until when bars were
    final, and when rows change by themselves.
    """

    def __init__(self, query: ExportQuery, *, out: Path, work: Path) -> None:
        self._query, self._out, self._path = query, out, work / _STATE
        self._unfinished = work / "unfinished"
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True)
        kept = orjson.loads(self._path.read_bytes()) if self._path.exists() else {}
        asked = [query.dataset.name, query.market_class, repr(query.parameters)]
        self._state: dict[str, Any] = kept if kept.get("asked") == asked else {"asked": asked, "symbols": {}}

    def update(self, *, now_ns: int) -> int:
        """Make the files again that have changed; return their number. A file without rows any more is deleted."""
        return sum(self._update_symbol(symbol, now_ns) for symbol in self._query.symbols)

    def _update_symbol(self, symbol: str, now_ns: int) -> int:
        page, before = self._page(symbol, None, now_ns), self._state["symbols"].get(symbol)
        [plan] = page.plans
        after = {
            "heads": [[log.head.number, log.head.hash] for log in page.logs],
            "inputs": repr(key_parts(plan.source, of_walk=True).parameters),
            "final_until_ns": now_ns if plan.final_until_ns is None else min(now_ns, plan.final_until_ns),
            "expires_ns": plan.expires_ns,
        }
        if (
            before is not None
            and before["heads"] == after["heads"]
            and now_ns < (before["expires_ns"] or now_ns + 1)
        ):
            return 0
        if before is not None and not (before["inputs"] == after["inputs"] and _has(page, before["heads"])):
            before = None
        count = sum(
            self._write(symbol, window, now_ns) for window in self._changed(symbol, page, before, now_ns)
        )
        self._state["symbols"][symbol] = after
        write_whole(self._path, self._unfinished, orjson.dumps(self._state))
        return count

    def _changed(
        self, symbol: str, page: PageSnapshot, before: dict[str, Any] | None, now_ns: int
    ) -> Iterator[Window | None]:
        """Yield windows of whole UTC dates whose rows may have changed; None for all rows, if they are in one file."""
        days = self._days(symbol, page)
        if not self._query.is_by_date:
            yield None
        elif before is None:
            yield from [_window(days)] if days else []
        else:
            # Bars that were not final may be final now, whatever was written. A day more, because bars begin before.
            recent = max(before["final_until_ns"] // DAY_NS - 1, days.start)
            older, newer = range(days.start, min(recent, days.stop)), range(recent, days.stop)
            yield from self._touched(symbol, older, before["heads"], now_ns)
            yield from [_window(newer)] if newer else []

    def _touched(self, symbol: str, days: range, heads: list[Any], now_ns: int) -> Iterator[Window]:
        """Yield each of the dates whose rows a commit after `heads` may have changed."""
        if not days:
            return
        logs = self._page(symbol, _window(days), now_ns).logs
        if not any(log.commit.number > number for log, (number, _) in zip(logs, heads, strict=True)):
            return
        if len(days) == 1:
            yield _window(days)
            return
        middle = len(days) // 2
        yield from self._touched(symbol, days[:middle], heads, now_ns)
        yield from self._touched(symbol, days[middle:], heads, now_ns)

    def _days(self, symbol: str, page: PageSnapshot) -> range:
        """Return the dates from the first row or file to the last, as days since 1970."""
        ends = (page.source.after(None, 1).time_ns, page.source.before(None, 1).time_ns)
        folder = self._out / symbol_path(self._query, symbol, 0)
        names = [each.name for each in folder.parent.parent.glob("date=*")]
        days = [int(each[0] // DAY_NS) for each in ends if len(each)]
        days += [date.fromisoformat(name.removeprefix("date=")).toordinal() - _EPOCH for name in names]
        return range(min(days), max(days) + 1) if days else range(0)

    def _write(self, symbol: str, window: Window | None, now_ns: int) -> int:
        """Make the files of a window again, and delete those that have no rows any more."""
        page = self._page(symbol, window, now_ns)
        made = {each.path for each in symbol_files(self._query, page, symbol, self._out, self._unfinished)}
        for start_ns in range(window.start_ns, window.end_ns, DAY_NS) if window else (0,):
            if (path := symbol_path(self._query, symbol, start_ns)) not in made:
                with suppress(FileNotFoundError):
                    (self._out / path).unlink()
                    (self._out / path).parent.rmdir()
        return len(made)

    def _page(self, symbol: str, window: Window | None, now_ns: int) -> PageSnapshot:
        """Return the snapshot of a symbol's rows; of those in a window, if one is given."""
        query = self._query.of_symbol(symbol)
        if window is not None:
            start_ns = max(window.start_ns, query.start_ns or window.start_ns)
            last_ns = now_ns if query.end_ns is None else query.end_ns
            end_ns = query.end_ns if window.end_ns > last_ns else window.end_ns
            query = replace(query, start_ns=start_ns, end_ns=end_ns, whole_dates=(False, False))
        return page_snapshot(query, now_ns=now_ns)


def _window(days: range) -> Window:
    return Window(days.start * DAY_NS, days.stop * DAY_NS)


_EPOCH = date(1970, 1, 1).toordinal()


def _has(page: PageSnapshot, heads: list[Any]) -> bool:
    """Return whether the logs of a snapshot still have these commits: none was restored."""
    store = market_store()
    try:
        for log, (number, commit_hash) in zip(page.logs, heads, strict=True):
            if number:
                store.log(log.dataset, log.symbol).at(CommitId(number, commit_hash))
    except Resync:
        return False
    return True
