"""File operations: durable writes and file signatures. Tests inject faults into `Disk`."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from store.exceptions import StoreFull, StoreUnavailable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_OFFERED = {errno.ENOTSUP, errno.ENOTTY, errno.EINVAL}
_REWRITTEN_AT_ONCE = 2**20


class Disk:
    """Appends and syncs. Every method raises `OSError`."""

    def __init__(self) -> None:
        self._listed: dict[Path, int] = {}  # the inodes of shared folders whose names are durable

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of the file."""
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]

    def sync(self, descriptor: int) -> None:
        """Return once the file's content and length are durable."""
        if hasattr(os, "fdatasync"):
            os.fdatasync(descriptor)
        else:
            _fsync(descriptor)

    def rewrite(self, path: Path, start: int) -> None:
        """Rewrite the file from `start` on with the same bytes, so that the next sync writes them to the disk."""
        with path.open("r+b", buffering=0) as file:
            while data := os.pread(file.fileno(), _REWRITTEN_AT_ONCE, start):
                start += os.pwrite(file.fileno(), data, start)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file to `length` bytes."""
        os.ftruncate(descriptor, length)

    def make_folder(self, folder: Path) -> None:
        """Create a folder and the two folders above it, durably."""
        for shared in (folder.parent.parent, folder.parent):
            self._make_shared(shared)
        folder.mkdir(exist_ok=True)
        self.sync_folder(folder.parent)  # even if it exists: its creator may have died before syncing

    def _make_shared(self, folder: Path) -> None:
        """Create a folder durably. If it exists, its name is synced once by each process."""
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            self._listed.pop(folder, None)
        inode = folder.stat().st_ino
        if self._listed.get(folder) != inode:
            self.sync_folder(folder.parent)
            self._listed[folder] = inode

    def sync_folder(self, folder: Path) -> None:
        """Return once the folder's entries (file names) are durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _fsync(descriptor)
        finally:
            os.close(descriptor)


def _fsync(descriptor: int) -> None:
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync leaves the bytes in the drive's cache
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
        else:
            return
    os.fsync(descriptor)


def unavailable(error: OSError) -> StoreUnavailable:
    """Return the `StoreUnavailable` (or `StoreFull`) to raise for an error of the operating system."""
    error_class = StoreFull if error.errno in _NO_SPACE else StoreUnavailable
    return error_class(f"the store cannot be used: {os.strerror(error.errno or 0)}")


class _UnavailableOnError:
    """A context manager that raises `StoreUnavailable` or `StoreFull` instead of an `OSError`.

    It is a class because `contextlib.contextmanager` takes microseconds, which every request would pay.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, OSError):
            raise unavailable(error) from error


unavailable_on_error = _UnavailableOnError()


# Inode, size, and modification time in nanoseconds: an append or a replacement changes at least one of them.
# It is a plain tuple because every read makes one, and a tuple is made fastest.
FileSignature: TypeAlias = tuple[int, int, int]
NO_FILE: FileSignature = (0, 0, 0)
NEVER_SEEN: FileSignature = (-1, 0, 0)


def file_signature(path: str | os.PathLike[str]) -> FileSignature:
    """Return the signature of a file; `NO_FILE` if it is missing. Makes one system call. Raises `OSError`."""
    try:
        status = os.stat(path)  # noqa: PTH116 a quarter of Path.stat's time
    except FileNotFoundError:
        return NO_FILE
    return status.st_ino, status.st_size, status.st_mtime_ns


def file_identity(path: str | os.PathLike[str]) -> str:
    """Return a text that a copy of the file does not have; an empty text if it is missing. Raises `OSError`."""
    try:
        status = os.stat(path)  # noqa: PTH116 as above
    except FileNotFoundError:
        return ""
    # Nobody can set the time of change, and a new file may have the inode of one that was deleted.
    return f"{status.st_ino:x}-{status.st_ctime_ns:x}"


def signature_if_readable(path: str | os.PathLike[str]) -> FileSignature:
    """Return the signature of a file; `NO_FILE` if it is missing or cannot be read."""
    try:
        return file_signature(path)
    except OSError:
        return NO_FILE
