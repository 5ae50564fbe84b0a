"""The reads of the CSV store, and the cache of its open logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from cachetools import LRUCache

from store import lazy_pyarrow as pa
from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.bars import Bars
from store.bars.credit import DatesOf, credit_dates, utc_dates
from store.bars.spans import Spans
from store.csv.copying.pieces import LogPiece
from store.csv.files.disk import unavailable_on_error
from store.csv.files.file_names import folder_name
from store.csv.log.commit_log import COMMITS_FILE, CommitLog, has_log
from store.csv.log.history import CommitHistory
from store.csv.reading.bar_reader import BarReader
from store.csv.reading.commit_walk import CommitWalk, RowOrigins
from store.csv.reading.log_reader import LogReader, LogSnapshot
from store.csv.reading.row_finder import RowFinder
from store.csv.reading.window_list import BarQuery, SpanQuery
from store.csv.writing.writer import Writer
from store.datasets import TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import CommitId, Completeness, Fill, Window
from store.queries import QueryableStore
from store.rows.revisions import RevisionQuery, Revisions
from store.rows.stored_rows import ORDER_NAMES, versions_until, with_columns
from store.walk import CommitPiece, LogPosition

LOGS_BYTES = 48 * 2**20
# The memory of an open log without commits, and of each commit that no index covers. Measured with `tracemalloc`.
_LOG_BYTES = 7 * 1024
_COMMIT_BYTES = 1024


@dataclass(slots=True, eq=False)
class OpenLog:
    """The objects that read and write one log. counted: its size as the cache knows it."""

    commits: CommitLog
    writer: Writer
    reader: LogReader
    bars: BarReader
    finder: RowFinder
    counted: int = _LOG_BYTES

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return _LOG_BYTES + _COMMIT_BYTES * self.commits.commits_in_memory


T = TypeVar("T")


class StoreReads(QueryableStore):
    """The reads of a `QueryableStore` in a folder. They use derived files."""

    def __init__(
        self, path: Path, open_log: Callable[[Dataset, str], OpenLog], *, logs_bytes: int = LOGS_BYTES
    ) -> None:
        """Create it.

        open_log: opens the log of a dataset and a symbol. logs_bytes: the maximum memory of all open logs. A
        log that needs more counts as the maximum; then no other log stays open.
        """
        self._path = path
        self._open_log = open_log
        # So many logs can stay open because an open log keeps no file handle.
        self._logs: LRUCache[tuple[str, str], OpenLog] = LRUCache(
            logs_bytes, getsizeof=lambda log: min(log.counted, logs_bytes)
        )
        self._mutex = threading.Lock()

    def rows(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        *,
        commit: int | None = None,
        coded_texts: bool = False,
    ) -> pa.Table:
        def answer(log: OpenLog, snapshot: LogSnapshot) -> pa.Table:
            return log.reader.rows(window, snapshot, coded_texts=coded_texts)

        return self._answer(dataset, symbol, commit, answer)

    def versions(
        self,
        dataset: Dataset,
        symbol: str,
        window: Window,
        *,
        commit: int | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        read = frozenset() if columns is None else frozenset((*ORDER_NAMES, *columns))

        def answer(log: OpenLog, snapshot: LogSnapshot) -> pa.Table:
            stored = log.reader.stored(window, snapshot, read)
            return with_columns(versions_until(stored, snapshot.commit), columns)

        return self._answer(dataset, symbol, commit, answer)

    def row_origin(
        self, dataset: Dataset, symbol: str, *, timestamp_ns: int, arrival: int
    ) -> tuple[CommitId, int]:
        history = self._history(dataset, symbol)
        with unavailable_on_error:
            window = Window(timestamp_ns, timestamp_ns + 1)
            number, ordinal = RowOrigins(history, window).of(arrival)
            return history.head(number), ordinal

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
        def answer(log: OpenLog, snapshot: LogSnapshot) -> Window:
            return log.finder.take_window(window, rows, snapshot, from_end=from_end)

        return self._answer(dataset, symbol, commit, answer)

    def row_bound(self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None) -> int:
        return self._answer(dataset, symbol, commit, lambda log, snapshot: log.finder.bound(window, snapshot))

    def extent(
        self, dataset: Dataset, symbol: str, window: Window, *, after: int = 0, commit: int | None = None
    ) -> tuple[int, int] | None:
        if window.start_ns >= window.end_ns:
            return None
        dates, newest = self._history(dataset, symbol).newest_by_date(window, commit)
        dates = dates[newest > after]
        return (int(dates[0]), int(dates[-1])) if len(dates) else None

    def bars(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy = EVERY_PRINT,
        dates_of: DatesOf = utc_dates,
        commit: int | None = None,
    ) -> Bars:
        query = BarQuery(window, interval_ns, policy, credit_dates(policy, interval_ns, dates_of))
        return self._answer(TRADES, symbol, commit, lambda log, snapshot: log.bars.bars(query, snapshot))

    def session_bars(
        self, symbol: str, window: Window, *, policy: BarPolicy, commit: int | None = None
    ) -> Bars:
        def answer(log: OpenLog, snapshot: LogSnapshot) -> Bars:
            return log.bars.session_bars(window, policy, snapshot)

        return self._answer(TRADES, symbol, commit, answer)

    def span_bars(
        self,
        symbol: str,
        spans: Spans,
        *,
        policy: BarPolicy = EVERY_PRINT,
        dates_of: DatesOf | None,
        commit: int | None = None,
    ) -> Bars:
        query = SpanQuery(spans, policy, dates_of)
        return self._answer(TRADES, symbol, commit, lambda log, snapshot: log.bars.span_bars(query, snapshot))

    def dependency_window(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        dates_of: DatesOf = utc_dates,
        commit: int | None = None,
    ) -> Window:
        dates = credit_dates(policy, interval_ns, dates_of)
        if dates is None:
            return window
        query = BarQuery(window, interval_ns, policy, dates)

        def answer(log: OpenLog, snapshot: LogSnapshot) -> Window:
            return log.bars.dependency_window(query, snapshot)

        return self._answer(TRADES, symbol, commit, answer)

    def revisions(
        self,
        symbol: str,
        window: Window,
        interval_ns: int,
        *,
        policy: BarPolicy,
        dates_of: DatesOf = utc_dates,
        after: int,
        commit: int | None = None,
    ) -> Revisions:
        dates = credit_dates(policy, interval_ns, dates_of)
        query = RevisionQuery(window, interval_ns, policy, after, commit, dates)
        return self._answer(TRADES, symbol, commit, lambda log, snapshot: log.bars.revisions(query, snapshot))

    def change_bound(
        self, symbol: str, window: Window, interval_ns: int, *, after: int, commit: int | None = None
    ) -> int:
        return self._history(TRADES, symbol).change_bound(window, interval_ns, after, commit)

    def version(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> CommitId:
        return self._history(dataset, symbol).version(window, commit)

    def head(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> CommitId:
        return self._history(dataset, symbol).head(commit)

    def completeness(self, dataset: Dataset, symbol: str, *, commit: int | None = None) -> Completeness:
        return self._history(dataset, symbol).completeness(commit)

    def fills(
        self, dataset: Dataset, symbol: str, window: Window, *, commit: int | None = None
    ) -> list[tuple[int, Fill]]:
        return self._history(dataset, symbol).fills(window, commit)

    def committed_at(self, dataset: Dataset, symbol: str, number: int) -> int:
        return self._history(dataset, symbol).committed_at_of(number)

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        return self._history(dataset, symbol).commit_as_of(instant_ns)

    def commits(
        self, dataset: Dataset, symbol: str, after: LogPosition, upto: int | None = None
    ) -> Iterator[CommitPiece]:
        return self._walk(dataset, symbol, after.commit).pieces(after, upto)

    def log_piece(self, dataset: Dataset, symbol: str, after: CommitId) -> Iterator[bytes]:
        """See `MaintainedStore.log_piece`."""
        history, head = self._walk(dataset, symbol, after).durable_history(after)
        folder = self._folder(dataset, symbol)
        with unavailable_on_error:
            return LogPiece(dataset, symbol, folder, history, (after, head)).lines()

    def _walk(self, dataset: Dataset, symbol: str, after: CommitId) -> CommitWalk:
        log = self._log(dataset, symbol) if after.number else self._known_log(dataset, symbol)
        return CommitWalk(dataset, symbol, self._folder(dataset, symbol), log.commits, log.reader)

    def _answer(
        self,
        dataset: Dataset,
        symbol: str,
        commit: int | None,
        answer: Callable[[OpenLog, LogSnapshot], T],
    ) -> T:
        """Call `answer` with a log and its snapshot at a commit; return the result. Raises as `_history` does."""
        with unavailable_on_error:
            log = self._known_log(dataset, symbol)
            history = self._history_of(log, dataset, symbol)
            return log.reader.with_snapshot(history, commit, partial(answer, log))

    def _history(self, dataset: Dataset, symbol: str) -> CommitHistory:
        """Return the history of a log, which has at least one commit.

        Raises `UnknownSymbol`, `DataDamaged`, `StoreUnavailable`.
        """
        with unavailable_on_error:
            return self._history_of(self._known_log(dataset, symbol), dataset, symbol)

    def _history_of(self, log: OpenLog, dataset: Dataset, symbol: str) -> CommitHistory:
        history = log.commits.history()
        self._count(dataset, symbol, log)
        if not history.head().number:
            raise UnknownSymbol(symbol)
        return history

    def _known_log(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return an existing log. Raises `UnknownSymbol`, so that the cache has no logs of unknown symbols."""
        if (dataset.name, symbol) not in self._logs and not has_log(self.commits_file(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return self._log(dataset, symbol)

    def _log(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return a log from the cache, or open it. Its files need not exist."""
        key = (dataset.name, symbol)
        with self._mutex:
            log = self._logs.get(key)
            if log is None:
                log = self._logs[key] = self._open_log(dataset, symbol)
            return log

    def _count(self, dataset: Dataset, symbol: str, log: OpenLog) -> None:
        """Tell the cache a log's size if that has changed: commits were read, added or indexed."""
        size, key = log.nbytes, (dataset.name, symbol)
        if size != log.counted:
            with self._mutex:
                if self._logs.get(key) is log:
                    log.counted = size
                    self._logs[key] = log

    def commits_file(self, dataset: Dataset, symbol: str) -> str:
        """Return the path of the file that changes with every commit of a log, and only then."""
        # A string, because a Path takes longer to make and `heads` needs thousands.
        return f"{self._path}/{dataset.name}/{folder_name(symbol)}/{COMMITS_FILE}"

    def _folder(self, dataset: Dataset, symbol: str) -> Path:
        return self._path / dataset.name / folder_name(symbol)
