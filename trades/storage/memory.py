"""A store in memory, written for plainness: what it answers is what every other store must answer."""

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from trades.bar_policies import EVERY_PRINT, BarPolicy
from trades.datasets import TRADES, Dataset
from trades.storage.aggregate import Bars, aggregate_bars
from trades.storage.duplicates import Identified, stored_before
from trades.storage.exceptions import RequestKeyReused, UnknownSymbol
from trades.storage.ordering import in_order
from trades.storage.protocol import DUPLICATE_ROWS_KEPT, NO_COMMIT, Append, CommitId, Dedupe, Receipt, Window
from trades.timestamps import DAY_NS

_Row = dict[str, object]


@dataclass(frozen=True)
class _Commit:
    id: CommitId
    committed_at: int
    batch: list[_Row]
    new: list[_Row]
    answer_to: tuple[str, str] | None
    receipt: Receipt


class MemoryStore:
    """A `MarketStore` for one process, lost with it."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._logs: dict[tuple[str, str], list[_Commit]] = defaultdict(list)
        self._mutex = threading.Lock()

    def append(self, batch: Append) -> Receipt:
        """See `MarketStore.append`."""
        with self._mutex:
            log = self._logs[batch.dataset.name, batch.symbol]
            rows = batch.rows.to_pylist()
            for commit in log:
                if batch.request_key is not None and commit.answer_to == (batch.caller, batch.request_key):
                    return _replayed(commit, rows)
            duplicates = _duplicates(batch, rows, log)
            if len(duplicates) == len(rows) and batch.request_key is None:
                return Receipt(len(rows), 0, tuple(duplicates[:DUPLICATE_ROWS_KEPT]), _head(log))
            return self._commit(batch, rows, duplicates, log)

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> pa.Table:
        """See `MarketStore.rows`."""
        rows = [row for commit in self._log(dataset, symbol)[:at] for row in commit.new]
        return in_order(pa.Table.from_pylist(rows, schema=dataset.schema), window)

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        at: int | None = None,
    ) -> Bars:
        """See `MarketStore.bars`."""
        return aggregate_bars(self.rows(TRADES, symbol, window, at=at), interval_ns, policy)

    def version(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> CommitId:
        """See `MarketStore.version`."""
        dates = range(window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS + 1)
        for commit in reversed(self._log(dataset, symbol)[:at]):
            if any(_date(row) in dates for row in commit.new):
                return commit.id
        return NO_COMMIT

    def head(self, dataset: Dataset, symbol: str, *, at: int | None = None) -> CommitId:
        """See `MarketStore.head`."""
        return _head(self._log(dataset, symbol)[:at])

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """See `MarketStore.commit_as_of`."""
        return sum(commit.committed_at <= instant_ns for commit in self._log(dataset, symbol))

    def symbols(self, dataset: Dataset) -> list[str]:
        """See `MarketStore.symbols`."""
        return sorted(symbol for (name, symbol), log in self._logs.items() if name == dataset.name and log)

    def _log(self, dataset: Dataset, symbol: str) -> list[_Commit]:
        log = self._logs.get((dataset.name, symbol))
        if not log:
            raise UnknownSymbol(symbol)
        return log

    def _commit(self, batch: Append, rows: list[_Row], duplicates: list[int], log: list[_Commit]) -> Receipt:
        new = [row for place, row in enumerate(rows) if place not in set(duplicates)]
        number = len(log) + 1
        chained = hashlib.sha256(f"{_head(log).hash}{number}{rows}".encode()).hexdigest()
        receipt = Receipt(
            len(rows), len(new), tuple(duplicates[:DUPLICATE_ROWS_KEPT]), CommitId(number, chained)
        )
        committed_at = max(self._clock(), log[-1].committed_at + 1 if log else 0)
        key = None if batch.request_key is None else (batch.caller, batch.request_key)
        by_date = sorted(new, key=_date)
        log.append(_Commit(receipt.commit, committed_at, rows, by_date, key, receipt))
        return receipt


def _head(log: list[_Commit]) -> CommitId:
    return log[-1].id if log else NO_COMMIT


def _date(row: _Row) -> int:
    time_ns = row["timestamp"]
    assert isinstance(time_ns, int)  # noqa: S101 the dataset's first column
    return time_ns // DAY_NS


def _replayed(commit: _Commit, rows: list[_Row]) -> Receipt:
    if commit.batch != rows:
        raise RequestKeyReused
    first = commit.receipt
    return Receipt(first.received, first.stored, first.duplicate_rows, first.commit, replayed=True)


def _duplicates(batch: Append, rows: list[_Row], log: list[_Commit]) -> list[int]:
    if batch.dedupe is Dedupe.NONE:
        return []
    if batch.dedupe is Dedupe.BATCH:
        return list(range(len(rows))) if any(commit.batch == rows for commit in log) else []
    stored = defaultdict(list)
    for commit in log:
        for row in commit.new:
            known = _identified(batch.dataset, 0, row)
            stored[known.identity].append(known.value)
    return stored_before([_identified(batch.dataset, place, row) for place, row in enumerate(rows)], stored)


def _identified(dataset: Dataset, place: int, row: _Row) -> Identified:
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return Identified(place, tuple(row.values()), None, has_id=False)
    identity = (_date(row), *(row[name] for name in dataset.id_columns))
    said = tuple(value for name, value in row.items() if name not in dataset.arrival_columns)
    return Identified(place, identity, said, has_id=True)
