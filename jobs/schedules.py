"""Jobs that are submitted at set times: the setting `JOB_SCHEDULES`."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

from django.conf import settings

from jobs.kinds import JOB_KINDS
from jobs.models import Job
from jobs.services import job_submit
from web.requests.field_errors import field_errors
from web.requests.json_fields import JsonObject

logger = logging.getLogger(__name__)

OWNER = "service"
# Begins `created_by` of a scheduled job.
SCHEDULED = "schedule:"
# Instead of `start` and `end`: so many UTC dates, the last one being the day before.
LAST_DAYS = "last_days"
_MEMBERS = {"kind", "crontab", "parameters"}
_LONGEST_DAYS = 366


class ScheduleRefused(ValueError):
    """A schedule of the setting is wrong. Correct it."""


class Crontab(Protocol):
    """The times of a crontab line, UTC: Celery's `crontab` is one. day_of_week: 0 is Sunday."""

    minute: Collection[int]
    hour: Collection[int]
    day_of_week: Collection[int]
    day_of_month: Collection[int]
    month_of_year: Collection[int]


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """A kind of jobs, when to submit one, and its parameters as they are configured."""

    name: str
    kind: str
    crontab: str
    parameters: JsonObject

    @classmethod
    def of(cls, name: str, declared: Any) -> "JobSchedule":
        """Return a schedule of the setting. Raises `ScheduleRefused`."""
        if (
            not isinstance(declared, dict)
            or not _MEMBERS.issuperset(declared)
            or not {"kind", "crontab"} <= {*declared}
        ):
            raise ScheduleRefused("it has kind, crontab, and perhaps parameters")
        schedule = cls(name, declared["kind"], declared["crontab"], declared.get("parameters", {}))
        kinds = [name for name, kind in JOB_KINDS.get().items() if kind.is_schedulable]
        if schedule.kind not in kinds:
            raise ScheduleRefused(
                f"there is no kind {schedule.kind!r} that can be scheduled; there are {', '.join(kinds)}"
            )
        schedule.parameters_at(datetime(2025, 1, 2, tzinfo=UTC))
        return schedule

    def parameters_at(self, due: datetime) -> JsonObject:
        """Return the parameters of the job that is due at an instant. Raises `ScheduleRefused` if they are wrong."""
        given = dict(self.parameters)
        if LAST_DAYS in given:
            days = given.pop(LAST_DAYS)
            if not isinstance(days, int) or not 1 <= days <= _LONGEST_DAYS:
                raise ScheduleRefused(f"{LAST_DAYS} is a whole number from 1 to {_LONGEST_DAYS}")
            end = due.date()
            given |= {"start": (end - timedelta(days=days)).isoformat(), "end": end.isoformat()}
        serializer = JOB_KINDS.get()[self.kind].serializer(data=given)
        if not serializer.is_valid():
            raise ScheduleRefused(
                "; ".join(f"{each.path} {each.message}" for each in field_errors(serializer.errors))
            )
        return dict(serializer.validated_data)


def schedules() -> dict[str, JobSchedule]:
    """Return the configured schedules by name. Raises `ScheduleRefused`."""
    return {name: JobSchedule.of(name, declared) for name, declared in settings.JOB_SCHEDULES.items()}


def last_due(crontab: Crontab, now: datetime) -> datetime:
    """Return the last instant of a crontab, which has one, up to `now`."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = (today - timedelta(days=days) for days in count())
    times = (
        date.replace(hour=hour, minute=minute)
        for date in dates
        if date.month in crontab.month_of_year
        and date.day in crontab.day_of_month
        and date.isoweekday() % 7 in crontab.day_of_week
        for hour in sorted(crontab.hour, reverse=True)
        for minute in sorted(crontab.minute, reverse=True)
    )
    return next(time for time in times if time <= now)


def scheduled_submit(*, schedule: JobSchedule, due: datetime, now: datetime) -> Job | None:
    """Queue the job that is due, once however many processes ask; return None if there is one."""
    once_key = f"{SCHEDULED}{schedule.name}:{due.isoformat()}"
    if Job.objects.filter(once_key=once_key).exists():
        return None
    logger.info("schedule %s: a job is due since %s", schedule.name, due.isoformat())
    return job_submit(
        kind=schedule.kind,
        parameters=schedule.parameters_at(due),
        owner=OWNER,
        created_by=f"{SCHEDULED}{schedule.name}",
        now=now,
        once_key=once_key,
    )
