"""Spool files hold records of calls until the collector moves them. Each record is one write, so kill -9 loses none.

Each process writes its own files, `<start ns>-<pid>.jsonl`, and holds an flock on the current one; the
collector gets the lock once the file is finished or its writer is gone.
"""

import errno
import fcntl
import functools
import logging
import os
import threading
import time
import weakref
from pathlib import Path

from ops.metrics.declarations import AUDIT_LOST

logger = logging.getLogger(__name__)

ROTATE_BYTES = 4 * 2**20
SUFFIX = ".jsonl"
_OPEN_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_CLOSED = -1


class Spool:
    """Writes this process's spool file in `folder`; opens it at the first record, and another one after a fork.

    `lost` counts the records that could not be written since the process began. Thread safe.
    """

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.folder = folder
        self.lost = 0
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._fd = _CLOSED
        self._size = 0
        self._is_failing = False
        forget = weakref.WeakMethod(self._forget_parent)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def append(self, line: bytes) -> bool:
        """Write one record, which ends in a line feed; False if that failed. Never raises OSError."""
        with self._lock:
            try:
                if self._fd == _CLOSED or self._size + len(line) > self._rotate_bytes:
                    self._open_next()
                self._write(line)
            except OSError:
                self.lost += 1
                AUDIT_LOST.inc()
                if not self._is_failing:
                    logger.exception("audit records cannot be written to %s", self.folder)
                self._is_failing = True
                return False
            self._is_failing = False
            return True

    def close(self) -> None:
        """Close the current file; the next record opens another."""
        with self._lock:
            self._close()

    def _write(self, line: bytes) -> None:
        written = os.write(self._fd, line)
        if written == len(line):
            self._size += written
            return
        # Remove the written part, so that the next record does not continue a torn line.
        try:
            os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - written)
        except OSError:
            self._close()
        raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were written")

    def _open_next(self) -> None:
        """Open a new file; if that fails, keep writing to the current file beyond its usual size."""
        try:
            fd = _open_locked(self.folder)
        except OSError:
            if self._fd == _CLOSED:
                raise
            return
        self._close()
        self._fd, self._size = fd, 0

    def _close(self) -> None:
        # Reset before closing: a child forked in between must not close a descriptor number that was reused.
        fd, self._fd = self._fd, _CLOSED
        if fd != _CLOSED:
            os.close(fd)

    def _forget_parent(self) -> None:
        """In a forked child: leave the file to the parent, and replace the lock, which the parent may have held."""
        self._lock = threading.Lock()
        self._close()


@functools.lru_cache(maxsize=8)
def process_spool(folder: Path) -> Spool:
    """Return this process's Spool for `folder`."""
    return Spool(folder)


def _open_locked(folder: Path) -> int:
    """Make and lock a new file; return its descriptor."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = folder / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
        try:
            fd = os.open(path, _OPEN_FLAGS, 0o600)
        except FileExistsError:
            continue
        if _lock_new(fd):
            return fd
        os.close(fd)


def _lock_new(fd: int) -> bool:
    """Lock a new file; return False if a collector found it unlocked and is removing it as abandoned."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        os.close(fd)
        raise
    return os.fstat(fd).st_nlink > 0
