"""Which core a process runs on: servers on one, their load on another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


CORES = _cores()
SERVER_CORE, LOAD_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)


def is_possible() -> bool:
    """Whether servers and load can be kept apart on this machine."""
    return SERVER_CORE is not None


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run this thread, and the processes that it starts meanwhile, on one core; None changes nothing."""
    with _on(set() if core is None else {core}):
        yield


@contextmanager
def unpinned() -> Iterator[None]:
    """Run this thread, and the processes that it starts meanwhile, on all cores."""
    with _on(set(CORES)):
        yield


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
