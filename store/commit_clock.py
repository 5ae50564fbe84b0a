"""Gives commits their times, which increase in each log and are never far ahead of the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from store.exceptions import LogAheadOfClock
from store.timestamps import SECOND_NS, format_timestamp

AHEAD_SECONDS = 60
"""How far the newest commit of a log may be ahead of the clock, unless a store is told otherwise."""


@dataclass(frozen=True, slots=True)
class CommitClock:
    """The clock of a store.

    now: returns nanoseconds since 1970, UTC. ahead_seconds: a log takes no write while its newest commit is further ahead of
    the clock.
    """

    now: Callable[[], int] = time.time_ns
    ahead_seconds: int = AHEAD_SECONDS

    def next_time(self, log: str, newest_ns: int) -> int:
        """Return the time of a log's next commit: now, but later than the newest commit.

        log: its name, such as `trades/AAPL`. newest_ns: the time of its newest commit; 0 if it has none. Raises
        `LogAheadOfClock`.
        """
        now_ns = self.now()
        if newest_ns - now_ns > self.ahead_seconds * SECOND_NS:
            seconds = -((now_ns - newest_ns) // SECOND_NS)
            raise LogAheadOfClock(
                f"{log}: the newest commit, of {format_timestamp(newest_ns)}, is {seconds:,} s ahead of the clock; {self.ahead_seconds:,}"
                f" s are allowed. Wait, or set the clock if it is slow. To write now, start the server with"
                f" CLOCK_AHEAD_SECONDS={seconds}, which keeps all rows, or stop it and run `manage.py store cut`, which says how"
                " many rows it deletes"
            )
        return max(now_ns, newest_ns + 1)
