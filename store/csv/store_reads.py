"""The reads of the CSV store, and the cache of its open logs."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from cachetools import LRUCache

from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.bars import Bars
from store.bars.spans import Spans
from store.csv.files.disk import unavailable
from store.csv.files.file_names import folder_name
from store.csv.log.commit_log import CommitLog, has_log
from store.csv.log.history import CommitHistory
from store.csv.reading.bar_reader import BarReader
from store.csv.reading.commit_walk import CommitWalk
from store.csv.reading.log_reader import LogReader, LogSnapshot
from store.csv.reading.row_finder import RowFinder
from store.csv.reading.window_list import BarQuery, SpanQuery
from store.csv.writing.writer import Writer
from store.datasets import TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import CommitId, Window
from store.queries import QueryableStore
from store.rows.revisions import Revision, RevisionQuery
from store.walk import CommitPiece, LogPosition

LOGS_IN_MEMORY = 4096


@dataclass(frozen=True, slots=True)
class OpenLog:
    """The objects that read and write one log."""

    commits: CommitLog
    writer: Writer
    reader: LogReader
    bars: BarReader
    finder: RowFinder


class OpenLogs:
    """LRU cache of open logs.

    Open logs hold no file handles. Thread-safe.
    """

    def __init__(self, opened: Callable[[Dataset, str], OpenLog], *, limit: int = LOGS_IN_MEMORY) -> None:
        """Create it. `opened` opens the log of a dataset and a symbol."""
        self._opened = opened
        self._logs: LRUCache[tuple[str, str], OpenLog] = LRUCache(limit)
        self._mutex = threading.Lock()

    def has(self, dataset: Dataset, symbol: str) -> bool:
        """Return whether a log is open."""
        return (dataset.name, symbol) in self._logs

    def get(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return the log, opened if necessary; it need not exist."""
        key = (dataset.name, symbol)
        with self._mutex:
            log = self._logs.get(key)
            if log is None:
                log = self._logs[key] = self._opened(dataset, symbol)
            return log


T = TypeVar("T")


class StoreReads(QueryableStore):
    """The reads of a `QueryableStore` in a folder. They use derived files."""

    def __init__(self, path: Path, opened: Callable[[Dataset, str], OpenLog]) -> None:
        """Create it. `opened` opens the log of a dataset and a symbol."""
        self._path = path
        self._logs = OpenLogs(opened)

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> pa.Table:
        log = self._known_log(dataset, symbol)
        return self._answer(log, symbol, commit, partial(log.reader.rows, window))

    def take_window(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        rows: int,
        *,
        from_end: bool = False,
        commit: int | None = None,
    ) -> Window:
        """See `QueryableStore.take_window`."""
        log = self._known_log(dataset, symbol)
        return self._answer(
            log, symbol, commit, partial(log.finder.take_window, window, rows, from_end=from_end)
        )

    def row_bound(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> int:
        """See `QueryableStore.row_bound`."""
        log = self._known_log(dataset, symbol)
        return self._answer(log, symbol, commit, partial(log.finder.bound, window))

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        commit: int | None = None,
    ) -> Bars:
        log = self._known_log(TRADES, symbol)
        return self._answer(
            log, symbol, commit, partial(log.bars.bars, BarQuery(window, interval_ns, policy))
        )

    def session_bars(
        self, symbol: str, window: Window, *, policy: BarPolicy, commit: int | None = None
    ) -> Bars:
        """See `QueryableStore.session_bars`."""
        log = self._known_log(TRADES, symbol)
        return self._answer(log, symbol, commit, partial(log.bars.session_bars, window, policy))

    def span_bars(
        self,
        symbol: str,
        spans: Spans,
        *,
        policy: BarPolicy = EVERY_PRINT,
        credits: bool,
        commit: int | None = None,
    ) -> Bars:
        """See `QueryableStore.span_bars`."""
        log = self._known_log(TRADES, symbol)
        return self._answer(
            log, symbol, commit, partial(log.bars.span_bars, SpanQuery(spans, policy, credits))
        )

    def dependency_window(
        self, symbol: str, window: Window, interval_ns: int, *, policy: BarPolicy, commit: int | None = None
    ) -> Window:
        """See `QueryableStore.dependency_window`."""
        if policy.counts_every_print:
            return window
        log = self._known_log(TRADES, symbol)
        query = BarQuery(window, interval_ns, policy)
        return self._answer(log, symbol, commit, partial(log.bars.dependency_window, query))

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        after: int,
        commit: int | None = None,
    ) -> list[Revision]:
        log = self._known_log(TRADES, symbol)
        revised = RevisionQuery(window, interval_ns, policy, after, commit)
        return self._answer(log, symbol, commit, partial(log.bars.revisions, revised))

    def version(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> CommitId:
        return self._history(dataset, symbol).version(window, commit)

    def head(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> CommitId:
        return self._history(dataset, symbol).head(commit)

    def committed_at(self, dataset: Dataset, symbol: str, number: int) -> int:
        """See `MarketStore.committed_at`."""
        return self._history(dataset, symbol).committed_at_of(number)

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """See `MarketStore.commit_as_of`."""
        return self._history(dataset, symbol).commit_as_of(instant_ns)

    def commits(
        self, dataset: Dataset, symbol: str, after: LogPosition, upto: int | None = None
    ) -> Iterator[CommitPiece]:
        log = self._log(dataset, symbol) if after.commit.number else self._known_log(dataset, symbol)
        walk = CommitWalk(dataset, symbol, self._folder(dataset, symbol), log.commits, log.reader)
        return walk.pieces(after, upto)

    def _answer(self, log: OpenLog, symbol: str, commit: int | None, make: Callable[[LogSnapshot], T]) -> T:
        try:
            history = log.commits.history()
            if not history.head().number:
                raise UnknownSymbol(symbol)
            return log.reader.answer(history, commit, make)
        except OSError as error:
            raise unavailable(error) from error

    def _history(self, dataset: Dataset, symbol: str) -> CommitHistory:
        """Return the history of a log, which has at least one commit.

        Raises `UnknownSymbol`, `DataDamaged`, `StoreUnavailable`.
        """
        try:
            history = self._known_log(dataset, symbol).commits.history()
        except OSError as error:
            raise unavailable(error) from error
        if not history.head().number:
            raise UnknownSymbol(symbol)
        return history

    def _known_log(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return a log that exists. So unknown symbols take no place in the cache.

        Raises `UnknownSymbol`.
        """
        if not self._logs.has(dataset, symbol) and not has_log(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return self._log(dataset, symbol)

    def _log(self, dataset: Dataset, symbol: str) -> OpenLog:
        return self._logs.get(dataset, symbol)

    def _folder(self, dataset: Dataset, symbol: str) -> Path:
        return self._path / dataset.name / folder_name(symbol)
