"""Bounds what the segments of a store hold: mapped files, their pages in memory, bars made of their rows."""

import threading
import weakref
from operator import attrgetter
from typing import Protocol

# A segment maps its columns and one file for each policy; Linux gives a process 65,530 mappings, and other
# things need some.
SEGMENTS_LIMIT = 8192
BYTES_LIMIT = 256 * 2**20
# Of rows that were read so much stays in memory: a long walk over them needs no more, and what is read again
# comes from the system's cache in a hundredth of the time that it takes to write it as text.
PAGES_LIMIT = 4 * 2**20
# When there is too much, this much is kept, so that it is not looked for all the time.
_KEPT_SHARE = 0.75


class MemoryHolder(Protocol):
    """Who holds something that can be had again.

    `used` grows with every use; `held_bytes` are those on the heap.
    """

    used: int
    held_bytes: int

    def release(self) -> None:
        """Give up all of it."""
        ...

    def give_back(self) -> None:
        """Let go of the pages of its rows that are in memory."""
        ...


class SegmentMemory:
    """The holders of a store that hold something. Does not keep them alive."""

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
        """What all of them hold on the heap."""
        return sum(holder.held_bytes for holder in self._holders)

    def add(self, holder: MemoryHolder) -> None:
        """Note one that holds more than before.

        Where that is too much, those used longest ago give up theirs.
        """
        with self._mutex:
            self._holders.add(holder)
            if len(self._holders) > self._segments_limit:
                self._release_down_to(int(self._segments_limit * _KEPT_SHARE), self._bytes_limit)
            elif holder.held_bytes and self.bytes > self._bytes_limit:
                self._release_down_to(self._segments_limit, int(self._bytes_limit * _KEPT_SHARE))

    def note_read(self, holder: MemoryHolder, size: int) -> None:
        """Note that so many bytes of one's rows are about to be read.

        Where it has become too much, what was read before is given back.
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
        """The one used last keeps what it holds, however large."""
        *holders, _ = sorted(self._holders, key=attrgetter("used"))
        held_bytes = self.bytes
        for holder in holders:
            if len(self._holders) <= count and held_bytes <= size:
                break
            held_bytes -= holder.held_bytes
            self._holders.discard(holder)
            holder.release()
