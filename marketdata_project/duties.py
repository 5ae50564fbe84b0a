"""The worker's duties (services that run periodically). Each has a thread, so that a slow duty delays no other."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread

from django.db import OperationalError, close_old_connections, connections
from django.utils import timezone

from audit.chain.prune import records_delete_old
from audit.services import head_log, spool_collect
from jobs.backfills.services import exhausted_retry
from jobs.exports.services import exports_delete_old
from jobs.schedules import schedules_submit
from jobs.services import confirmations_expire, jobs_delete_old
from jobs.uploads.services import uploads_delete_old
from ops.serve import memory
from ops.serve.database_lock import DutyLock
from ops.serve.status import counted_duty, publish_fold_lag
from ratelimit.credentials.browser_login import sessions_delete_expired
from ratelimit.credentials.logins import known_addresses_delete_old
from ratelimit.credentials.signed_requests import nonces_delete_expired
from ratelimit.keys.expiry import keys_watch
from ratelimit.limits.quotas import quota_usage_delete_old
from sources.feed_events import feeds_watch
from sources.retention import rows_expire
from trades.stores import derived_keeper
from web.idempotency.answers import answers_delete_old
from webhooks.alerts import alerts_watch
from webhooks.sending import deliveries_send
from webhooks.services import events_delete_old

logger = logging.getLogger(__name__)

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Duty:
    """A service that takes `now`. period, after_error: seconds until its next run after a success or an error.

    of_each_host: it serves its own host, so each host runs it. Of many hosts one runs the other duties.
    """

    service: Callable[..., object]
    period: float
    after_error: float = MINUTE
    of_each_host: bool = False


def memory_release(*, now: datetime) -> None:
    """Return unused memory to the system."""
    memory.memory_release()


DUTIES: tuple[Duty, ...] = (
    Duty(spool_collect, period=SECOND, after_error=SECOND, of_each_host=True),
    Duty(memory_release, period=memory.RELEASE_SECONDS, of_each_host=True),
    Duty(nonces_delete_expired, period=SECOND, after_error=SECOND),
    Duty(keys_watch, period=HOUR),
    Duty(answers_delete_old, period=HOUR),
    Duty(quota_usage_delete_old, period=HOUR),
    Duty(records_delete_old, period=HOUR),
    Duty(head_log, period=HOUR),
    Duty(schedules_submit, period=SECOND, after_error=5.0),
    Duty(jobs_delete_old, period=HOUR),
    Duty(confirmations_expire, period=MINUTE),
    Duty(deliveries_send, period=0.25, after_error=SECOND),
    Duty(events_delete_old, period=5 * MINUTE),
    Duty(alerts_watch, period=0.5, after_error=SECOND),
    Duty(feeds_watch, period=5.0, after_error=5.0),
    Duty(exports_delete_old, period=HOUR),
    Duty(uploads_delete_old, period=MINUTE),
    Duty(exhausted_retry, period=MINUTE),
    Duty(sessions_delete_expired, period=HOUR),
    Duty(known_addresses_delete_old, period=HOUR),
    Duty(rows_expire, period=HOUR),
)


def store_duties() -> tuple[Duty, ...]:
    """Return the duty that updates the market store's derived files; empty for a store without such files."""
    keeper = derived_keeper()
    if keeper is None:
        return ()
    publish_fold_lag(keeper)

    def derived_keep(*, now: datetime) -> None:
        keeper.round(seconds=SECOND)

    return (Duty(derived_keep, period=SECOND, after_error=SECOND, of_each_host=True),)


class DutyThreads:
    """A thread for each duty, which runs it at once and then periodically.

    The thread has a database connection while the duty runs. A duty that is not of each host waits until this process has `lock`.
    """

    def __init__(self, duties: Iterable[Duty], lock: DutyLock) -> None:
        self._ending = Event()
        self._lock = lock
        self._threads = [
            Thread(target=self._repeat, args=(duty,), name=duty.service.__name__, daemon=True)
            for duty in duties
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, *, patience: float) -> None:
        """Start no more duties, and wait up to `patience` seconds in all for the running ones.

        A duty that takes longer ends with the process. Nothing is lost: its transaction is rolled back, and an
        unfinished derived file is ignored.
        """
        self._ending.set()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _repeat(self, duty: Duty) -> None:
        while not self._ending.is_set():
            if duty.of_each_host or self._lock.is_held:
                self._ending.wait(duty.period if duty_try(duty) else duty.after_error)
            else:
                self._ending.wait(SECOND)
        connections.close_all()


def duty_try(duty: Duty) -> bool:
    """Run a duty once and return whether it succeeded. Logs an error: in one line if the database is busy or away."""
    try:
        try:
            with counted_duty(duty.service.__name__):
                duty.service(now=timezone.now())
        finally:
            close_old_connections()
    except OperationalError as error:
        logger.warning("The worker's duty %s failed: %s; it is tried again", duty.service.__name__, error)
        return False
    except Exception:
        logger.exception("The worker's duty %s failed; it is tried again", duty.service.__name__)
        return False
    return True
