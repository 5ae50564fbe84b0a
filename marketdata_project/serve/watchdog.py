"""The watchdog: web processes prove to the supervisor that they can answer, and it counts the seconds in which one does not.

A proof is a byte in a pipe, because a request to the port that all of them share says nothing of one of them.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

from marketdata_project.front.lanes import Lane

BEAT_SECONDS = 0.5
# The supervisor looks each second. Of a longer pause it was suspended or starved, as its children may have been.
LONGEST_LOOK_SECONDS = 2.0
# More than threads take that only wait, less than those that compute get in ten seconds on any machine.
WORKED_SECONDS = 0.05
_PIPE_BYTES = 65_536


class Watchdog:
    """The supervisor's end of the pipe of one web process.

    `clock` is monotonic, in seconds. A process that has not proved anything yet is still starting: its silence
    is not counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._receiver, self.sender = os.pipe()
        for end in (self._receiver, self.sender):
            os.set_blocking(end, False)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: another process starts."""
        self._heard()
        self._has_started = False
        self._silence = 0.0
        self._looked_at = self._clock()

    def look(self) -> float:
        """Return the seconds of silence, as far as the supervisor itself was running."""
        now = self._clock()
        elapsed, self._looked_at = min(now - self._looked_at, LONGEST_LOOK_SECONDS), now
        if self._heard():
            self._has_started, self._silence = True, 0.0
        elif self._has_started:
            self._silence += elapsed
        return self._silence

    def close(self) -> None:
        """Give both ends back."""
        os.close(self._receiver)
        os.close(self.sender)

    def _heard(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._receiver, _PIPE_BYTES))
        return False


class Pulse:
    """A web process's end: proves twice a second that its event loop turns and its lane of reads gets on.

    The lane gets on when it does a job that was given since, when it finishes another one before it, or while
    its threads compute. Without any of these all of its threads wait for something that does not come.
    """

    def __init__(self, sender: int, lane: Lane) -> None:
        self._sender = sender
        self._lane = lane
        self._probe: asyncio.Future[None] | None = None
        self._finished = 0
        self._worked = 0.0

    async def run(self) -> None:
        """Beat until the task is cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def beat(self) -> None:
        """Send a proof if there is one, as the first beat is; called in the event loop."""
        if self._gets_on():
            self._finished, self._worked = self._lane.finished, self._lane.processor_seconds()
            # A full pipe holds proofs enough; without a supervisor nobody reads it.
            with suppress(OSError):
                os.write(self._sender, b".")
        if self._probe is None or self._probe.done():
            self._probe = self._lane.run(_nothing)

    def _gets_on(self) -> bool:
        return (
            self._probe is None
            or self._probe.done()
            or self._lane.finished > self._finished
            or self._lane.processor_seconds() >= self._worked + WORKED_SECONDS
        )


def _nothing() -> None:
    """Do nothing, in a thread of the lane."""
