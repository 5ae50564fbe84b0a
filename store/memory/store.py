"""A store in memory, written for plainness: what it answers is what every other store must answer."""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import pyarrow as pa

from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregate import bars_of_prints
from store.bars.bars import Bars
from store.bars.prints import prints_of
from store.bars.revision import Revision
from store.bars.session_bars import session_bars_of
from store.bars.span_bars import span_bars_of_prints
from store.bars.spans import Spans
from store.datasets import TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.memory.catalogue import MemoryCatalogue
from store.memory.log import (
    MemoryCommit,
    MemoryLog,
    RowVersion,
    apply_change,
    date_of,
    duplicates_of,
    first_form,
    lives_of,
    newest_time_before,
    replayed_receipt,
    stored_rows_of,
)
from store.protocol import (
    ALL_TIME,
    DUPLICATE_ROWS_KEPT,
    NO_COMMIT,
    Amendment,
    Append,
    CommitId,
    Receipt,
    Window,
)
from store.rows.corrections import changes
from store.rows.revisions import values_at, within
from store.rows.visible import ordered, visible
from store.timestamps import DAY_NS


class MemoryStore(MemoryCatalogue):
    """A `MarketStore` for one process, lost with it."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(self._known, clock)
        self._clock = clock
        self._logs: dict[tuple[str, str], MemoryLog] = defaultdict(MemoryLog)
        self._mutex = threading.Lock()

    def append(self, batch: Append) -> Receipt:
        """See `MarketStore.append`."""
        with self._mutex:
            log, rows = self._logs[batch.dataset.name, batch.symbol], batch.rows.to_pylist()
            said = first_form(batch.dataset, rows)
            replayed = replayed_receipt(log, batch, said)
            if replayed is not None:
                return replayed
            duplicates = duplicates_of(batch, rows, log)
            new = sorted((row for place, row in enumerate(rows) if place not in set(duplicates)), key=date_of)
            if not new and batch.request_key is None:
                return Receipt(len(rows), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), log.head)
            receipt = self._commit(log, batch, said, duplicates, {date_of(row) for row in new})
            arrival = len(log.originals)
            log.versions += [RowVersion(arrival + n, receipt.commit.number, row) for n, row in enumerate(new)]
            return receipt

    def correct(self, amendment: Amendment) -> Receipt:
        """See `MarketStore.correct`."""
        with self._mutex:
            log, corrections = self._log(amendment.dataset, amendment.symbol), amendment.corrections
            replayed = replayed_receipt(log, amendment, corrections)
            if replayed is not None:
                return replayed
            made = changes(corrections, lives_of(log))
            applied = {change.place for change in made}
            duplicates = [place for place in range(len(corrections)) if place not in applied]
            if not made and amendment.request_key is None:
                return Receipt(len(corrections), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), log.head)
            dates = {date_of(change.row) for change in made}
            receipt = self._commit(log, amendment, corrections, duplicates, dates)
            for change in made:
                apply_change(log, change, receipt.commit.number)
            return receipt

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> pa.Table:
        """See `MarketStore.rows`."""
        return visible(stored_rows_of(dataset, self._log(dataset, symbol)), at, window)

    def narrowed(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        rows: int,
        *,
        from_end: bool = False,
        at: int | None = None,
    ) -> Window:
        """See `MarketStore.narrowed`."""
        times = self.rows(dataset, symbol, window, at=at).column(0).to_pylist()
        if len(times) < rows:
            return window
        if from_end:
            return Window(times[-rows], window.end_ns)
        return Window(window.start_ns, times[rows - 1] + 1)

    def row_bound(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> int:
        """See `MarketStore.row_bound`. It is the number of rows."""
        return int(self.rows(dataset, symbol, window, at=at).num_rows)

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        at: int | None = None,
    ) -> Bars:
        """See `MarketStore.bars`. They are cut out of the bars of all that is stored."""
        rows = ordered(stored_rows_of(TRADES, self._log(TRADES, symbol)))
        return within(window, bars_of_prints(prints_of(rows, policy, at=at), interval_ns))

    def session_bars(self, symbol: str, window: Window, *, policy: BarPolicy, at: int | None = None) -> Bars:
        """See `MarketStore.session_bars`."""
        rows = ordered(stored_rows_of(TRADES, self._log(TRADES, symbol)), window)
        return session_bars_of(rows, policy, at=at)

    def span_bars(
        self,
        symbol: str,
        spans: Spans,
        *,
        policy: BarPolicy = EVERY_PRINT,
        credits: bool,
        at: int | None = None,
    ) -> Bars:
        """See `MarketStore.span_bars`."""
        rows = ordered(stored_rows_of(TRADES, self._log(TRADES, symbol)))
        return span_bars_of_prints(prints_of(rows, policy, at=at), spans, credits=credits)

    def influence(
        self, symbol: str, window: Window, interval_ns: int, *, policy: BarPolicy, at: int | None = None
    ) -> Window:
        """See `MarketStore.influence`."""
        if policy.counts_every_print:
            return window
        later = Window(window.end_ns, ALL_TIME.end_ns)
        starts = self.bars(symbol, later, interval_ns, policy=policy, at=at).time_ns.tolist()
        return Window(
            window.start_ns, starts[0] + interval_ns if starts else max(window.end_ns, ALL_TIME.end_ns)
        )

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        after: int,
        at: int | None = None,
    ) -> list[Revision]:
        """See `MarketStore.revisions`. Every commit's bars are made and compared with those before."""
        found: list[Revision] = []
        seen: set[int] = set()
        log, before = self._log(TRADES, symbol), self.bars(symbol, window, interval_ns, policy=policy, at=0)
        for commit in log.commits[:at]:
            now = self.bars(symbol, window, interval_ns, policy=policy, at=commit.id.number)
            known_ns = newest_time_before(log, commit.id.number)
            seen.update(start for start in now.time_ns.tolist() if start + interval_ns <= known_ns)
            for start in sorted(seen):
                values = values_at(before, start), values_at(now, start)
                if values[0] != values[1] and commit.id.number > after:
                    found.append(Revision(start, commit.id.number, commit.committed_at, *values))
            seen.update(now.time_ns.tolist())
            before = now
        return found

    def version(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> CommitId:
        """See `MarketStore.version`."""
        dates = range(window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS + 1)
        for commit in reversed(self._log(dataset, symbol).commits[:at]):
            if any(date in dates for date in commit.dates):
                return commit.id
        return NO_COMMIT

    def head(self, dataset: Dataset, symbol: str, *, at: int | None = None) -> CommitId:
        """See `MarketStore.head`."""
        commits = self._log(dataset, symbol).commits[:at]
        return commits[-1].id if commits else NO_COMMIT

    def committed_at(self, dataset: Dataset, symbol: str, number: int) -> int:
        """See `MarketStore.committed_at`."""
        return self._log(dataset, symbol).commits[number - 1].committed_at

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """See `MarketStore.commit_as_of`."""
        return sum(commit.committed_at <= instant_ns for commit in self._log(dataset, symbol).commits)

    def _known(self) -> set[tuple[str, str]]:
        """(dataset's name, symbol) of the logs with commits."""
        return {key for key, log in list(self._logs.items()) if log.commits}

    def _log(self, dataset: Dataset, symbol: str) -> MemoryLog:
        log = self._logs.get((dataset.name, symbol))
        if log is None or not log.commits:
            raise UnknownSymbol(symbol)
        return log

    def _commit(
        self,
        log: MemoryLog,
        request: Append | Amendment,
        content: Sequence[object],
        duplicates: list[int],
        dates: set[int],
    ) -> Receipt:
        number, received = len(log.commits) + 1, len(content)
        chained = hashlib.sha256(f"{log.head.hash}{number}{content}".encode()).hexdigest()
        kept = tuple(duplicates[:DUPLICATE_ROWS_KEPT])
        receipt = Receipt(received, received - len(duplicates), kept, CommitId(number, chained))
        committed_at = max(self._clock(), log.commits[-1].committed_at + 1 if log.commits else 0)
        key = None if request.key_hash is None else (request.caller, request.key_hash)
        log.commits.append(MemoryCommit(receipt.commit, committed_at, content, dates, key, receipt))
        return receipt
