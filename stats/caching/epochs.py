"""Invalidation that every process of a host sees at once, without asking anybody.

A file of counters is mapped into all processes. A local entry remembers the counter of its symbol; when the
counter has moved on, the entry is void. Symbols share counters by hash: a collision costs a recomputation.
"""

import fcntl
import logging
import mmap
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

SLOTS = 4096
_WIDTH = 8
_SIZE = SLOTS * _WIDTH
_MASK = SLOTS - 1
_WRAP = 2**64 - 1
FILE_NAME = "cache-epochs"


class Epochs:
    """The counters in `path`, which is made if it is missing.

    Where that cannot be done they live in this process alone, other processes then follow when their
    local entries end. The file must not be removed or shortened while processes use it.
    """

    def __init__(self, path: Path) -> None:
        self._thread_lock = threading.Lock()
        self._descriptor: int | None = None
        try:
            self._descriptor = _opened(path)
            self._slots = memoryview(mmap.mmap(self._descriptor, _SIZE)).cast("Q")
        except OSError as error:
            logger.warning("Cache invalidation reaches this process only: %s: %s", path, error)
            self._slots = memoryview(bytearray(_SIZE)).cast("Q")

    @property
    def shared(self) -> bool:
        """Whether other processes see an advance."""
        return isinstance(self._slots.obj, mmap.mmap)

    def current(self, symbol: str) -> int:
        """The counter of `symbol`; equal values mean that nothing was invalidated in between."""
        return self._slots[zlib.crc32(symbol.encode("utf-8", "surrogatepass")) & _MASK]

    def advance(self, symbol: str) -> None:
        """Move the counter of `symbol` on, so that what was kept under the old value is void everywhere."""
        slot = zlib.crc32(symbol.encode("utf-8", "surrogatepass")) & _MASK
        with self._thread_lock, self._exclusive(slot):
            self._slots[slot] = (self._slots[slot] + 1) & _WRAP

    @contextmanager
    def _exclusive(self, slot: int) -> Iterator[None]:
        """Between processes: two advances at once must not write the same value after a reader saw it."""
        if self._descriptor is None:
            yield
            return
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _WIDTH, slot * _WIDTH)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _WIDTH, slot * _WIDTH)


def _opened(path: Path) -> int:
    """Open the file at its full size; growing it is safe beside others that do the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Reserved, not only lengthened: a write to an unreserved page of a full disk would be a SIGBUS.
        os.posix_fallocate(descriptor, 0, _SIZE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
