"""Children that end with their parent, even if it is killed."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None]:
    """Return a function for `preexec_fn`: the kernel kills the child when this process's main thread ends.

    Linux only; elsewhere Python children look at `parent_is` now and then. What the function needs is loaded
    here, since little may be done between fork and exec.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def tie() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between fork and here
            os._exit(1)

    return tie


def parent_is(pid: int | None) -> bool:
    """Whether the process that started this one still lives; no `pid` means that nobody asks."""
    return pid is None or os.getppid() == pid
