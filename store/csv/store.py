"""The CSV store, which is the system of record: a folder of CSV files and commit logs."""

import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from store.commit_clock import AHEAD_SECONDS, CommitClock
from store.csv.csv_log import MAX_LOGS, CsvLog, OpenLog, OpenLogs
from store.csv.derived.fold import Fold
from store.csv.derived.keeper import DerivedKeeper, WatchedLog
from store.csv.derived.segment_files import SegmentDamaged
from store.csv.derived.segment_writer import SEGMENT_ROWS
from store.csv.derived.segments import SegmentMappings
from store.csv.derived.tail import ROWS_LIMIT, TailCache
from store.csv.files.disk import (
    NO_FILE,
    Disk,
    FileSignature,
    file_identity,
    file_signature,
    unavailable_on_error,
)
from store.csv.files.file_names import symbol_of
from store.csv.files.format_file import FORMAT_FILE, check_format
from store.csv.log.commit_log import CommitLog, has_commits
from store.csv.log.cutting import cut_log, planned_cut
from store.csv.reading.aggregate_reader import AggregateReader
from store.csv.reading.log_reader import LogReader
from store.csv.reading.row_finder import RowFinder
from store.csv.symbol_folders import SymbolFolders
from store.csv.writing.batch import PreparedAmendment, PreparedBatch
from store.csv.writing.writer import Writer
from store.datasets import DATASETS, DECLARED_INSTRUMENTS, STORED_DATASETS, TRADES
from store.declarations import Dataset, Partition
from store.exceptions import StorageError, StoreUnavailable, UnknownSymbol
from store.maintained import DerivedStatistics, LogCut, LogStatistics
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Receipt
from store.timestamps import format_timestamp
from store.walk import CommitHook, call_hooks

if TYPE_CHECKING:
    from store.csv.verify import CsvLogCheck

MEMORY_MIB = 64
"""The maximum size of a store's caches, as sum of their own default limits (`docs/memory.md`)."""


