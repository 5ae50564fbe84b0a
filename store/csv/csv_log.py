"""The logs of the CSV store: those that are open, a log, and its snapshots, which use derived files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from cachetools import LRUCache

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.csv.files.disk import unavailable_on_error
from store.csv.log.commit_log import COMMITS_FILE, CommitLog, has_log
from store.csv.log.history import CommitHistory
from store.csv.reading.aggregate_reader import AggregateReader
from store.csv.reading.commit_walk import CommitWalk, RowOrigins
from store.csv.reading.log_reader import LogReader, ReadState
from store.csv.reading.row_finder import RowFinder
from store.csv.writing.batch import chunks_of
from store.csv.writing.writer import Writer
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.left_snapshot import left_of
from store.log import EmptySnapshot, Log, Snapshot
from store.protocol import NO_COMMIT, CommitId, Completeness, Fill, Window
from store.rows.stored_rows import ORDER_NAMES, versions_until, with_columns
from store.symbols import folder_name
from store.walk import CommitPiece, CommitRecord, LogEnd, LogPosition, Resync
from store.whole_commits import WholeCommit
from store.window_list import WindowList

T = TypeVar("T")

MAX_LOGS = 4_096


@dataclass(slots=True, eq=False)
class OpenLog:
    """The objects that read and write one log."""

    commits: CommitLog
    writer: Writer
    reader: LogReader
    aggregates: AggregateReader
    finder: RowFinder


class OpenLogs:
    """The open logs of a folder: the least recently used are closed. Thread-safe.

    Methods raise `UnknownSymbol`, `DataDamaged` and `StoreUnavailable`.
    """

    def __init__(self, path: Path, open_log: Callable[[Dataset, str], OpenLog], most: int) -> None:
        """Create it. open_log: opens the log of a dataset and a symbol. most: the maximum number of open logs."""
        self._path = path
        self._open_log = open_log
        # So many logs can stay open because an open log keeps no file handle.
        self._logs: LRUCache[tuple[str, str], OpenLog] = LRUCache(most)
        self._mutex = threading.Lock()

    def get(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return a log from the cache, or open it. Its files need not exist."""
        key = (dataset.name, symbol)
        with self._mutex:
            try:
                return self._logs[key]
            except KeyError:
                log = self._logs[key] = self._open_log(dataset, symbol)
                return log

    def existing(self, dataset: Dataset, symbol: str) -> OpenLog:
        """Return a log that has files, so that the cache has no logs of unknown symbols."""
        if (dataset.name, symbol) not in self._logs and not has_log(self.commits_file(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return self.get(dataset, symbol)

    def read(self, dataset: Dataset, symbol: str) -> tuple[OpenLog, CommitHistory]:
        """Return a log that has a commit, and its history."""
        with unavailable_on_error:
            log = self.existing(dataset, symbol)
            history = log.commits.history()
            if not history.head().number:
                raise UnknownSymbol(symbol)
            return log, history

    def commits_file(self, dataset: Dataset, symbol: str) -> str:
        """Return the path of the file that changes with every commit of a log, and only then."""
        # A string, because a Path takes longer to make and `heads` needs thousands.
        return f"{self._path}/{dataset.name}/{folder_name(symbol)}/{COMMITS_FILE}"

    def folder(self, dataset: Dataset, symbol: str) -> Path:
        """Return the folder of a log's files."""
        return self._path / dataset.name / folder_name(symbol)


class CsvLog(Log):
    """A log in a folder."""

    def __init__(
        self, log_of: Callable[[Dataset, str], Log], dataset: Dataset, symbol: str, logs: OpenLogs
    ) -> None:
        super().__init__(log_of, dataset, symbol)
        self._logs = logs

    def at(self, commit: CommitId | int | None = None) -> Snapshot:
        if commit in (0, NO_COMMIT):
            return EmptySnapshot(self)
        history = self.read()[1]
        if not isinstance(commit, CommitId):
            commit = history.head(commit)
        elif not history.has(commit):
            raise Resync(self.symbol, history.head())
        return left_of(CsvSnapshot(self, commit, history), history.expired)

    def as_of(self, instant_ns: int) -> Snapshot:
        history = self.read()[1]
        number = history.commit_as_of(instant_ns)
        return self.at(history.head(number)) if number else EmptySnapshot(self)

    def committed_times(self, numbers: Integers) -> Integers:
        return self.read()[1].committed_times(numbers)

    def commits(self, after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
        return self._walk(after.commit).pieces(after, upto)

    def records(self, after: CommitId, count: int) -> list[CommitRecord]:
        return self._walk(after).records(after, count)

    def end(self) -> LogEnd:
        try:
            history = self.read()[1]
        except UnknownSymbol:
            return LogEnd()
        return LogEnd(history.head(), history.committed_at, history.rows)

    def add_commits(self, base: CommitId, commits: Sequence[WholeCommit]) -> None:
        log = self._logs.get(self.dataset, self.symbol)
        log.writer.add(base, [(each.record, chunks_of(self.symbol, self.dataset, each)) for each in commits])

    def read(self) -> tuple[OpenLog, CommitHistory]:
        """Return the open log and its history. Raises the errors of `OpenLogs`."""
        return self._logs.read(self.dataset, self.symbol)

    def _walk(self, after: CommitId) -> CommitWalk:
        opened = self._logs.get if after.number else self._logs.existing
        log, folder = opened(self.dataset, self.symbol), self._logs.folder(self.dataset, self.symbol)
        return CommitWalk(self.dataset, self.symbol, folder, log.commits, log.reader)


class CsvSnapshot(Snapshot):
    """A log in a folder as of a commit."""

    log: CsvLog

    def __init__(self, log: CsvLog, commit: CommitId, history: CommitHistory) -> None:
        """Create it. history: has the commit."""
        super().__init__(log, commit)
        self._history = history

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        return self._read(lambda log, state: log.reader.rows(window, state, coded_texts=coded_texts))

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        names = frozenset() if columns is None else frozenset((*ORDER_NAMES, *columns))
        stored = self._read(lambda log, state: log.reader.stored(window, state, names))
        return with_columns(versions_until(stored, self.commit.number), columns)

    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        history = self._current()[1]
        with unavailable_on_error:
            window = Window(timestamp_ns, timestamp_ns + 1)
            number, ordinal = RowOrigins(history, window).of(arrival)
            return history.head(number), ordinal

    def version(self, window: Window) -> CommitId:
        return self._current()[1].version(window, self.commit.number)

    def completeness(self) -> Completeness:
        return self._current()[1].completeness(self.commit.number)

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        return self._current()[1].fills(window, self.commit.number)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        return self._read(lambda log, state: log.finder.take_window(window, rows, state, from_end=from_end))

    def row_bound(self, window: Window) -> int:
        return self._read(lambda log, state: log.finder.bound(window, state))

    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        return self._current()[1].newest_by_date(window, self.commit.number)

    def aggregates(self, windows: WindowList, interval_ns: int, policy: BarPolicy) -> Aggregates:
        return self._read(lambda log, state: log.aggregates.aggregates(windows, interval_ns, policy, state))

    def first_commit_from(self, instant_ns: int) -> int | None:
        return self._current()[1].first_from(instant_ns, self.commit.number)

    def change_bound(self, window: Window, interval_ns: int, *, after: int) -> int:
        return self._current()[1].change_bound(window, interval_ns, after, self.commit.number)

    def _read(self, answer: Callable[[OpenLog, ReadState], T]) -> T:
        with unavailable_on_error:
            log, history = self._current()
            return log.reader.with_state(history, self.commit.number, partial(answer, log))

    def _current(self) -> tuple[OpenLog, CommitHistory]:
        """Return the open log and its history. Raises `Resync` if that does not have the snapshot's commit."""
        log, history = self.log.read()
        # A log that was restored has another history.
        if history is not self._history and not history.has(self.commit):
            raise Resync(self.log.symbol, history.head())
        return log, history
