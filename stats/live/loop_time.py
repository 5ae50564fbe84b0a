"""Budgets of the event loop's time: what frames of the live feed cost it, whether or not a token is charged for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, thread_time
from weakref import WeakValueDictionary

# A holder's frames take so much of the loop's time, and so many seconds of it at once.
SHARE, BURST_SECONDS = 0.1, 0.01


class LoopTime:
    """The time that the event loop spends on one holder's frames. For the loop's thread.

    Whoever has handled a frame waits for `wait_seconds` before the next one. What several connections of the holder
    spend adds up, so that they wait for different times: one after another, not all at once.
    """

    def __init__(self) -> None:
        self._owed_seconds = self._at = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Charge the processor time of what is done meanwhile."""
        began = thread_time()
        try:
            yield
        finally:
            self.charge(thread_time() - began, now=monotonic())

    def charge(self, seconds: float, *, now: float) -> None:
        """Charge so much of the loop's time. now: in seconds, by a clock that only goes forward."""
        paid = (now - self._at) * SHARE
        self._owed_seconds, self._at = max(0.0, self._owed_seconds - paid) + seconds, now

    @property
    def wait_seconds(self) -> float:
        """How long to wait, from the last charge on, until no more than the burst is owed."""
        return max(0.0, self._owed_seconds - BURST_SECONDS) / SHARE


class LoopTimes:
    """The budgets of all holders that have connections."""

    def __init__(self) -> None:
        self._times: WeakValueDictionary[str, LoopTime] = WeakValueDictionary()

    def of(self, holder: str) -> LoopTime:
        """Return a holder's budget. It lasts as long as a connection keeps it."""
        return self._times.setdefault(holder, LoopTime())
