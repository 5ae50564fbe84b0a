"""The cache of a CSV store's open logs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cachetools import LRUCache

from store.csv.files.disk import unavailable_on_error
from store.csv.files.file_names import folder_name
from store.csv.log.commit_log import COMMITS_FILE, CommitLog, has_log
from store.csv.log.history import CommitHistory
from store.csv.reading.aggregate_reader import AggregateReader
from store.csv.reading.log_reader import LogReader
from store.csv.reading.row_finder import RowFinder
from store.csv.writing.writer import Writer
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import NO_COMMIT, CommitId

LOGS_BYTES = 48 * 2**20
# The memory of an open log without its history. Measured with `tracemalloc`.
_LOG_BYTES = 7 * 1024


@dataclass(slots=True, eq=False)
class OpenLog:
    """The objects that read and write one log. counted: its size as the cache knows it, `counted_at` a commit."""

    commits: CommitLog
    writer: Writer
    reader: LogReader
    aggregates: AggregateReader
    finder: RowFinder
    counted: int = _LOG_BYTES
    counted_at: CommitId = NO_COMMIT

    @property
    def nbytes(self) -> int:
        """The approximate size in memory."""
        return _LOG_BYTES + self.commits.nbytes


class OpenLogs:
    """The open logs of a folder: the least recently used are closed. Thread-safe.

    Methods raise `UnknownSymbol`, `DataDamaged` and `StoreUnavailable`.
    """

    def __init__(self, path: Path, open_log: Callable[[Dataset, str], OpenLog], limit_bytes: int) -> None:
        """Create it.

        open_log: opens the log of a dataset and a symbol. limit_bytes: the maximum memory of all open logs. A log that
        needs more counts as the maximum; then no other log stays open.
        """
        self._path = path
        self._open_log = open_log
        # So many logs can stay open because an open log keeps no file handle.
        self._logs: LRUCache[tuple[str, str], OpenLog] = LRUCache(
            limit_bytes, getsizeof=lambda log: min(log.counted, limit_bytes)
        )
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
            head = history.head()
            if head is not log.counted_at:
                log.counted_at = head
                self.count(dataset, symbol, log)
            if not head.number:
                raise UnknownSymbol(symbol)
            return log, history

    def count(self, dataset: Dataset, symbol: str, log: OpenLog) -> None:
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

    def folder(self, dataset: Dataset, symbol: str) -> Path:
        """Return the folder of a log's files."""
        return self._path / dataset.name / folder_name(symbol)
