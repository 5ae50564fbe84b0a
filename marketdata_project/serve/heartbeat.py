"""The worker's sign of life, a file that is touched."""

import logging
from pathlib import Path

STALE_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Heartbeat:
    """The sign of life of the worker of one installation, in its `run` folder."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "worker.heartbeat"

    def beat(self) -> None:
        """Say that the worker lives; a full disk does not end the worker."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            logger.warning("No sign of life could be left: %s", error)

    def stop(self) -> None:
        """Say that the worker ended."""
        self._path.unlink(missing_ok=True)

    def age(self, *, now: float) -> float | None:
        """Seconds since the last sign (epoch seconds `now`), negative if the clock went back.

        None if there is none.
        """
        try:
            return now - self._path.stat().st_mtime
        except FileNotFoundError:
            return None
