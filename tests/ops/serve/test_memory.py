"""Memory that the program no longer uses goes back to the system."""

import ctypes
import sys

import pytest

from benchmarks.processes import memory_of_process
from ops.serve.memory import memory_release

MIB = 2**20


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc has malloc_trim")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_pages_between_entries_that_remain_are_returned() -> None:
    blocks = [bytes(16 * 1024) for _ in range(100 * MIB // (16 * 1024))]
    remaining = blocks[::16]
    blocks.clear()
    before = memory_of_process("RssAnon")
    memory_release()
    assert before - memory_of_process("RssAnon") > 50 * MIB
    assert len(remaining) == 400
