"""A log of the CSV store, and its snapshots. They use derived files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.versions import AggregateVersions
from store.csv.files.disk import unavailable_on_error
from store.csv.log.history import CommitHistory
from store.csv.open_logs import OpenLog, OpenLogs
from store.csv.reading.commit_walk import CommitWalk, RowOrigins
from store.csv.reading.log_reader import ReadState
from store.csv.writing.batch import received_chunks
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.log import EmptySnapshot, Log, Snapshot
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId, Completeness, Fill, Window
from store.receiving import ReceivedCommit
from store.rows.stored_rows import ORDER_NAMES, versions_until, with_columns
from store.walk import CommitPiece, LogEnd, LogPosition, Resync
from store.window_list import WindowList

T = TypeVar("T")


class CsvLog(Log):
    """A log in a folder."""

    def __init__(self, store: MarketStore, dataset: Dataset, symbol: str, logs: OpenLogs) -> None:
        super().__init__(store, dataset, symbol)
        self._logs = logs

    def at(self, commit: CommitId | int | None = None) -> Snapshot:
        if commit in (0, NO_COMMIT):
            return EmptySnapshot(self)
        history = self.read()[1]
        if not isinstance(commit, CommitId):
            return CsvSnapshot(self, history.head(commit), history)
        if not history.has(commit):
            raise Resync(self.symbol, history.head())
        return CsvSnapshot(self, commit, history)

    def as_of(self, instant_ns: int) -> Snapshot:
        history = self.read()[1]
        number = history.commit_as_of(instant_ns)
        return CsvSnapshot(self, history.head(number), history) if number else EmptySnapshot(self)

    def committed_times(self, numbers: Integers) -> Integers:
        return self.read()[1].committed_times(numbers)

    def commits(self, after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
        return self._walk(after.commit).pieces(after, upto)

    def end(self) -> LogEnd:
        try:
            history = self.read()[1]
        except UnknownSymbol:
            return LogEnd()
        return LogEnd(history.head(), history.committed_at, history.rows)

    def add_commits(self, base: CommitId, commits: Sequence[ReceivedCommit]) -> None:
        log = self._logs.get(self.dataset, self.symbol)
        log.writer.add(base, [received_chunks(self.symbol, self.dataset, each) for each in commits])
        self._logs.count(self.dataset, self.symbol, log)

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

    def aggregate_versions(self, window: Window, interval_ns: int, policy: BarPolicy) -> AggregateVersions:
        found = self._read(lambda log, state: log.aggregates.versions(window, interval_ns, policy, state))
        return found.as_of(self.commit.number)

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
