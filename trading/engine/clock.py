"""The engine's clocks: when a row of a log was known, and what time it is."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from store.arrays import Integers
from store.rows.knowledge import LIVE_NS
from store.timestamps import DAY_NS


class EngineClock(ABC):
    """The engine's time, which never goes back. now_ns: nanoseconds UTC.

    bars_late_ns: a day order waits for its bar for as long as the bar is, and at most so long.
    """

    bars_late_ns: ClassVar[int]

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    @abstractmethod
    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        """Return when each row of a commit was known. newest_ns: the largest event time in its log up to each row."""

    @abstractmethod
    def idle(self) -> int:
        """Return the time when there is no row. Who passes time up to it moves the clock."""

    def advance(self, known_ns: int) -> int:
        """Move on to an instant unless it is past, and return the time."""
        self.now_ns = max(self.now_ns, known_ns)
        return self.now_ns


class WallClock(EngineClock):
    """Live: a row was known when it was committed; without rows the time goes on."""

    bars_late_ns = DAY_NS

    def __init__(self, now_ns: int = 0, *, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(now_ns)
        self._clock = clock

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return np.full(len(newest_ns), committed_ns, np.int64)

    def idle(self) -> int:
        return max(self.now_ns, self._clock())


class DataClock(EngineClock):
    """Backtests: a row was known at the largest event time of its log so far; without rows the time stands still."""

    # A row that was stored later counts as known at its time.
    bars_late_ns = LIVE_NS

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return newest_ns

    def idle(self) -> int:
        return self.now_ns
