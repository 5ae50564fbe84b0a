"""The engine's clocks: when a row of a log was known, and what time it is."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from store.arrays import Integers
from trading.core.events import DATA, WALL


class EngineClock(ABC):
    """The engine's time, which never goes back. now_ns: nanoseconds UTC.

    turn_ns: after a part of long work for one account the others have their turn for so long; 0 in replays, where
    nobody waits. pause_seconds: an engine that has taken all that is due looks again after so long.
    """

    name: ClassVar[str]
    turn_ns: ClassVar[int] = 0
    pause_seconds: ClassVar[float] = 0.02

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    @abstractmethod
    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        """Return when each row of a commit was known. newest_ns: the largest event time in its log up to each row."""

    @abstractmethod
    def idle(self) -> int:
        """Return the time when there is no row."""

    def lead(self) -> None:  # noqa: B027 most clocks have nothing to note
        """Note that the engine leads from now on."""

    def is_due(self, known_ns: int) -> bool:
        """Return whether a row that was known then may be taken now. One that may not is asked for again."""
        return True

    def late_ns(self, at_ns: int) -> int:
        """Return how long ago an instant is for those who wait for the engine: 0 in replays."""
        return 0

    def advance(self, known_ns: int) -> int:
        """Move on to an instant unless it is past, and return the time."""
        self.now_ns = max(self.now_ns, known_ns)
        return self.now_ns


class WallClock(EngineClock):
    """Live: a row was known when it was committed; without rows the time goes on."""

    name = WALL
    turn_ns = 20_000_000

    def __init__(self, now_ns: int = 0, *, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(now_ns)
        self._clock = clock

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return np.full(len(newest_ns), committed_ns, np.int64)

    def idle(self) -> int:
        return self.advance(self._clock())

    def late_ns(self, at_ns: int) -> int:
        return max(self._clock() - at_ns, 0)


class DataClock(EngineClock):
    """Replays: a row was known at the largest event time of its log so far; without rows the time stands still."""

    name = DATA

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return newest_ns

    def idle(self) -> int:
        return self.now_ns


class PacedClock(DataClock):
    """A data clock that passes at most `speed` times as fast as the wall clock from `lead` on.

    It moves by rows only, so the same follows from them at any speed. speed: finite and positive. clock: monotonic
    nanoseconds.
    """

    # Rows that wait are read again at each look: 20 ms in the middle of a large commit.
    pause_seconds = 0.2

    def __init__(
        self, now_ns: int = 0, *, speed: float, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(now_ns)
        self._speed, self._clock = speed, clock
        self._led_ns, self._began_ns = clock(), now_ns

    def lead(self) -> None:
        self._led_ns, self._began_ns = self._clock(), self.now_ns

    def is_due(self, known_ns: int) -> bool:
        return known_ns - self._began_ns <= (self._clock() - self._led_ns) * self._speed


class CommitClock(EngineClock):
    """Replays of what a wall clock saw: a row was known when it was committed; without rows the time stands still."""

    name = WALL

    def known_ns(self, committed_ns: int, newest_ns: Integers) -> Integers:
        return np.full(len(newest_ns), committed_ns, np.int64)

    def idle(self) -> int:
        return self.now_ns
