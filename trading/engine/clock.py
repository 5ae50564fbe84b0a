"""The engine's clocks: which instant it is for the rows of a log, and when there is no row."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from store.arrays import Integers

WALL, DATA = "wall", "data"


class EngineClock(Protocol):
    """Tells the engine's time, which never goes back.

    name: `wall` or `data`. now_ns: the time, nanoseconds UTC.
    """

    name: str
    now_ns: int

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        """Return when each row of a commit was known. newest_ns: the largest event time in its log up to each row."""
        ...

    def advance(self, known_ns: int) -> int:
        """Move on to an instant unless it is past, and return the time."""
        ...

    def idle(self) -> int:
        """Move on because there is no row, and return the time."""
        ...


class WallClock:
    """Live: a row was known when it was committed; without rows the time goes on."""

    name = WALL

    def __init__(self, now_ns: int = 0, *, clock: Callable[[], int] = time.time_ns) -> None:
        """now_ns: where it begins, if the time is not later."""
        self.now_ns = now_ns
        self._clock = clock

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return np.full(len(newest_ns), committed_ns, np.int64)

    def advance(self, known_ns: int) -> int:
        self.now_ns = max(self.now_ns, known_ns)
        return self.now_ns

    def idle(self) -> int:
        return self.advance(self._clock())


class DataClock:
    """Replays: a row was known at the largest event time of its log so far; without rows the time stands still."""

    name = DATA

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return newest_ns

    def advance(self, known_ns: int) -> int:
        self.now_ns = max(self.now_ns, known_ns)
        return self.now_ns

    def idle(self) -> int:
        return self.now_ns
