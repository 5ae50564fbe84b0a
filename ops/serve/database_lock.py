"""Locks of PostgreSQL for what one process of all hosts does at a time. SQLite has one server, which needs none."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error, connection

logger = logging.getLogger(__name__)

_DUTIES, _MIGRATIONS = (int.from_bytes(name) for name in (b"mdduties", b"mdmigrat"))


class DutyLock:
    """Decides which worker of all hosts runs the duties. It is for one thread, and uses the thread's connection.

    PostgreSQL keeps the lock for a session, so it is free as soon as the session of its holder has ended. A worker that
    is no candidate never takes it. is_held: as of the last `look`.
    """

    def __init__(self, *, is_candidate: bool = True) -> None:
        self._is_candidate = is_candidate
        self.is_held = False

    def look(self) -> None:
        """Take the lock if it is free, or see whether this process still has it. Call it each second."""
        if connection.vendor == "sqlite" or not self._is_candidate:
            self.is_held = self._is_candidate
            return
        was_held = self.is_held
        try:
            self.is_held = self._holds()
        except Error as error:
            self.is_held = False
            with suppress(Error):
                connection.close()
            if was_held:
                logger.warning("The lock of the duties is lost: %s", error)
        if self.is_held and not was_held:
            logger.info("This worker runs the duties")

    def _holds(self) -> bool:
        with connection.cursor() as cursor:
            # A session that has the lock takes it once more.
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_DUTIES])
            return bool(cursor.fetchone()[0])

    def release(self) -> None:
        """Leave the duties to another worker."""
        if self.is_held and connection.vendor != "sqlite":
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
        self.is_held = False


@contextmanager
def migration_lock() -> Iterator[None]:
    """Let one host migrate at a time; the others wait. Raises django.db.Error."""
    if connection.vendor == "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATIONS])
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATIONS])
