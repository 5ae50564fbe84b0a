"""The embedded store, and the system of record: a folder of CSV files and commit logs."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from trades.datasets import TRADES, Dataset
from trades.storage.aggregate import Bars, aggregate_bars
from trades.storage.csv.batch import PreparedBatch
from trades.storage.csv.commit_log import COMMITS_FILE, CommitLog
from trades.storage.csv.disk import Disk, unavailable
from trades.storage.csv.history import History
from trades.storage.csv.known_rows import KnownRows
from trades.storage.csv.partitions import folder_name, symbol_of
from trades.storage.csv.reader import read_parts
from trades.storage.csv.statistics import LogStatistics, log_statistics
from trades.storage.csv.verify import LogCheck
from trades.storage.csv.writer import Writer
from trades.storage.exceptions import UnknownSymbol
from trades.storage.ordering import in_order
from trades.storage.protocol import Append, CommitId, Receipt, Window

LOGS_IN_MEMORY = 1024


@dataclass(frozen=True, slots=True)
class _Log:
    """One symbol's folder, opened."""

    folder: Path
    commits: CommitLog
    writer: Writer


class CsvStore:
    """A `MarketStore` in `path`; any number of processes may use the same path at once.

    Logs are opened when they are asked for and the ones used last are kept in memory; nothing is read at start.
    """

    def __init__(
        self, path: Path | str, *, clock: Callable[[], int] = time.time_ns, disk: Disk | None = None
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._disk = disk or Disk()
        self._known_rows: dict[str, KnownRows] = {}
        self._logs: OrderedDict[tuple[str, str], _Log] = OrderedDict()
        self._mutex = threading.Lock()

    def append(self, batch: Append | PreparedBatch) -> Receipt:
        """See `MarketStore.append`. Takes also what `prepared` made of a batch."""
        prepared = batch if isinstance(batch, PreparedBatch) else PreparedBatch.of(batch)
        return self._log(prepared.append.dataset, prepared.append.symbol).writer.append(prepared)

    def prepared(self, batch: Append) -> PreparedBatch:
        """The batch with all the work done that needs no lock: another thread may do it ahead."""
        return PreparedBatch.of(batch)

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> pa.Table:
        """See `MarketStore.rows`."""
        parts = self._history(dataset, symbol).parts_in(window, at)
        try:
            return in_order(read_parts(dataset, self._folder(dataset, symbol), parts), window)
        except OSError as error:
            raise unavailable(error) from error

    def bars(self, symbol: str, window: Window, interval_ns: int, *, at: int | None = None) -> Bars:
        """See `MarketStore.bars`."""
        return aggregate_bars(self.rows(TRADES, symbol, window, at=at), interval_ns)

    def version(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> CommitId:
        """See `MarketStore.version`."""
        return self._history(dataset, symbol).version(window, at)

    def head(self, dataset: Dataset, symbol: str, *, at: int | None = None) -> CommitId:
        """See `MarketStore.head`."""
        return self._history(dataset, symbol).head(at)

    def commit_as_of(self, dataset: Dataset, symbol: str, instant_ns: int) -> int:
        """See `MarketStore.commit_as_of`."""
        return self._history(dataset, symbol).commit_as_of(instant_ns)

    def symbols(self, dataset: Dataset) -> list[str]:
        """See `MarketStore.symbols`."""
        try:
            with os.scandir(self._path / dataset.name) as entries:
                names = [symbol_of(entry.name) for entry in entries if _has_commits(Path(entry))]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unavailable(error) from error
        return sorted(names)

    def check(self, dataset: Dataset, symbol: str) -> LogCheck:
        """A check of every byte of a log that has at least one commit. Raises `UnknownSymbol`."""
        if not _has_commits(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return LogCheck(dataset, symbol, self._folder(dataset, symbol))

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        """What a log holds. Raises `UnknownSymbol`, `DataDamaged`, `StoreUnavailable`."""
        if not _has_commits(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        try:
            return log_statistics(self._folder(dataset, symbol))
        except OSError as error:
            raise unavailable(error) from error

    def _history(self, dataset: Dataset, symbol: str) -> History:
        """The commits of a log that has at least one. Raises `UnknownSymbol`, `DataDamaged`, `StoreUnavailable`."""
        try:
            history = self._known_log(dataset, symbol).commits.history()
        except OSError as error:
            raise unavailable(error) from error
        if not history.head().number:
            raise UnknownSymbol(symbol)
        return history

    def _known_log(self, dataset: Dataset, symbol: str) -> _Log:
        """A log that exists: asking for symbols that do not must not push out those that do."""
        if (dataset.name, symbol) not in self._logs and not _has_commits(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return self._log(dataset, symbol)

    def _log(self, dataset: Dataset, symbol: str) -> _Log:
        key = (dataset.name, symbol)
        with self._mutex:
            log = self._logs.get(key)
            if log is None:
                log = self._logs[key] = self._open(dataset, symbol)
                while len(self._logs) > LOGS_IN_MEMORY:
                    self._logs.popitem(last=False)
            self._logs.move_to_end(key)
            return log

    def _open(self, dataset: Dataset, symbol: str) -> _Log:
        folder = self._folder(dataset, symbol)
        commits = CommitLog(folder, self._disk)
        known_rows = self._known_rows.setdefault(dataset.name, KnownRows())
        writer = Writer(folder, commits, disk=self._disk, known_rows=known_rows, clock=self._clock)
        return _Log(folder, commits, writer)

    def _folder(self, dataset: Dataset, symbol: str) -> Path:
        return self._path / dataset.name / folder_name(symbol)


def _has_commits(folder: Path) -> bool:
    """Whether a log has a complete record, as far as its beginning tells."""
    try:
        with (folder / COMMITS_FILE).open("rb") as file:
            return b"\n" in file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return False
