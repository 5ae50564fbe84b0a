"""The proofs of life of a web process, for the supervisor's watchdog (`ops/serve/watchdog.py`)."""

import asyncio
import os
from contextlib import suppress

from front.lanes import Lane

BEAT_SECONDS = 0.5
# Processor seconds that count as progress: more than waiting threads use, less than computing threads get in 10 s.
PROGRESS_SECONDS = 0.05


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
