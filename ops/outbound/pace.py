"""A limit of requests a second, of one process."""

import threading
import time


class Pace:
    """Spaces requests evenly: at most `per_second` in a second; None for no limit. Thread-safe.

    Each process has its own pace; several processes together ask as many times faster.
    """

    def __init__(self, per_second: float | None) -> None:
        if per_second is not None and per_second <= 0:
            raise ValueError("a rate is above zero")
        self._interval = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def delay(self, now: float) -> float:
        """Reserve the next request's turn, and return the seconds until it."""
        with self._lock:
            turn = max(self._next, now)
            self._next = turn + self._interval
        return turn - now

    def wait(self) -> None:
        """Sleep until the next request's turn."""
        time.sleep(self.delay(time.monotonic()))
