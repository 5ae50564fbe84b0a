"""The watchdog: web processes prove that they can answer; the supervisor counts the seconds without a proof.

A proof is a byte in the process's own pipe. A request to the shared port would not show which process answered.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

from marketdata_project.front.lanes import Lane

BEAT_SECONDS = 0.5
# One call of `look` adds at most this many seconds of silence. The supervisor calls it every second. If more time has
# passed, the supervisor itself did not run, and its children may not have run either.
LONGEST_LOOK_SECONDS = 2.0
# Processor seconds that count as progress: more than waiting threads use, less than computing threads get in 10 s.
PROGRESS_SECONDS = 0.05
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


class Pulse:
    """The web process's end of the pipe. Sends proofs while the event loop runs and the threads for reads progress.

    The threads progress if they finished the last probe or another task, or if they compute. Otherwise all of them
    hang.
    """

    def __init__(self, sender: int, lane: Lane) -> None:
        self._sender = sender
        self._lane = lane
        self._probe: asyncio.Future[None] | None = None
        self._finished = 0
        self._processor_seconds = 0.0

    async def run(self) -> None:
        """Beat until the task is cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def beat(self) -> None:
        """Send a proof if there was progress. The first call always sends one. Call it in the event loop."""
        if self._progresses():
            self._finished, self._processor_seconds = self._lane.finished, self._lane.processor_seconds()
            # Errors do not matter: a full pipe holds enough proofs, and without a supervisor nobody reads them.
            with suppress(OSError):
                os.write(self._sender, b".")
        if self._probe is None or self._probe.done():
            self._probe = self._lane.run(_nothing)

    def _progresses(self) -> bool:
        return (
            self._probe is None
            or self._probe.done()
            or self._lane.finished > self._finished
            or self._lane.processor_seconds() >= self._processor_seconds + PROGRESS_SECONDS
        )


def _nothing() -> None:
    """Do nothing: the probe."""
