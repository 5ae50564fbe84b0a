"""A log's file of commit records: read incrementally, verified, appended to under a lock between processes."""

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from trades.storage.commit import Commit, decode_commit, encode_commit
from trades.storage.csv.disk import Disk
from trades.storage.csv.history import History
from trades.storage.exceptions import DataDamaged, StoreBusy
from trades.storage.protocol import CommitId

COMMITS_FILE = "commits.jsonl"
LOCK_PATIENCE_SECONDS = 3.0
_POLL_SECONDS = 0.0005

# A write that was cut short leaves the beginning of a record; it never leaves NULs, nor bytes behind a record.
_NOT_TORN = re.compile(rb'\0|"hash":"[0-9a-f]{64}"\}.', re.DOTALL)

_Signature = tuple[int, int, int]
_NOTHING: _Signature = (0, 0, 0)


@dataclass(slots=True)
class _View:
    """What was read of the file: its history, up to which byte, and the file's inode, size and time then.

    confirmed: up to which byte the disk has told this process that the records would outlive a power cut.
    """

    history: History = field(default_factory=History)
    end: int = 0
    confirmed: int = 0
    signature: _Signature = _NOTHING


class CommitLog:
    """`commits.jsonl` of one symbol, and its history in memory.

    A record is complete once its line end is written. What follows the last complete record was never
    acknowledged: readers pass over it, and the next writer, who holds the lock, cuts it off.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.path = folder / COMMITS_FILE
        self._disk = disk
        self._mutex = threading.Lock()
        self._view = _View()

    def history(self) -> History:
        """All commits so far, this process's and others'. Raises `DataDamaged`; `OSError` from the system."""
        view = self._view
        if self._stat() == view.signature:
            return view.history
        with self._mutex:
            return self._catch_up(self._stat())

    def forget(self) -> None:
        """Drop what is held in memory: the next use reads the file from its beginning."""
        with self._mutex:
            self._view = _View()

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the log's lock; yields the descriptor to append to. Raises `StoreBusy` when it cannot be had."""
        if not self.path.exists():
            self._disk.make_folder(self.path.parent)
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                self._lock(descriptor, deadline)
                if self._is_current(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def recover(self, descriptor: int) -> History:
        """The history, with whatever follows the last complete record cut off. Needs the lock."""
        history = self.history()
        if os.fstat(descriptor).st_size > self._view.end:
            self.forget()  # what is cut must not be a record that took the place of a torn one unnoticed
            history = self.history()
            if os.fstat(descriptor).st_size > self._view.end:
                self._disk.truncate(descriptor, self._view.end)
        return history

    def append(self, descriptor: int, commits: Sequence[Commit]) -> History:
        """Write the records that follow the history's newest, durably; returns the history with them. Needs the lock.

        An `OSError` before anything could be durable leaves the log as it was. `SyncFailed` after the records
        were written leaves them in doubt, and the memory of this log is dropped.
        """
        view = self._view
        previous, lines, ids = view.history.head(), [], []
        for commit in commits:
            line, commit_hash = encode_commit(commit, previous.hash)
            previous = CommitId(commit.commit, commit_hash)
            lines.append(line)
            ids.append(previous)
        start = view.end
        self._write(descriptor, b"".join(lines), start)
        with self._mutex:
            if self._view is not view or view.end != start:  # a reader of this process was quicker
                self._read_back()
            else:
                for commit, commit_id in zip(commits, ids, strict=True):
                    view.history.add(commit, commit_id.hash)
                view.end += sum(map(len, lines))
                view.signature = self._stat()
            self._view.confirmed = self._view.end
            return self._view.history

    def confirm(self, descriptor: int) -> None:
        """Return when every record is durable, also one whose writer was not told so. Needs the lock.

        Raises `SyncFailed`.
        """
        view = self._view
        if view.confirmed < view.end:
            self._sync(descriptor, is_new=view.confirmed == 0)
            view.confirmed = view.end

    def _read_back(self) -> None:
        try:
            self._catch_up(self._stat())
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
            # The system now takes for clean what it could not write: the next sync would confirm it unwritten.
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

    def _stat(self) -> _Signature:
        try:
            found = os.stat(self.path)  # noqa: PTH116 a quarter of Path.stat's time, on every read
        except FileNotFoundError:
            return _NOTHING
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _catch_up(self, signature: _Signature) -> History:
        view = self._view
        if signature == view.signature:
            return view.history
        inode, size, _ = signature
        if inode != view.signature[0] or size <= view.end:  # another file, or another end of it
            view = _View()
        if size:
            try:
                self._read_into(view, size)
            except DataDamaged:
                if view.end == 0:
                    raise
                view = _View()  # records that were cut off and written anew since they were read
                self._read_into(view, size)
        view.signature = signature
        self._view = view
        return view.history

    def _read_into(self, view: _View, size: int) -> None:
        with self.path.open("rb") as file:
            file.seek(view.end)
            data = file.read(size - view.end)
        newest = view.history.head()
        *lines, tail = data.split(b"\n")
        for line in lines:
            commit, newest = decode_commit(line, newest)
            view.history.add(commit, newest.hash)
            view.end += len(line) + 1
        if _NOT_TORN.search(tail):
            raise DataDamaged(f"commit record {newest.number + 1} is not what was written")

    def _lock(self, descriptor: int, deadline: float) -> None:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() > deadline:
                raise StoreBusy("another process has held this symbol's lock for too long")
            time.sleep(_POLL_SECONDS)

    def _is_current(self, descriptor: int) -> bool:
        with suppress(FileNotFoundError):
            return os.fstat(descriptor).st_ino == os.stat(self.path).st_ino  # noqa: PTH116
        return False


class SyncFailed(OSError):
    """The records were written, but not confirmed by the disk: they may or may not be there after a crash."""
