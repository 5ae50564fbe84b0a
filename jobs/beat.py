"""Celery beat with the schedules of `JOB_SCHEDULES`.

It writes the job's row itself, and sends nothing: a job is a row before it is a message, so Redis may be away.
"""

import logging
import signal
import sys
import time
from datetime import datetime
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry, Service
from celery.schedules import crontab
from django.conf import settings
from django.db import Error, close_old_connections
from django.utils import timezone

from jobs.queue import application
from jobs.schedules import JobSchedule, ScheduleRefused, last_due, scheduled_submit, schedules

logger = logging.getLogger(__name__)

STATE_FILE = "beat"
_RETRY_SECONDS = 5


class RowScheduler(PersistentScheduler):  # type: ignore[misc]  # not typed
    """Submits the job of each entry that is due. A time that was missed, however often, is made up for once.

    When an entry last ran is kept in a file. Without the file nothing is made up for.
    """

    # The base class connects to Redis to make one.
    producer = None

    def install_default_entries(self, data: Any) -> None:
        """Celery's own entries are for its store of results, which is not used."""

    def apply_entry(self, entry: ScheduleEntry, producer: None = None) -> None:
        """Submit the job that is due, as soon as the database can be used."""
        now = timezone.now()
        due = last_due(entry.schedule, now)
        while not _is_submitted(schedules()[entry.name], due, now):
            time.sleep(_RETRY_SECONDS)


def _is_submitted(schedule: JobSchedule, due: datetime, now: datetime) -> bool:
    """Submit a job; return False if the database cannot be used."""
    try:
        scheduled_submit(schedule=schedule, due=due, now=now)
    except Error as error:
        logger.warning("schedule %s: its job cannot be submitted yet: %s", schedule.name, error)
        return False
    finally:
        close_old_connections()
    return True


def crontab_of(schedule: JobSchedule) -> crontab:
    """Return a schedule's times. Raises `ScheduleRefused`."""
    try:
        return crontab.from_string(schedule.crontab)
    except (ValueError, TypeError, AttributeError) as error:
        raise ScheduleRefused(f"crontab is five fields, such as 30 2 * * *: {error}") from error


def beat_service() -> Service:
    """Return Celery's service with the configured schedules."""
    application.conf.beat_schedule = {
        name: {"task": schedule.kind, "schedule": crontab_of(schedule)}
        for name, schedule in schedules().items()
    }
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    return Service(
        application,
        schedule_filename=str(settings.RUN_DIR / STATE_FILE),
        scheduler_cls=RowScheduler,
        remote_control=False,
    )


def run_beat() -> None:
    """Submit scheduled jobs until SIGTERM."""
    # The service writes its file at this exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    beat_service().start()
