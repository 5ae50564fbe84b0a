"""The file operations on which durability rests, in one place, so that a test can put a fault into each."""

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
    """Appends and syncs. Every method raises `OSError` as the operating system does."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` behind the file's end."""
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]

    def sync(self, descriptor: int) -> None:
        """Return when what was written, and the file's length, would outlive a power cut."""
        os.fdatasync(descriptor)

    def rewrite(self, path: Path, start: int) -> None:
        """Write the file's bytes from `start` over themselves: the next sync has to write them out."""
        with path.open("r+b", buffering=0) as file:
            while data := os.pread(file.fileno(), _REWRITTEN_AT_ONCE, start):
                start += os.pwrite(file.fileno(), data, start)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file to `length` bytes."""
        os.ftruncate(descriptor, length)

    def make_folder(self, folder: Path) -> None:
        """Make a folder and the two above it, durably."""
        for path in (folder.parent.parent, folder.parent, folder):
            path.mkdir(parents=True, exist_ok=True)
            self.sync_folder(path.parent)  # also where it is there: whoever made it may have died before this

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in the folder would outlive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unavailable(error: OSError) -> StoreUnavailable:
    """The store's word for an operating system's error."""
    kind = StoreFull if error.errno in _NO_SPACE else StoreUnavailable
    return kind(f"the store cannot be used: {os.strerror(error.errno or 0)}")


# Inode, size and time of change in nanoseconds: neither an append nor a replacement leaves all three as they
# were. A plain tuple: one is made on every read.
FileSignature: TypeAlias = tuple[int, int, int]
NO_FILE: FileSignature = (0, 0, 0)
NEVER_SEEN: FileSignature = (-1, 0, 0)


def file_signature(path: str | os.PathLike[str]) -> FileSignature:
    """The signature of a file; `NO_FILE` where there is none, and never `NEVER_SEEN`. Raises `OSError`."""
    try:
        found = os.stat(path)  # noqa: PTH116 a quarter of Path.stat's time
    except FileNotFoundError:
        return NO_FILE
    return found.st_ino, found.st_size, found.st_mtime_ns


_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class MappedBytes:
    """All bytes of a mapped file."""

    def __init__(self, content: pa.Buffer) -> None:
        """`content` must be mapped from a file: other memory would lose what is in it."""
        self._content = content

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self._content.size  # type: ignore[no-any-return]

    def give_back(self, start: int = 0, end: int | None = None) -> None:
        """Let go of the whole pages in a stretch of the bytes; without an end, of all behind its start.

        Whoever reads them still or again gets the same: they come from the system's cache, or from the file.
        It is advice: that it is not taken is no error.
        """
        address, size, page = self._content.address, self._content.size, mmap.PAGESIZE
        first = -(-(address + start) // page) * page
        behind = (address + (size if end is None else min(end, size))) // page * page
        if first < behind:
            _madvise(first, behind - first, mmap.MADV_DONTNEED)
