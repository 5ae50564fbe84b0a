"""When each key was last used.

That is noted in the process's memory, and brought to the database now and then by a thread.
"""

import atexit
import logging
import threading
from datetime import datetime

from django.db import Error, close_old_connections
from django.db.models import Q

from ratelimit.models import ApiKey

FLUSH_SECONDS = 30.0
# How long the last uses, which may be lost, may hold up the end of a process.
PATIENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LastUsed:
    """The latest use of each key in this process, and what of it the database knows."""

    def __init__(self) -> None:
        self._noted: dict[int, datetime] = {}
        self._flushed: dict[int, datetime] = {}
        self._flushing = threading.Lock()

    def note(self, key_id: int, at: datetime) -> None:
        self._noted[key_id] = at

    def flush(self) -> int:
        """How many keys were brought up to date; a later use that another process noted is left as it is.

        Raises django.db.Error; what was not written is at the next call.
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
    """The thread of a serving process that writes the uses down.

    It does so at most every `seconds`, and once more at the end.
    """

    def __init__(self, uses: LastUsed, *, seconds: float = FLUSH_SECONDS) -> None:
        self._uses = uses
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience: float = PATIENCE_SECONDS) -> None:
        """Write what is left, for at most `patience` seconds."""
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
    """Write down the uses of keys in this process from now on to its end."""
    writer = LastUsedWriter(last_used)
    writer.start()
    atexit.register(writer.stop)
