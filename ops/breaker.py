"""A circuit breaker: while another program is away, calls of it are refused at once instead of made in vain.

Redis and every destination of outbound calls have one each.
"""

import threading
import time
from collections.abc import Callable


class Breaker:
    """A circuit breaker. Thread-safe.

    `failures` failed calls in a row open it. For `pause` seconds all calls are then refused with the error that
    `refusal` returns. Afterwards one caller, the probe, may call while the others are still refused. An answer closes
    the breaker; a failure of the probe starts the next pause. If the probe reports nothing within a pause, the next
    caller becomes the probe. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        pause: float,
        refusal: Callable[[], Exception],
        failures: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._refusal = refusal
        self._failures = failures
        self._clock = clock
        self._lock = threading.Lock()
        self._is_open = False
        self._failed_in_a_row = 0
        self._next_probe_at = 0.0
        self._probe: int | None = None

    @property
    def is_open(self) -> bool:
        return self._is_open

    def check(self, caller: object) -> bool:
        """Return whether the caller has just become the probe. Raises the refusal if it may not call."""
        if not self._is_open:
            return False
        with self._lock:
            if not self._is_open or self._probe == id(caller):
                return False
            now = self._clock()
            if now >= self._next_probe_at:
                self._probe = id(caller)
                self._next_probe_at = now + self._pause
                return True
        raise self._refusal()

    def failed(self, caller: object) -> None:
        """Report that the caller got no answer. While the breaker is open, only the probe's failures count."""
        with self._lock:
            if self._is_open and self._probe not in (None, id(caller)):
                return
            self._failed_in_a_row += 1
            if self._failed_in_a_row < self._failures:
                return
            self._is_open = True
            self._probe = None
            self._next_probe_at = self._clock() + self._pause

    def lost(self, caller: object) -> None:
        """Report that the caller's connection was closed. Ignored unless it is the probe."""
        if self._is_open and self._probe == id(caller):
            self.failed(caller)

    def succeeded(self) -> None:
        """Report an answer."""
        if self._failed_in_a_row:
            self.close()

    def close(self) -> None:
        """Close the breaker."""
        with self._lock:
            self._is_open = False
            self._failed_in_a_row = 0
            self._probe = None
