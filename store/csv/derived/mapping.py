"""Maps files into memory, read-only, without pyarrow and without a handle that stays open.

Python's `mmap` keeps a handle for each mapping, and a store maps thousands of files.
"""

import ctypes
import mmap
import os
import weakref
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
]  # fmt: skip
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


def mapped_bytes(path: Path) -> memoryview:
    """Return the content of a file, mapped. The mapping lasts as long as a view of it, even if the file is deleted.

    Raises `OSError`.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return memoryview(b"")
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    content = (ctypes.c_ubyte * size).from_address(address)
    unmap = weakref.finalize(content, _libc.munmap, address, size)
    unmap.atexit = False  # type: ignore[misc]  # at exit views may still be in use
    return memoryview(content).cast("B").toreadonly()
