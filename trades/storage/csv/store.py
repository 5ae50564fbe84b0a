"""The embedded store, and the system of record: a folder of CSV files and commit logs."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from trades.bar_policies import EVERY_PRINT, BarPolicy
from trades.datasets import DATASETS, TRADES, Dataset
from trades.storage.aggregate import Bars
from trades.storage.csv.amendment import PreparedAmendment
from trades.storage.csv.bar_reader import BarQuery, BarReader
from trades.storage.csv.batch import PreparedBatch
from trades.storage.csv.commit_log import COMMITS_FILE, CommitLog, has_commits, has_log
from trades.storage.csv.derived.fold import Fold
from trades.storage.csv.derived.held import Held
from trades.storage.csv.derived.ipc import NotUsable
from trades.storage.csv.derived.keeper import Keeper
from trades.storage.csv.derived.keeper import Log as KeptLog
from trades.storage.csv.derived.tail import TailRows
from trades.storage.csv.derived.writing import SEGMENT_ROWS
from trades.storage.csv.disk import Disk, unavailable
from trades.storage.csv.history import History
from trades.storage.csv.instrument_file import InstrumentFile
from trades.storage.csv.known_rows import KnownRows
from trades.storage.csv.log_reader import LogReader, Snapshot
from trades.storage.csv.open_logs import OpenLog, OpenLogs
from trades.storage.csv.partitions import folder_name, symbol_of
from trades.storage.csv.statistics import log_statistics
from trades.storage.csv.verify import LogCheck
from trades.storage.csv.writer import Writer
from trades.storage.exceptions import StorageError, StoreUnavailable, UnknownSymbol
from trades.storage.instruments import Instrument
from trades.storage.maintained import Derived, LogStatistics
from trades.storage.protocol import Amendment, Append, CommitId, Receipt, Revision, Window
from trades.storage.revisions import Revised

T = TypeVar("T")


class CsvStore:
    """A `MarketStore` in `path`; any number of processes may use the same path at once.

    Logs are opened when they are asked for and the ones used last are kept in memory; nothing is read at start.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], int] = time.time_ns,
        disk: Disk | None = None,
        segment_rows: int = SEGMENT_ROWS,
    ) -> None:
        """`segment_rows`: how many rows a segment of derived columns has at most."""
        self._path = Path(path)
        self._clock = clock
        self._disk = disk or Disk()
        self._known_rows: dict[str, KnownRows] = {}
        self._segment_rows = segment_rows
        self._tail = TailRows()
        self._held = Held()
        self._instruments = InstrumentFile(self._path, self._disk, clock)
        self._logs = OpenLogs(self._opened)

    def append(self, batch: Append | PreparedBatch) -> Receipt:
        """See `MarketStore.append`. Takes also what `prepared` made of a batch."""
        prepared = batch if isinstance(batch, PreparedBatch) else PreparedBatch.of(batch)
        return self._log(prepared.append.dataset, prepared.append.symbol).writer.commit(prepared)

    def prepared(self, batch: Append) -> PreparedBatch:
        """The batch with all the work done that needs no lock: another thread may do it ahead."""
        return PreparedBatch.of(batch)

    def correct(self, amendment: Amendment) -> Receipt:
        """See `MarketStore.correct`."""
        self._history(amendment.dataset, amendment.symbol)
        log = self._log(amendment.dataset, amendment.symbol)
        return log.writer.commit(PreparedAmendment.of(amendment))

    def rows(self, dataset: Dataset, symbol: str, window: Window, *, at: int | None = None) -> pa.Table:
        """See `MarketStore.rows`."""
        log = self._known_log(dataset, symbol)
        return self._answer(log, symbol, at, partial(log.reader.rows, window))

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
        log = self._known_log(TRADES, symbol)
        return self._answer(log, symbol, at, partial(log.bars.bars, BarQuery(window, interval_ns, policy)))

    def session_bars(self, symbol: str, window: Window, *, policy: BarPolicy, at: int | None = None) -> Bars:
        """See `MarketStore.session_bars`."""
        log = self._known_log(TRADES, symbol)
        return self._answer(log, symbol, at, partial(log.bars.session_bars, window, policy))

    def influence(
        self, symbol: str, window: Window, interval_ns: int, *, policy: BarPolicy, at: int | None = None
    ) -> Window:
        """See `MarketStore.influence`."""
        if policy.counts_every_print:
            return window
        log = self._known_log(TRADES, symbol)
        query = BarQuery(window, interval_ns, policy)
        return self._answer(log, symbol, at, partial(log.bars.influence, query))

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
        """See `MarketStore.revisions`."""
        log = self._known_log(TRADES, symbol)
        revised = Revised(window, interval_ns, policy, after, at)
        return self._answer(log, symbol, at, partial(log.bars.revisions, revised))

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """See `MarketStore.instrument`."""
        try:
            return self._instruments.get(symbol, as_of_ns)
        except OSError as error:
            raise unavailable(error) from error

    def set_instrument(self, instrument: Instrument) -> None:
        """See `MarketStore.set_instrument`."""
        try:
            self._instruments.put(instrument)
        except OSError as error:
            raise unavailable(error) from error

    def rows_behind(self, dataset: Dataset, symbol: str) -> int:
        """About how many rows of a log its derived files do not hold yet. Raises like `derive`."""
        log = self._known_log(dataset, symbol)
        return self._answer(log, symbol, None, log.reader.rows_behind)

    def derive(
        self, dataset: Dataset, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> Derived | None:
        """See `MaintainedStore.derive`. compact: join all segments that fit into one."""
        policies = (self.instrument(symbol).policy,) if dataset is TRADES else ()
        fold = Fold(dataset, self._folder(dataset, symbol), policies, self._segment_rows)
        history = self._history(dataset, symbol)
        try:
            if rebuild or compact or history.is_worth_indexing:
                self._log(dataset, symbol).commits.write_index()
            return fold.run(partial(self._history, dataset, symbol), rebuild=rebuild, compact=compact)
        except NotUsable as error:
            raise StoreUnavailable(f"derived files were lost while they were made: {error}") from error
        except OSError as error:
            raise unavailable(error) from error

    def keeper(self) -> Keeper:
        """See `MaintainedStore.keeper`."""
        return Keeper(self._all_logs, lambda name, symbol: self.derive(DATASETS[name], symbol))

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
        return self._symbols(dataset, has_commits)

    def folders(self, dataset: Dataset) -> list[str]:
        """See `MaintainedStore.folders`."""
        return self._symbols(dataset, Path.is_dir)

    def _symbols(self, dataset: Dataset, counts: Callable[[Path], bool]) -> list[str]:
        try:
            with os.scandir(self._path / dataset.name) as entries:
                return sorted(symbol_of(entry.name) for entry in entries if counts(Path(entry)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unavailable(error) from error

    def commits_file(self, dataset: Dataset, symbol: str) -> str:
        """The path of the file that every commit of a log changes, and nothing else does."""
        return str(self._folder(dataset, symbol) / COMMITS_FILE)

    def check(self, dataset: Dataset, symbol: str) -> LogCheck:
        """See `MaintainedStore.check`."""
        if not self._folder(dataset, symbol).is_dir():
            raise UnknownSymbol(symbol)
        return LogCheck(dataset, symbol, self._folder(dataset, symbol))

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        """See `MaintainedStore.statistics`."""
        if not has_commits(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        try:
            return log_statistics(self._folder(dataset, symbol))
        except OSError as error:
            raise unavailable(error) from error

    def _all_logs(self) -> Iterator[KeptLog]:
        for dataset in DATASETS.values():
            try:
                names = os.listdir(self._path / dataset.name)  # noqa: PTH208 names are all that is needed
            except OSError:
                continue
            for name in names:
                symbol = symbol_of(name)
                key = self._policy_key(symbol) if dataset is TRADES else ""
                yield KeptLog(dataset.name, symbol, f"{self._path}/{dataset.name}/{name}", key)

    def _policy_key(self, symbol: str) -> str:
        """Of the policy of an instrument's bars; empty where that cannot be told: `derive` will say why."""
        try:
            return self.instrument(symbol).policy.key
        except StorageError:
            return ""

    def _answer(self, log: OpenLog, symbol: str, at: int | None, make: Callable[[Snapshot], T]) -> T:
        try:
            history = log.commits.history()
            if not history.head().number:
                raise UnknownSymbol(symbol)
            return log.reader.answer(history, at, make)
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

    def _known_log(self, dataset: Dataset, symbol: str) -> OpenLog:
        """A log that exists: asking for symbols that do not must not push out those that do."""
        if not self._logs.has(dataset, symbol) and not has_log(self._folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        return self._log(dataset, symbol)

    def _log(self, dataset: Dataset, symbol: str) -> OpenLog:
        return self._logs.get(dataset, symbol)

    def _opened(self, dataset: Dataset, symbol: str) -> OpenLog:
        folder = self._folder(dataset, symbol)
        commits = CommitLog(folder, self._disk)
        known_rows = self._known_rows.setdefault(dataset.name, KnownRows())
        writer = Writer(folder, commits, disk=self._disk, known_rows=known_rows, clock=self._clock)
        reader = LogReader(dataset, symbol, folder, self._tail, self._held)
        return OpenLog(commits, writer, reader, BarReader(reader))

    def _folder(self, dataset: Dataset, symbol: str) -> Path:
        return self._path / dataset.name / folder_name(symbol)