class CsvStore(MarketStore):
    """A `MarketStore` in the folder `path`; any number of processes may use the same folder at once.

    Logs are opened on request and cached; only the folder's format is read at the start.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], int] = time.time_ns,
        clock_ahead_seconds: int = AHEAD_SECONDS,
        disk: Disk | None = None,
        segment_rows: int = SEGMENT_ROWS,
        memory_mib: int = MEMORY_MIB,
    ) -> None:
        """Create it.

        clock, clock_ahead_seconds: see `CommitClock`. segment_rows: the maximum rows of a derived segment. memory_mib: the
        maximum size of all caches; each gets its share. Raises `OtherVersion` if the folder has another format.
        """
        check_format(Path(path))
        self._disk = disk or Disk()
        self._path = Path(path)
        self._clock = CommitClock(clock, clock_ahead_seconds)
        if memory_mib < 1:
            raise ValueError(f"memory_mib must be 1 or more, not {memory_mib}")
        share = memory_mib / MEMORY_MIB
        self._logs = OpenLogs(self._path, self._new_log, max(1, int(MAX_LOGS * share)))
        self._folders = {name: SymbolFolders(self._path / name) for name in STORED_DATASETS}
        self._declared_file = self._logs.commits_file(*DECLARED_INSTRUMENTS)
        self.committed: list[CommitHook] = []
        self._segment_rows = segment_rows
        self._tail = TailCache(int(ROWS_LIMIT * share))
        self._mappings = SegmentMappings()

    def identity(self) -> str:
        """See `MarketStore.identity`. It is that of the format file, which each copy of the folder has anew."""
        return file_identity(self._path / FORMAT_FILE)

    def log(self, dataset: Dataset, symbol: str) -> CsvLog:
        return CsvLog(self.log, dataset, symbol, self._logs)

    def prepare_rows(self, batch: Append) -> Callable[[], Receipt]:
        """See `MarketStore.prepare_rows`."""
        return partial(self._commit, batch, PreparedBatch.of(batch))

    def correct(self, amendment: Amendment) -> Receipt:
        self._logs.read(amendment.dataset, amendment.symbol)  # raises UnknownSymbol
        return self._commit(amendment, PreparedAmendment.of(amendment))

    def _commit(self, request: Append | Amendment, prepared: PreparedBatch | PreparedAmendment) -> Receipt:
        log = self._logs.get(request.dataset, request.symbol)
        receipt = log.writer.commit(prepared)
        return call_hooks(self.committed, request, receipt)

    def rows_behind(self, dataset: Dataset, symbol: str) -> int:
        """See `MaintainedStore.rows_behind`."""
        log, history = self._logs.read(dataset, symbol)
        with unavailable_on_error:
            return log.reader.with_state(history, None, log.reader.rows_behind)

    def derive(
        self, dataset: Dataset, symbol: str, *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics | None:
        """See `MaintainedStore.derive`. compact: join neighbouring segments wherever they fit into one."""
        policies = (self.instrument(symbol).policy,) if dataset is TRADES else ()
        log, _ = self._logs.read(dataset, symbol)
        folder = self._logs.folder(dataset, symbol)
        fold = Fold(dataset, folder, policies, self._disk, self._segment_rows)
        try:
            with unavailable_on_error:
                if rebuild:
                    log.commits.write_index(anew=True)
                return fold.run(lambda: self._logs.read(dataset, symbol)[1], rebuild=rebuild, compact=compact)
        except SegmentDamaged as error:
            raise StoreUnavailable(
                f"derived files were deleted while they were made, retry: {error}"
            ) from error

    def remove_expired(self, dataset: Dataset, symbol: str) -> int:
        """See `MarketStore.remove_expired`. Rows of a date are in files of their own."""
        before_ns = self._logs.read(dataset, symbol)[1].expired.removed_before_ns
        freed = self.bytes_before(dataset, symbol, before_ns)
        with unavailable_on_error:
            for path in self._files_before(dataset, symbol, before_ns):
                path.unlink(missing_ok=True)
            self._disk.sync_folder(self._logs.folder(dataset, symbol))
        self.derive(dataset, symbol)
        return freed

    def bytes_before(self, dataset: Dataset, symbol: str, before_ns: int) -> int:
        """See `MarketStore.bytes_before`."""
        with unavailable_on_error:
            return sum(path.stat().st_size for path in self._files_before(dataset, symbol, before_ns))

    def _files_before(self, dataset: Dataset, symbol: str, before_ns: int) -> list[Path]:
        """Return the files of earlier dates. before_ns: a midnight UTC."""
        date = format_timestamp(before_ns)[:10]
        files = self._logs.folder(dataset, symbol).glob("[12]*.csv")
        return [path for path in files if dataset.partition is Partition.DAY and path.name[:10] < date]

    def keeper(self) -> DerivedKeeper:
        return DerivedKeeper(self._all_logs, lambda name, symbol: self.derive(STORED_DATASETS[name], symbol))

    def planned_cut(self, dataset: Dataset, symbol: str, until_ns: int) -> LogCut:
        """See `MaintainedStore.planned_cut`."""
        with unavailable_on_error:
            return planned_cut(Path(self._logs.commits_file(dataset, symbol)), until_ns)

    def cut(self, dataset: Dataset, symbol: str, planned: LogCut) -> None:
        """See `MaintainedStore.cut`."""
        with unavailable_on_error:
            cut_log(Path(self._logs.commits_file(dataset, symbol)), planned, self._disk)
            os.utime(self._path / FORMAT_FILE)  # the store has another identity
        # A log without commits is no longer listed.
        self._folders[dataset.name] = SymbolFolders(self._path / dataset.name)

    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """See `MarketStore.heads`. A token is the signature of the log's file."""
        names = self.symbols(dataset) if symbols is None else symbols
        with unavailable_on_error:
            tokens = {symbol: file_signature(self._logs.commits_file(dataset, symbol)) for symbol in names}
        return {symbol: token for symbol, token in tokens.items() if token != NO_FILE}

    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """See `MarketStore.change_stamp`."""
        paths = [self._logs.commits_file(dataset, symbol) for dataset, symbol in logs]
        return lambda: (self._declared(), *map(file_signature, paths))

    def _declared(self) -> FileSignature:
        """Return a value that changes with each declaration."""
        return file_signature(self._declared_file)

    def problem(self) -> str:
        if not self._path.is_dir():
            return "its folder does not exist"
        return (
            ""
            if os.access(self._path, os.R_OK | os.W_OK | os.X_OK)
            else "its folder cannot be read and written"
        )

    def catalogue_stamp(self) -> Hashable:
        with unavailable_on_error:
            return self._declared(), *(self._folders[name].stamp() for name in DATASETS)

    def symbols(self, dataset: Dataset) -> list[str]:
        with unavailable_on_error:
            return list(self._folders[dataset.name].symbols())

    def folders(self, dataset: Dataset) -> list[str]:
        with (
            unavailable_on_error,
            suppress(FileNotFoundError),
            os.scandir(self._path / dataset.name) as entries,
        ):
            return sorted(symbol_of(entry.name) for entry in entries if entry.is_dir())
        return []

    def check(self, dataset: Dataset, symbol: str) -> "CsvLogCheck":
        # Imported here, because only maintenance commands need this module.
        from store.csv.verify import CsvLogCheck  # noqa: PLC0415

        if not self._logs.folder(dataset, symbol).is_dir():
            raise UnknownSymbol(symbol)
        return CsvLogCheck(dataset, symbol, self._logs.folder(dataset, symbol))

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        from store.csv.verify import log_statistics  # noqa: PLC0415 as for a check

        if not has_commits(self._logs.folder(dataset, symbol)):
            raise UnknownSymbol(symbol)
        with unavailable_on_error:
            return log_statistics(self._logs.folder(dataset, symbol))

    def _all_logs(self) -> Iterator[WatchedLog]:
        for dataset in STORED_DATASETS.values():
            try:
                names = os.listdir(self._path / dataset.name)  # noqa: PTH208 names are all that is needed
            except OSError:
                continue
            for name in names:
                symbol = symbol_of(name)
                key = self._policy_key(symbol) if dataset is TRADES else ""
                yield WatchedLog(dataset.name, symbol, f"{self._path}/{dataset.name}/{name}", key)

    def _policy_key(self, symbol: str) -> str:
        """Return the key of an instrument's bar policy; an empty text on an error, which `derive` reports."""
        try:
            return self.instrument(symbol).policy.key
        except StorageError:
            return ""

    def _new_log(self, dataset: Dataset, symbol: str) -> OpenLog:
        folder = self._logs.folder(dataset, symbol)
        commits = CommitLog(folder, self._disk)
        reader = LogReader(dataset, symbol, folder, self._tail, self._mappings)
        writer = Writer(
            f"{dataset.name}/{symbol}", folder, commits, disk=self._disk, reader=reader, clock=self._clock
        )
        return OpenLog(commits, writer, reader, AggregateReader(reader), RowFinder(reader))
