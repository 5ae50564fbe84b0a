"""The time of each key's last use, collected in memory and written to the database by a thread every 30 seconds."""

import threading
from datetime import datetime

from django.db import Error
from django.db.models import Q

from ratelimit.models import ApiKey
from ratelimit.periodic_writer import PeriodicWriter

FLUSH_SECONDS = 30.0


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


last_used = LastUsed()


def start_last_used_writer() -> PeriodicWriter:
    """Start this process's writer and return it. It stops when the process exits."""
    return PeriodicWriter("The last use of keys", last_used.flush, seconds=FLUSH_SECONDS).start()
