"""The watchdog: web processes prove that they can answer; the supervisor counts the seconds without a proof.

A proof is a byte in the process's own pipe. A request to the shared port would not show which process answered.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

# One call of `look` adds at most this many seconds of silence. The supervisor calls it every second. If more time has
# passed, the supervisor itself did not run, and its children may not have run either.
LONGEST_LOOK_SECONDS = 2.0
_PIPE_BYTES = 65_536


class Watchdog:
    """The supervisor's end of one web process's pipe. `clock` is monotonic, in seconds.

    Seconds without a proof count only after the first proof. Until then the process is starting.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._receiver, self.sender = os.pipe()
        os.set_blocking(self._receiver, False)
        os.set_blocking(self.sender, False)
        self.reset()

    def reset(self) -> None:
        """Start again for a new process."""
        self._has_proof()
        self._has_started = False
        self._silence = 0.0
        self._looked_at = self._clock()

    @property
    def has_started(self) -> bool:
        """Whether there was a proof, as of the last `look`."""
        return self._has_started

    def look(self) -> float:
        """Return the seconds without a proof. Each call adds at most LONGEST_LOOK_SECONDS."""
        now = self._clock()
        elapsed, self._looked_at = min(now - self._looked_at, LONGEST_LOOK_SECONDS), now
        if self._has_proof():
            self._has_started, self._silence = True, 0.0
        elif self._has_started:
            self._silence += elapsed
        return self._silence

    def close(self) -> None:
        """Close both ends of the pipe."""
        os.close(self._receiver)
        os.close(self.sender)

    def _has_proof(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._receiver, _PIPE_BYTES))
        return False
