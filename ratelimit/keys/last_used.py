"""The time of each key's last use, collected in memory and written to the database by a thread every 30 seconds."""

import atexit
import logging
import threading
from datetime import datetime

from django.db import Error, close_old_connections
from django.db.models import Q

from ratelimit.models import ApiKey

FLUSH_SECONDS = 30.0
# How long an ending process waits for the last write. Uses that are not written by then may be lost.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LastUsed:
    """The time of each key's latest use in this process, until it is written to the database. Thread-safe."""

    def __init__(self) -> None:
        self._unwritten: dict[int, datetime] = {}
        self._flushing = threading.Lock()

    def note(self, key_id: int, used_at: datetime) -> None:
        self._unwritten[key_id] = used_at

    def flush(self) -> int:
        """Write new uses to the database. A later use, written by another process, is never replaced.

        Returns the number of keys. Raises django.db.Error; then the next call writes the remaining uses.
        """
        with self._flushing:
            key_ids = list(self._unwritten)
            for key_id in key_ids:
                used_at = self._unwritten.pop(key_id)
                never_or_before = Q(last_used_at=None) | Q(last_used_at__lt=used_at)
                try:
                    ApiKey.objects.filter(never_or_before, pk=key_id).update(last_used_at=used_at)
                except Error:
                    self._unwritten.setdefault(key_id, used_at)
                    raise
            return len(key_ids)


class LastUsedWriter:
    """A thread that writes uses every `seconds`, and once more when it is stopped."""

    def __init__(self, uses: LastUsed, *, seconds: float = FLUSH_SECONDS) -> None:
        self._uses = uses
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience: float = PATIENCE_SECONDS) -> None:
        """Make the thread write the remaining uses and end. Waits at most `patience` seconds."""
        self._ending.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._write()
        self._write()

    def _write(self) -> None:
        try:
            self._uses.flush()
        except Error:
            logger.exception("The last use of keys could not be written; the next round tries again")
        finally:
            close_old_connections()


last_used = LastUsed()


def start_last_used_writer() -> LastUsedWriter:
    """Start this process's writer and return it. It stops when the process exits."""
    writer = LastUsedWriter(last_used)
    writer.start()
    atexit.register(writer.stop)
    return writer
