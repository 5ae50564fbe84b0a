"""The commit records of one log: reads and verifies new records, and appends under a lock."""

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from store.csv.files.commit_records import Commit, encode_commit
from store.csv.files.disk import NO_FILE, Disk, FileSignature, file_signature
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import IndexFile
from store.csv.log.log_lock import LogLock
from store.exceptions import DataDamaged
from store.protocol import CommitId

COMMITS_FILE = "commits.jsonl"


@dataclass(slots=True)
class _LoadedLog:
    """The commits that were read from the file, and the file's signature at that time.

    confirmed: the offset up to which this process knows the records to be durable.
    """

    history: CommitHistory
    confirmed: int = 0
    signature: FileSignature = NO_FILE

    @property
    def end(self) -> int:
        """The offset up to which the file was read."""
        return self.history.end


class CommitLog:
    """The file `commits.jsonl` of one symbol, and its history: a commit index and the records after it.

    A record is complete once its line end is written. Bytes after the last complete record were never
    acknowledged: readers ignore them, and the next writer cuts them off under the lock.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.path = folder / COMMITS_FILE
        self._disk = disk
        self._lock = LogLock(self.path, disk)
        self._mutex = threading.Lock()
        self._index = IndexFile(self.path)
        self._loaded = self._nothing_loaded()

    def history(self) -> CommitHistory:
        """Return all commits so far, of all processes. Raises `DataDamaged` and `OSError`."""
        return self._current().history

    def _current(self) -> _LoadedLog:
        loaded = self._loaded
        if file_signature(self.path) == loaded.signature:
            return loaded
        with self._mutex:
            return self._catch_up()

    def write_index(self, *, anew: bool = False) -> None:
        """Add all commits to the index. anew: make it again. Raises the errors of `history`."""
        with self._mutex:
            self._catch_up().history.index(anew=anew)

    def without_commits(self) -> CommitHistory:
        """Return a history without commits."""
        return CommitHistory(self._index)

    def forget(self) -> None:
        """Discard the cached history; the next use reads the file from its beginning."""
        with self._mutex:
            self._loaded = self._nothing_loaded()

    def durable(self) -> tuple[CommitHistory, CommitId]:
        """Return the history and its newest commit after making them durable. Syncs the log if necessary.

        A sync takes the shared lock, because a writer may remove its own records until it releases the
        exclusive lock. Raises `StoreBusy`, and the errors of `history`.
        """
        loaded = self._current()
        head = loaded.history.head()  # read before the check, because a commit may be added after it
        if loaded.end <= loaded.confirmed:
            return loaded.history, head
        while True:
            with self._lock.shared() as descriptor:
                loaded = self._current()
                if os.fstat(descriptor).st_ino == loaded.signature[0]:
                    self._confirm(loaded, descriptor)
                    return loaded.history, loaded.history.head()

    def locked(self) -> AbstractContextManager[int]:
        """Hold the log's exclusive lock. Yields the descriptor to append to.

        Raises `StoreBusy` if the lock is not free in time.
        """
        return self._lock.exclusive()

    def recover(self, descriptor: int) -> CommitHistory:
        """Cut off bytes after the last complete record, and return the history. Needs the lock."""
        history = self.history()
        if os.fstat(descriptor).st_size > self._loaded.end:
            # Read again before cutting: another writer may have replaced an incomplete record by a complete one.
            self.forget()
            history = self.history()
            if os.fstat(descriptor).st_size > self._loaded.end:
                self._disk.truncate(descriptor, self._loaded.end)
        return history

    def append(self, descriptor: int, commits: Sequence[Commit], *, is_listed: bool = False) -> CommitHistory:
        """Append the commits' records durably; return the history that includes them.

        Needs the lock. is_listed: the folder was synced since the lock was taken. After an `OSError` the log is
        unchanged. After its subclass `SyncFailed` the records may or may not be durable, and the cached history is
        discarded.
        """
        loaded, texts, lines = self._loaded, [], []
        start, commit_hash = loaded.end, loaded.history.head().hash
        end = start
        for commit in commits:
            text, commit_hash = encode_commit(commit, commit_hash)
            end += len(text)
            texts.append(text)
            lines.append((commit, CommitId(commit.number, commit_hash), end))
        # Records of others may be there, but whether their writer lived to sync the folder nobody knows.
        self._write(descriptor, b"".join(texts), start, is_new=loaded.confirmed == 0 and not is_listed)
        with self._mutex:
            if self._loaded is not loaded or loaded.end != start:  # another thread has read the new records
                self._read_back()
            else:
                for line in lines:
                    loaded.history.add(*line)
                loaded.signature = file_signature(self.path)
            self._loaded.confirmed = self._loaded.end
            self._loaded.history.index_if_long()
            return self._loaded.history

    @property
    def is_confirmed(self) -> bool:
        """Whether this process knows all records that it has read to be durable."""
        return self._loaded.confirmed >= self._loaded.end

    def confirm(self, descriptor: int) -> None:
        """Make all records durable, including those of other writers. Needs the lock.

        Syncs the file only if necessary. Raises `SyncFailed`.
        """
        self._confirm(self._loaded, descriptor)

    def _confirm(self, loaded: _LoadedLog, descriptor: int) -> None:
        if loaded.confirmed < loaded.end:
            self._sync(descriptor, is_new=loaded.confirmed == 0)
            loaded.confirmed = loaded.end

    def _read_back(self) -> None:
        try:
            self._catch_up()
        except OSError as error:  # the records are durable but cannot be read
            raise SyncFailed(*error.args) from error

    def _write(self, descriptor: int, data: bytes, end: int, *, is_new: bool) -> None:
        try:
            self._disk.append(descriptor, data)
        except OSError:
            self._cut(descriptor, end)
            raise
        self._sync(descriptor, is_new=is_new)

    def _sync(self, descriptor: int, *, is_new: bool) -> None:
        try:
            self._disk.sync(descriptor)
            if is_new:
                self._disk.sync_folder(self.path.parent)
        except OSError as error:
            # After a failed sync the kernel may mark the unwritten pages as clean; the next sync would then skip them.
            with suppress(OSError):
                self._disk.rewrite(self.path, self._loaded.confirmed)
            self.forget()
            raise SyncFailed(*error.args) from error

    def _cut(self, descriptor: int, end: int) -> None:
        try:
            self._disk.truncate(descriptor, end)
        except OSError as error:  # some complete records of the group may be in the file
            self.forget()
            raise SyncFailed(*error.args) from error

    def _catch_up(self) -> _LoadedLog:
        loaded, signature = self._loaded, file_signature(self.path)
        if signature == loaded.signature:
            return loaded
        inode, size, _ = signature
        if inode != loaded.signature[0] or size <= loaded.end:  # the file or its end was replaced
            loaded = self._nothing_loaded()
            loaded.history.load()
        try:
            signature = self._read_into(loaded)
        except DataDamaged:
            if loaded.end == 0:
                raise
            loaded = self._nothing_loaded()  # records that were read before have been cut off and replaced
            loaded.history.load()
            signature = self._read_into(loaded)
        loaded.signature = signature
        self._loaded = loaded
        return loaded

    def _nothing_loaded(self) -> _LoadedLog:
        return _LoadedLog(CommitHistory(self._index))

    def _read_into(self, loaded: _LoadedLog) -> FileSignature:
        """Read the file's new records, and return its signature before."""
        # Taken after the index was read, which may already have commits of others.
        signature = file_signature(self.path)
        if signature != NO_FILE:
            loaded.history.read(signature[1])
        return signature


class SyncFailed(OSError):
    """The records were written, but not confirmed as durable: after a crash they may or may not be there."""


def has_log(path: str) -> bool:
    """Return whether a log's file is not empty; an incomplete or damaged record is enough."""
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116 as in the log itself
    except (FileNotFoundError, NotADirectoryError):
        return False


def has_commits(folder: Path) -> bool:
    """Return whether a log begins with a complete record."""
    try:
        with (folder / COMMITS_FILE).open("rb") as file:
            return b"\n" in file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return False
