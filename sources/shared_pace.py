"""The pace of a source: one for all processes of the machine, so that together they do not exceed its rate."""

import fcntl
import os
import time
from pathlib import Path

from django.conf import settings

from sources.protocol import SourceFailed

_LONGEST_SLEEP = 10.0


class SharedPace:
    """Says when the next request of a source may be sent. The instant is in a file that is locked while it changes.

    The clock is the machine's, because processes share it. The instant of a file that was written in the future does not
    count: the clock was set back.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = Path(settings.RUN_DIR) / "sources" / f"{name}.pace"

    def wait(self, seconds: float) -> None:
        """Wait for one's turn. The next one's turn is `seconds` later.

        Raises `SourceFailed` if that takes long, because the source asked all callers to wait.
        """
        now = time.time()
        mine = self._turn(now, seconds)
        if mine - now > _LONGEST_SLEEP:
            raise SourceFailed(
                f"{self._name} is not asked for {mine - now:.0f} s more, as it wished", mine - now
            )
        time.sleep(max(0.0, mine - now))

    def hold(self, seconds: float) -> None:
        """Let nobody ask the source for some seconds."""
        self._turn(time.time() + seconds, 0.0)

    def _turn(self, earliest: float, seconds: float) -> float:
        """Return the instant of the next turn, and move it on, unless it is too far ahead to be taken."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            stored = float(file.read() or 0)
            is_of_the_past = os.fstat(file.fileno()).st_mtime <= time.time() + 1
            mine = max(earliest, stored if is_of_the_past else 0.0)
            if not seconds or mine - time.time() <= _LONGEST_SLEEP:
                file.truncate(0)
                file.write(f"{mine + seconds:.6f}")
        return mine
