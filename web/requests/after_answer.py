"""Work that can wait until a request's answer has gone out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Postponed = Callable[[], object]


class _Thread(threading.local):
    postponed: list[Postponed] | None = None


_thread = _Thread()


def after_answer(work: Postponed) -> None:
    """Call `work` in this thread after its request's answer was handed on; at once if the thread postpones nothing."""
    if _thread.postponed is None:
        work()
    else:
        _thread.postponed.append(work)


@contextmanager
def postponed_work() -> Iterator[list[Postponed]]:
    """Collect the work of `after_answer` in this thread in a list; the caller calls it later."""
    works: list[Postponed] = []
    _thread.postponed = works
    try:
        yield works
    finally:
        _thread.postponed = None
