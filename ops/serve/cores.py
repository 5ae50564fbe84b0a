"""The core (processor) that each web process keeps to.

The threads of a process hand the interpreter to each other. Between cores that costs processor time: an answer of two
unpinned processes on two cores took 1.03 to 1.28 times that of pinned ones.
"""

import os
from collections.abc import Sequence


def allowed_cores() -> list[int]:
    """Return the cores that this process may use; none if the system has no such limits (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def worker_cores(setting: str, *, workers: int) -> Sequence[int]:
    """Return the cores of the web processes: process n gets core n modulo their number; empty if all may use all.

    `setting` is `auto` (a core each, if there are as many cores as processes), `none`, or numbers separated by commas.
    Raises ValueError if it is something else or names a core that this process may not use.
    """
    allowed = allowed_cores()
    if setting == "none":
        return ()
    if setting == "auto":
        return allowed if len(allowed) == workers else ()
    cores = [int(text) for text in setting.split(",")]
    if allowed and not set(cores) <= set(allowed):
        raise ValueError(f"this process may use the cores {', '.join(map(str, allowed))}")
    return cores if allowed else ()
