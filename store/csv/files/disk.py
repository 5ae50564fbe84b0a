"""The file operations on which durability rests, in one place, so that a test can put a fault into each."""

import errno
import os
from pathlib import Path

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
