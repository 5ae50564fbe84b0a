"""A file that is mapped into memory.

The pages of it that were read count as the process's memory until they are given back.
"""

import ctypes
import mmap

import pyarrow as pa

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Mapping:
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
