"""Writes batches as commits of one log.

Takes the log's lock, finds the new rows, appends and syncs them, and then appends the commit records.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from store.commit_clock import CommitClock
from store.csv.files.disk import Disk, unavailable
from store.csv.files.format_file import write_format
from store.csv.log.commit_log import CommitLog, SyncFailed
from store.csv.log.history import CommitHistory
from store.csv.reading.log_reader import LogReader
from store.csv.writing.batch import Chunk, PreparedAmendment, PreparedRequest
from store.csv.writing.group_commit import GroupCommit, PendingCommit
from store.csv.writing.new_lines import NewLines, new_changes, new_lines
from store.csv.writing.staging import StagedCommits
from store.csv.writing.stored_versions import CsvVersions
from store.exceptions import (
    DataDamaged,
    OutcomeUnknown,
    RequestKeyReused,
    StorageError,
    StoreUnavailable,
)
from store.protocol import DUPLICATE_ROWS_KEPT, CommitId, Receipt
from store.walk import CommitRecord

FILES_AT_ONCE = 64
"""The maximum number of data files open at once. A batch may have more dates than a process may open files."""


def append_rows(
    disk: Disk, folder: Path, writes: Mapping[str, Sequence[bytes]], ends: Mapping[str, int]
) -> bool:
    """Append texts to files, one write and one sync per file. Needs the log's lock.

    Returns whether a file is new, so that the folder was synced, too. ends: the committed length of each file. Bytes
    after it were never acknowledged and are cut off. After an `OSError` the files are cut to their committed lengths,
    as far as the disk allows.
    """
    files = list(writes)
    try:
        for start in range(0, len(files), FILES_AT_ONCE):
            _append_to(disk, folder, files[start : start + FILES_AT_ONCE], writes, ends)
        has_new = any(ends.get(file, 0) == 0 for file in files)
        if has_new:
            disk.sync_folder(folder)
    except OSError:
        for file in files:
            with suppress(OSError, DataDamaged):
                _cut_back(disk, folder / file, ends.get(file, 0))
        raise
    return has_new


def _append_to(
    disk: Disk,
    folder: Path,
    files: Sequence[str],
    writes: Mapping[str, Sequence[bytes]],
    ends: Mapping[str, int],
) -> None:
    with ExitStack() as stack:
        descriptors = []
        for file in files:
            descriptor = os.open(folder / file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            cut_file(disk, descriptor, ends.get(file, 0), folder / file)
            disk.append(descriptor, b"".join(writes[file]))
        for descriptor in descriptors:
            disk.sync(descriptor)


def _cut_back(disk: Disk, path: Path, end: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        cut_file(disk, descriptor, end, path)
    finally:
        os.close(descriptor)


def cut_file(disk: Disk, descriptor: int, end: int, path: Path) -> None:
    """Cut a data file to its committed length. Raises `DataDamaged` if it is shorter, and `OSError`."""
    size = os.fstat(descriptor).st_size
    if size < end:
        raise DataDamaged(
            f"{path.parent.name}/{path.name} ends at byte {size}, but commits name bytes up to {end}: restore it"
        )
    if size > end:
        disk.truncate(descriptor, end)


Outcome = Callable[[CommitHistory], Receipt]


class Writer:
    """Commits batches to one log. The batches of waiting threads are written together. Processes take turns."""

    def __init__(
        self,
        name: str,
        folder: Path,
        log: CommitLog,
        *,
        disk: Disk,
        reader: LogReader,
        clock: CommitClock,
    ) -> None:
        """Create it. name: the log's, such as `trades/AAPL`."""
        self._name = name
        self._folder = folder
        self._store_folder = folder.parent.parent
        self._log = log
        self._disk = disk
        self._reader = reader
        self._clock = clock
        self._groups = GroupCommit(self._write_group)

    def commit(self, request: PreparedRequest) -> Receipt:
        """Store a batch of rows or corrections; see `MarketStore.append` and `MarketStore.correct`."""
        return self._groups.commit(request)

    def add(self, base: CommitId, commits: Sequence[tuple[CommitRecord, Sequence[Chunk]]]) -> None:
        """Store commits of another log; see `Log.add_commits`."""
        with self._begun() as (descriptor, stage):
            if stage.history.head() != base:
                raise StoreUnavailable(
                    f"{self._folder.name} is not at commit {base.token} any more: something else writes to it"
                )
            for record, chunks in commits:
                stage.add_copied(record, chunks)
            self._write(descriptor, stage)

    def _write_group(self, group: Sequence[PendingCommit]) -> None:
        with self._begun() as (descriptor, stage):
            history = stage.history
            outcomes = [self._decide(pending, stage) for pending in group]
            self._set_refusals(group, outcomes, stage)
            if stage.commits:
                history = self._write(descriptor, stage)
                self._versions(stage).keep_new(history)
            else:
                # Another process may have stored these rows without having synced its commit yet.
                self._log.confirm(descriptor)
        # Results are set only after the write, because a batch may repeat a row that this group has just written.
        for pending, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StorageError):
                pending.error = outcome
            else:
                pending.receipt = outcome(history)

    @contextmanager
    def _begun(self) -> Iterator[tuple[int, StagedCommits]]:
        """Hold the log's lock. Yields its descriptor, and the commits to which new ones are added."""
        try:
            if not self._log.path.exists():
                write_format(self._store_folder, self._disk)
            with self._log.locked() as descriptor:
                yield descriptor, StagedCommits(self._log.recover(descriptor), self._folder)
        except SyncFailed as error:
            raise OutcomeUnknown("the disk did not confirm the commit; send the batch again") from error
        except OSError as error:
            raise unavailable(error) from error

    def _decide(self, pending: PendingCommit, stage: StagedCommits) -> Outcome | StorageError:
        """Stage the new rows or corrections of a batch.

        Return a function that makes the batch's receipt from the history after the write. If the batch is refused,
        return its error.
        """
        request = pending.request
        try:
            replay = _replay(request, stage.history)
            if replay is not None:
                if self._log.is_confirmed:
                    pending.receipt = replay  # it stands if the write of the group fails
                return lambda _: replay
            new = self._new_lines(request, stage)
            is_declared = (request.key_hash, request.fill, request.expiry) != (None, None, None)
            is_fact = is_declared or stage.advances(request)
            if not (new.chunks or is_fact):
                reported = new.duplicates[:DUPLICATE_ROWS_KEPT]
                return lambda history: Receipt(request.received, 0, reported, history.head())
            committed_at = self._clock.next_time(self._name, stage.committed_at)
        except StorageError as error:
            return error
        commit = stage.add(
            request, new.chunks, new.duplicates, new.superseded, committed_at, replaced=new.replaced
        )
        return lambda history: commit.facts.receipt(history.head(commit.number).hash)

    def _set_refusals(
        self, group: Sequence[PendingCommit], outcomes: Sequence[Outcome | StorageError], stage: StagedCommits
    ) -> None:
        """Set the errors of batches that are refused even without their group, whose write may fail."""
        for pending, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StorageError):
                # Behind a staged commit it may contradict rows of its group only.
                alone = (
                    self._decide(pending, StagedCommits(stage.history, self._folder))
                    if stage.commits
                    else outcome
                )
                pending.error = alone if isinstance(alone, StorageError) else None

    def _new_lines(self, request: PreparedRequest, stage: StagedCommits) -> NewLines:
        if isinstance(request, PreparedAmendment):
            stage.expired.check_new(request.amendment)
            return new_changes(request, self._versions(stage))
        stage.expired.check_new(request.batch)
        return new_lines(request, self._versions(stage))

    def _versions(self, stage: StagedCommits) -> CsvVersions:
        return CsvVersions(self._folder, self._reader, stage)

    def _write(self, descriptor: int, stage: StagedCommits) -> CommitHistory:
        # The log's file exists while its lock is held, so a sync of the folder makes its name durable, too.
        is_listed = append_rows(self._disk, self._folder, stage.writes, stage.stored_ends())
        return self._log.append(descriptor, stage.commits, is_listed=is_listed)


def _replay(request: PreparedRequest, history: CommitHistory) -> Receipt | None:
    """Return the receipt stored under the batch's idempotency key, or None.

    Raises `RequestKeyReused` if the key was used for another batch.
    """
    if request.key_hash is None:
        return None
    accepted = history.accepted(request.caller, request.key_hash)
    if accepted is not None and accepted.digest != request.digest:
        raise RequestKeyReused
    return accepted.receipt if accepted is not None else None
