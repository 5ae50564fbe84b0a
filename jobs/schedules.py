"""Jobs that are submitted at set times: the setting `JOB_SCHEDULES`."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from jobs.kinds import JOB_KINDS
from jobs.models import ScheduledTime
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
# CronSim takes a sixth field, seconds.
_CRONTAB_FIELDS = 5
_CRONTAB_FORM = "crontab is five fields, such as 30 2 * * *"


class ScheduleRefused(ValueError):
    """A schedule of the setting is wrong. Correct it."""


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """A kind of jobs, when to submit one, and its parameters as they are configured."""

    name: str
    kind: str
    crontab: str
    parameters: JsonObject

    def last_due(self, now: datetime) -> datetime:
        """Return the last of the schedule's times up to `now`. Raises `ScheduleRefused` if there are none."""
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 only installations with schedules need it

        try:
            # With a microsecond, the search backwards begins with the second of `now`.
            times = CronSim(self.crontab, now.astimezone(UTC).replace(microsecond=1), reverse=True)
            due = next(times)
        except (CronSimError, AttributeError, StopIteration) as error:
            raise ScheduleRefused(f"{_CRONTAB_FORM}: {error}") from error
        if len(self.crontab.split()) != _CRONTAB_FIELDS:
            raise ScheduleRefused(f"{_CRONTAB_FORM}, not {self.crontab!r}")
        return due

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
        schedule.parameters_at(schedule.last_due(datetime(2025, 1, 2, tzinfo=UTC)))
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


def schedules_submit(*, now: datetime) -> None:
    """Submit the jobs that are due. A time that was missed, however often, is made up for once.

    A new schedule makes up for nothing. Raises `ScheduleRefused` for wrong schedules, after it has submitted the others.
    """
    known = dict(ScheduledTime.objects.values_list("name", "due"))
    if removed := known.keys() - settings.JOB_SCHEDULES.keys():
        ScheduledTime.objects.filter(name__in=removed).delete()
    refused = []
    for name, declared in settings.JOB_SCHEDULES.items():
        try:
            _submit_if_due(JobSchedule.of(name, declared), known.get(name), now)
        except ScheduleRefused as error:
            refused.append(f"{name}: {error}")
    if refused:
        raise ScheduleRefused("; ".join(refused))


def _submit_if_due(schedule: JobSchedule, known: datetime | None, now: datetime) -> None:
    """Submit a schedule's job if it is due. known: the time of its last job; None for a new schedule, which is recorded only."""
    due = schedule.last_due(now)
    if known is None:
        ScheduledTime.objects.create(name=schedule.name, due=due)
    elif known < due:
        with transaction.atomic():
            if ScheduledTime.objects.filter(name=schedule.name, due__lt=due).update(due=due):
                logger.info("schedule %s: a job is due since %s", schedule.name, due.isoformat())
                job_submit(
                    kind=schedule.kind,
                    parameters=schedule.parameters_at(due),
                    owner=OWNER,
                    created_by=f"{SCHEDULED}{schedule.name}",
                    now=now,
                )
