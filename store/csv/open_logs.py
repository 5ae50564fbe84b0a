"""LRU cache of a store's open logs."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from store.csv.log.commit_log import CommitLog
from store.csv.reading.bar_reader import BarReader
from store.csv.reading.log_reader import LogReader
from store.csv.reading.row_finder import RowFinder
from store.csv.writing.writer import Writer
from store.declarations import Dataset

LOGS_IN_MEMORY = 4096


@dataclass(frozen=True, slots=True)
class OpenLog:
    """One symbol's folder, opened."""

    commits: CommitLog
    writer: Writer
    reader: LogReader
    bars: BarReader
    finder: RowFinder


class OpenLogs:
    """Opens logs when they are asked for, and keeps the ones used last.

    Holds no handles. Safe for threads.
    """

    def __init__(self, opened: Callable[[Dataset, str], OpenLog], *, limit: int = LOGS_IN_MEMORY) -> None:
        """`opened` opens the log of a dataset and a symbol."""
        self._opened = opened
        self._logs: LRUCache[tuple[str, str], OpenLog] = LRUCache(limit)
        self._mutex = threading.Lock()

    def has(self, dataset: Dataset, symbol: str) -> bool:
        """Whether a log is open."""
        return (dataset.name, symbol) in self._logs

    def get(self, dataset: Dataset, symbol: str) -> OpenLog:
        """The log, whether anything was ever written to it or not."""
        key = (dataset.name, symbol)
        with self._mutex:
            log = self._logs.get(key)
            if log is None:
                log = self._logs[key] = self._opened(dataset, symbol)
            return log
