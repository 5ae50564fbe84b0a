"""Locks of PostgreSQL for what one process or transaction of all hosts does at a time. SQLite needs none: it has one server."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.db import Error, connection

logger = logging.getLogger(__name__)

TRUST_SECONDS = 3.0
"""Less than PostgreSQL takes to end the session of a host that is gone (`tcp_keepalives_…` in the settings)."""

_MIGRATIONS = int.from_bytes(b"mdmigrat")


class DutyLock:
    """Decides which process of all hosts does a work. It is for one thread, and uses the thread's connection.

    PostgreSQL keeps the lock for a session, so it is free as soon as the session of its holder has ended. A process that
    is no candidate never takes it. work: a name of at most six letters.
    """

    def __init__(self, *, is_candidate: bool = True, work: str = "duties") -> None:
        self._is_candidate, self._work = is_candidate, work
        self._number = int.from_bytes(f"md{work}".encode())
        self._held_until = -math.inf

    @property
    def is_held(self) -> bool:
        """Whether this process had the lock less than `TRUST_SECONDS` ago, when a `look` began that was answered."""
        return time.monotonic() < self._held_until

    def look(self) -> None:
        """Take the lock if it is free, or see whether this process still has it. Call it each second."""
        was_held, began = self.is_held, time.monotonic()
        is_alone = connection.vendor == "sqlite"
        try:
            holds = self._is_candidate and (is_alone or self._holds())
        except Error as error:
            holds = False
            with suppress(Error):
                connection.close()
            if was_held:
                logger.warning("The lock of the %s is lost: %s", self._work, error)
        self._held_until = began + TRUST_SECONDS if holds else -math.inf
        if holds and not was_held and not is_alone:
            logger.info("This process runs the %s", self._work)

    def _holds(self) -> bool:
        with connection.cursor() as cursor:
            # A session that has the lock takes it once more.
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [self._number])
            return bool(cursor.fetchone()[0])


def lock_until_commit(work: str) -> None:
    """Let one transaction of all hosts do a work at a time. SQLite's transactions, which begin with a lock, need none.

    A process that is stopped in the midst of it loses its session after five seconds. work: as of `DutyLock`.
    """
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(f"md{work}".encode())])


@contextmanager
def migration_lock(say: Callable[[str], None]) -> Iterator[None]:
    """Let one host migrate at a time; the others say that they wait, ten minutes at most. Raises django.db.Error."""
    if connection.vendor == "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_MIGRATIONS])
        if not cursor.fetchone()[0]:
            say("Database: waiting for the migrations of another host")
            cursor.execute("SET lock_timeout = '10min'")
            cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATIONS])
            cursor.execute("RESET lock_timeout")
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATIONS])
