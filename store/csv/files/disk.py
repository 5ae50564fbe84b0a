"""File operations: durable writes, file signatures and mapped bytes. Tests inject faults into `Disk`."""

import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from store.exceptions import StoreFull, StoreUnavailable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REWRITTEN_AT_ONCE = 2**20


class Disk:
    """Appends and syncs. Every method raises `OSError`."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of the file."""
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]

    def sync(self, descriptor: int) -> None:
        """Return once the file's content and length are durable."""
        os.fdatasync(descriptor)

    def rewrite(self, path: Path, start: int) -> None:
        """Write the bytes from `start` on over themselves, so that the next sync writes them to the disk."""
        with path.open("r+b", buffering=0) as file:
            while data := os.pread(file.fileno(), _REWRITTEN_AT_ONCE, start):
                start += os.pwrite(file.fileno(), data, start)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file to `length` bytes."""
        os.ftruncate(descriptor, length)

    def make_folder(self, folder: Path) -> None:
        """Create a folder and the two above it, durably."""
        for path in (folder.parent.parent, folder.parent, folder):
            path.mkdir(parents=True, exist_ok=True)
            self.sync_folder(path.parent)  # even if it exists: its creator may have died before syncing

    def sync_folder(self, folder: Path) -> None:
        """Return once the names in the folder are durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unavailable(error: OSError) -> StoreUnavailable:
    """Return the store's error for an error of the operating system."""
    kind = StoreFull if error.errno in _NO_SPACE else StoreUnavailable
    return kind(f"the store cannot be used: {os.strerror(error.errno or 0)}")


# Inode, size, and modification time in nanoseconds: an append or a replacement changes at least one of them.
# It is a plain tuple because every read makes one.
FileSignature: TypeAlias = tuple[int, int, int]
NO_FILE: FileSignature = (0, 0, 0)
NEVER_SEEN: FileSignature = (-1, 0, 0)


def file_signature(path: str | os.PathLike[str]) -> FileSignature:
    """Return the signature of a file; `NO_FILE` if it is missing. Costs one system call. Raises `OSError`."""
    try:
        found = os.stat(path)  # noqa: PTH116 a quarter of Path.stat's time
    except FileNotFoundError:
        return NO_FILE
    return found.st_ino, found.st_size, found.st_mtime_ns


_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def signature_if_readable(path: str | os.PathLike[str]) -> FileSignature:
    """Return the signature of a file; `NO_FILE` if it is missing or cannot be read."""
    try:
        return file_signature(path)
    except OSError:
        return NO_FILE


class MappedBytes:
    """The bytes of a mapped file.

    Pages that were read count as memory of the process until `give_back`.
    """

    def __init__(self, content: pa.Buffer) -> None:
        """Create it. `content` must be mapped from a file: other memory would lose its content."""
        self._content = content

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self._content.size  # type: ignore[no-any-return]

    def give_back(self, start: int = 0, end: int | None = None) -> None:
        """Release the pages that lie entirely in a range of bytes, by default in the whole file.

        Readers still see the same bytes: these are loaded again from the system's cache or the file. Failure
        is ignored.
        """
        address, size, page = self._content.address, self._content.size, mmap.PAGESIZE
        first = -(-(address + start) // page) * page
        behind = (address + (size if end is None else min(end, size))) // page * page
        if first < behind:
            _madvise(first, behind - first, mmap.MADV_DONTNEED)
