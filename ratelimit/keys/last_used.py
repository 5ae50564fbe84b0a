"""When each key was last used: noted in memory, and written to the database by a thread every 30 seconds."""

import atexit
import logging
import threading
from datetime import datetime

from django.db import Error, close_old_connections
from django.db.models import Q

from ratelimit.models import ApiKey

FLUSH_SECONDS = 30.0
# At its end a process waits this long for the last write; unwritten uses may be lost.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LastUsed:
    """The latest use of each key in this process, and the latest one written to the database."""

    def __init__(self) -> None:
        self._noted: dict[int, datetime] = {}
        self._flushed: dict[int, datetime] = {}
        self._flushing = threading.Lock()

    def note(self, key_id: int, at: datetime) -> None:
        self._noted[key_id] = at

    def flush(self) -> int:
        """Write new uses, never over a later one of another process. Returns how many keys were written.

        Raises django.db.Error; the next call writes the rest.
        """
        with self._flushing:
            fresh = [(key_id, at) for key_id, at in self._noted.copy().items() if self._is_news(key_id, at)]
            for key_id, at in fresh:
                never_or_before = Q(last_used_at=None) | Q(last_used_at__lt=at)
                ApiKey.objects.filter(never_or_before, pk=key_id).update(last_used_at=at)
                self._flushed[key_id] = at
            return len(fresh)

    def _is_news(self, key_id: int, at: datetime) -> bool:
        flushed = self._flushed.get(key_id)
        return flushed is None or at > flushed


class LastUsedWriter:
    """The thread that writes uses every `seconds`, and once more at the end."""

    def __init__(self, uses: LastUsed, *, seconds: float = FLUSH_SECONDS) -> None:
        self._uses = uses
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience: float = PATIENCE_SECONDS) -> None:
        """Write the rest and end; wait at most `patience` seconds."""
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


def keep_last_uses() -> None:
    """Start the writer of this process; it ends with the process."""
    writer = LastUsedWriter(last_used)
    writer.start()
    atexit.register(writer.stop)
