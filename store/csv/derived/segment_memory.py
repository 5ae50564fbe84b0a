"""Bounds the memory of a store's segments: mapped files, their loaded pages, and computed bars."""

import threading
import weakref
from operator import attrgetter
from typing import Protocol

# Limit of segments. Each maps its columns and one file per policy. Linux allows a process 65,530 mappings,
# and other code needs some, too.
SEGMENTS_LIMIT = 8192
BYTES_LIMIT = 256 * 2**20
# Bytes of mapped rows that stay loaded. Long sequential reads need no more. Reading a page again from the
# system's cache takes a hundredth of the time of writing its rows as text.
PAGES_LIMIT = 4 * 2**20
# Above a limit, memory is released down to this share of the limit, so that releases are rare.
_KEPT_SHARE = 0.75


class MemoryHolder(Protocol):
    """An object whose memory can be released; its content can be made again.

    used: grows with every use. held_bytes: bytes on the heap.
    """

    used: int
    held_bytes: int

    def release(self) -> None:
        """Release everything."""

    def give_back(self) -> None:
        """Release the loaded pages of its mapped rows."""


class SegmentMemory:
    """The segments of a store that hold memory, by weak references."""

    def __init__(
        self,
        *,
        segments_limit: int = SEGMENTS_LIMIT,
        bytes_limit: int = BYTES_LIMIT,
        pages_limit: int = PAGES_LIMIT,
    ) -> None:
        self._segments_limit = segments_limit
        self._bytes_limit = bytes_limit
        self._pages_limit = pages_limit
        self._holders: weakref.WeakSet[MemoryHolder] = weakref.WeakSet()
        self._read: weakref.WeakSet[MemoryHolder] = weakref.WeakSet()
        self._read_bytes = 0
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def bytes(self) -> int:
        """The bytes on the heap of all holders."""
        return sum(holder.held_bytes for holder in self._holders)

    def add(self, holder: MemoryHolder) -> None:
        """Register a holder that has grown.

        Above a limit, the least recently used holders are released.
        """
        with self._mutex:
            self._holders.add(holder)
            if len(self._holders) > self._segments_limit:
                self._release_down_to(int(self._segments_limit * _KEPT_SHARE), self._bytes_limit)
            elif holder.held_bytes and self.bytes > self._bytes_limit:
                self._release_down_to(self._segments_limit, int(self._bytes_limit * _KEPT_SHARE))

    def note_read(self, holder: MemoryHolder, size: int) -> None:
        """Register that `size` bytes of a holder's rows are about to be read.

        Above the limit, all pages that were read before are released.
        """
        with self._mutex:
            if self._read_bytes + size > self._pages_limit:
                for each in self._read:
                    each.give_back()
                self._read.clear()
                self._read_bytes = 0
            self._read.add(holder)
            self._read_bytes += size

    def _release_down_to(self, count: int, size: int) -> None:
        """Release the least recently used holders; the last used one keeps its memory."""
        *holders, _ = sorted(self._holders, key=attrgetter("used"))
        held_bytes = self.bytes
        for holder in holders:
            if len(self._holders) <= count and held_bytes <= size:
                break
            held_bytes -= holder.held_bytes
            self._holders.discard(holder)
            holder.release()
