"""A thread that writes to the database, from time to time, what a process collected in memory."""

import atexit
import logging
import threading
from collections.abc import Callable

from django.db import Error, close_old_connections

# How long an ending process waits for the last write. What is not written by then may be lost.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class PeriodicWriter:
    """A thread that calls `flush` every `seconds`, and once more when it is stopped.

    If `flush` raises a django.db.Error, it must keep what it did not write: the next round tries again.
    """

    def __init__(self, name: str, flush: Callable[[], object], *, seconds: float) -> None:
        self._name = name
        self._flush = flush
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> "PeriodicWriter":
        """Start the thread, and return this. It also stops when the process exits."""
        self._thread.start()
        atexit.register(self.stop)
        return self

    def stop(self, *, patience: float = PATIENCE_SECONDS) -> None:
        """Make the thread write the rest and end. Waits at most `patience` seconds."""
        self._ending.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._write()
        self._write()

    def _write(self) -> None:
        try:
            self._flush()
        except Error:
            logger.exception("%s could not be written; the next round tries again", self._name)
        finally:
            close_old_connections()
