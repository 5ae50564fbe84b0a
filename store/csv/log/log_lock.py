"""The lock of a file between processes. Writers hold it exclusively; a reader that syncs the file shares it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from store.csv.files.disk import Disk
from store.exceptions import StoreBusy

LOCK_PATIENCE_SECONDS = 3.0
_POLL_SECONDS = 0.0005

_FOR_APPENDING = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_FOR_READING = os.O_RDONLY | os.O_CLOEXEC


class LogLock:
    """The lock of a log's file.

    Raises `OSError`, and `StoreBusy` if it is not free within three seconds.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    @contextmanager
    def exclusive(self) -> Iterator[int]:
        """Hold the exclusive lock. Yields a descriptor to append to. Creates the file if necessary."""
        if not self._path.exists():
            self._disk.make_folder(self._path.parent)
        with self._locked(_FOR_APPENDING, fcntl.LOCK_EX) as descriptor:
            yield descriptor

    @contextmanager
    def shared(self) -> Iterator[int]:
        """Hold the shared lock, which excludes writers. Yields a descriptor to read from."""
        with self._locked(_FOR_READING, fcntl.LOCK_SH) as descriptor:
            yield descriptor

    @contextmanager
    def _locked(self, flags: int, operation: int) -> Iterator[int]:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            descriptor = os.open(self._path, flags, 0o644)
            try:
                _lock(descriptor, operation, deadline)
                if self._is_current(descriptor):  # a restore may have replaced the file
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        with suppress(FileNotFoundError):
            return os.fstat(descriptor).st_ino == os.stat(self._path).st_ino  # noqa: PTH116
        return False


def _lock(descriptor: int, operation: int, deadline: float) -> None:
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise StoreBusy("another process has held the file's lock for too long: retry")
        time.sleep(_POLL_SECONDS)
