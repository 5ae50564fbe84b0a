"""A log's file of commit records: read piece by piece, verified, appended to under a lock."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from store.csv.files.commit_records import Commit, encode_commit
from store.csv.files.disk import NO_FILE, Disk, FileSignature, file_signature
from store.csv.log.commit_index import CommitIndex
from store.csv.log.history import CommitHistory
from store.csv.log.index_builder import EMPTY
from store.csv.log.index_files import IndexFiles
from store.csv.log.log_lock import LogLock
from store.exceptions import DataDamaged
from store.protocol import CommitId

COMMITS_FILE = "commits.jsonl"
_FOLD_AGAIN_SECONDS = 0.2

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _LoadedLog:
    """What was read of the file: its history, and the file's signature then.

    confirmed: up to which byte the disk has told this process that the records would outlive a power cut.
    """

    history: CommitHistory
    confirmed: int = 0
    signature: FileSignature = NO_FILE

    @property
    def end(self) -> int:
        """Up to which byte the file was read."""
        return self.history.end


class CommitLog:
    """`commits.jsonl` of one symbol, and its history: of a commit index and the records after it.

    A record is complete once its line end is written. What follows the last complete record was never
    acknowledged: readers pass over it, and the next writer, who holds the lock, cuts it off.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.path = folder / COMMITS_FILE
        self._disk = disk
        self._lock = LogLock(self.path, disk)
        self._mutex = threading.Lock()
        self._indexes = IndexFiles(self.path)
        self._view = self._unread()
        self._folding = threading.Lock()

    def history(self) -> CommitHistory:
        """All commits so far, this process's and others'. Raises `DataDamaged`; `OSError` from the system."""
        return self._current().history

    def _current(self) -> _LoadedLog:
        view = self._view
        if file_signature(self.path) == view.signature:
            return view
        with self._mutex:
            view = self._catch_up(file_signature(self.path))
        self._fold_if_long(view.history)
        return view

    def write_index(self) -> None:
        """Put the commits so far into the commit index, if nobody else is at it. Raises like `history`.

        Where the folder cannot be written to, the index is kept in memory.
        """
        with self._mutex:
            history = self._catch_up(file_signature(self.path)).history
        self._rebase(history, self._indexes.renewed(history))

    def forget(self) -> None:
        """Drop what is held in memory: the next use reads the file from its beginning."""
        with self._mutex:
            self._view = self._unread()

    def durable(self) -> tuple[CommitHistory, CommitId]:
        """The history and its newest commit, which would outlive a power cut: the log is synced if need be.

        It is synced under the shared lock, because a writer may take its records back until it releases the
        exclusive one. Raises `StoreBusy`, and like `history`.
        """
        view = self._current()
        head = view.history.head()  # first: a commit may be added
        if view.end <= view.confirmed:
            return view.history, head
        while True:
            with self._lock.shared() as descriptor:
                view = self._current()
                if os.fstat(descriptor).st_ino == view.signature[0]:
                    self._confirm(view, descriptor)
                    return view.history, view.history.head()

    def locked(self) -> AbstractContextManager[int]:
        """Hold the log's lock alone; gives the descriptor to append to.

        Raises `StoreBusy` when it cannot be had.
        """
        return self._lock.exclusive()

    def recover(self, descriptor: int) -> CommitHistory:
        """The history, with whatever follows the last complete record cut off. Needs the lock."""
        history = self.history()
        if os.fstat(descriptor).st_size > self._view.end:
            self.forget()  # what is cut must not be a record that took the place of a torn one unnoticed
            history = self.history()
            if os.fstat(descriptor).st_size > self._view.end:
                self._disk.truncate(descriptor, self._view.end)
        return history

    def append(self, descriptor: int, commits: Sequence[Commit]) -> CommitHistory:
        """Write the records that follow the history's newest, durably; returns the history with them.

        Needs the lock. An `OSError` before anything could be durable leaves the log as it was. `SyncFailed`
        after the records were written leaves them in doubt, and the memory of this log is dropped.
        """
        view = self._view
        previous, lines, ids = view.history.head(), [], []
        for commit in commits:
            line, commit_hash = encode_commit(commit, previous.hash)
            previous = CommitId(commit.commit, commit_hash)
            lines.append(line)
            ids.append(previous)
        start = end = view.end
        self._write(descriptor, b"".join(lines), start)
        with self._mutex:
            if self._view is not view or view.end != start:  # a reader of this process was quicker
                self._read_back()
            else:
                for commit, commit_id, line in zip(commits, ids, lines, strict=True):
                    end += len(line)
                    view.history.add(commit, commit_id, end)
                view.signature = file_signature(self.path)
            self._view.confirmed = self._view.end
            history = self._view.history
        self._fold_if_long(history)
        return history

    def confirm(self, descriptor: int) -> None:
        """Return when every record is durable, also one whose writer was not told so. Needs the lock.

        Raises `SyncFailed`.
        """
        self._confirm(self._view, descriptor)

    def _confirm(self, view: _LoadedLog, descriptor: int) -> None:
        if view.confirmed < view.end:
            self._sync(descriptor, is_new=view.confirmed == 0)
            view.confirmed = view.end

    def _read_back(self) -> None:
        try:
            self._catch_up(file_signature(self.path))
        except OSError as error:  # the records are durable, and cannot be looked at
            raise SyncFailed(*error.args) from error

    def _write(self, descriptor: int, data: bytes, end: int) -> None:
        try:
            self._disk.append(descriptor, data)
        except OSError:
            self._cut(descriptor, end)
            raise
        self._sync(descriptor, is_new=end == 0)

    def _sync(self, descriptor: int, *, is_new: bool) -> None:
        try:
            self._disk.sync(descriptor)
            if is_new:
                self._disk.sync_folder(self.path.parent)
        except OSError as error:
            # The system now takes for clean what it could not write: the next sync would confirm it.
            with suppress(OSError):
                self._disk.rewrite(self.path, self._view.confirmed)
            self.forget()
            raise SyncFailed(*error.args) from error

    def _cut(self, descriptor: int, end: int) -> None:
        try:
            self._disk.truncate(descriptor, end)
        except OSError as error:  # whole records of a group may be among what was written
            self.forget()
            raise SyncFailed(*error.args) from error

    def _catch_up(self, signature: FileSignature) -> _LoadedLog:
        view = self._view
        if signature == view.signature:
            return view
        inode, size, _ = signature
        if inode != view.signature[0] or size <= view.end:  # another file, or another end of it
            view = self._unread()
        if size:
            try:
                self._read_into(view, size)
            except DataDamaged:
                if view.end == 0:
                    raise
                view = self._unread()  # records that were cut off and written anew since they were read
                self._read_into(view, size)
        view.signature = signature
        self._view = view
        return view

    def _unread(self) -> _LoadedLog:
        return _LoadedLog(CommitHistory(EMPTY, self._indexes))

    def _read_into(self, view: _LoadedLog, size: int) -> None:
        if view.end == 0:
            view.history.rebase(self._indexes.opened(size))
        for line in self._indexes.lines(view.end, size, view.history.head()):
            view.history.add(*line)

    def _fold_if_long(self, history: CommitHistory) -> None:
        """Have a long tail put into an index by another thread: neither reads nor writes wait for it."""
        if history.has_long_tail and self._folding.acquire(blocking=False):
            try:
                threading.Thread(target=self._fold_tail, args=(history,), name="commit index").start()
            except RuntimeError as error:  # no thread is to be had
                self._folding.release()
                _logger.debug("the commit index of %s was not written: %r", self.path, error)

    def _fold_tail(self, history: CommitHistory) -> None:
        try:
            self._rebase(history, self._indexes.newest(history.end))  # another process may have been quicker
            if history.has_long_tail:
                self._rebase(history, self._indexes.renewed(history))
            if history.has_long_tail:
                time.sleep(_FOLD_AGAIN_SECONDS)
        except (DataDamaged, OSError) as error:
            _logger.debug("the commit index of %s was not written: %r", self.path, error)
        finally:
            self._folding.release()

    def _rebase(self, history: CommitHistory, index: CommitIndex | None) -> None:
        if index is not None:
            with self._mutex:
                history.rebase(index)


class SyncFailed(OSError):
    """The records were written, but not confirmed by the disk: they may or may not be there after a crash."""


def has_log(folder: Path) -> bool:
    """Whether anything was ever written to a log, be it torn or damaged: that is for who reads it to find."""
    try:
        return os.stat(folder / COMMITS_FILE).st_size > 0  # noqa: PTH116 as in the log itself
    except (FileNotFoundError, NotADirectoryError):
        return False


def has_commits(folder: Path) -> bool:
    """Whether a log has a complete record, as far as its beginning tells."""
    try:
        with (folder / COMMITS_FILE).open("rb") as file:
            return b"\n" in file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return False
