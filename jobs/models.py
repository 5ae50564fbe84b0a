"""The table of jobs."""

from datetime import datetime, timedelta
from uuid import uuid4

from django.db import models

QUEUED, RUNNING, NEEDS_CONFIRMATION = "queued", "running", "needs_confirmation"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (QUEUED, RUNNING, NEEDS_CONFIRMATION, SUCCEEDED, FAILED, CANCELLED)
# The states of jobs that go on by themselves, and of all that have not ended.
ACTIVE = (QUEUED, RUNNING)
UNFINISHED = (*ACTIVE, NEEDS_CONFIRMATION)
# A job that needs confirmation waits so long for it.
CONFIRM_WITHIN = timedelta(days=1)
# The urgency of a job whose end somebody awaits.
AWAITED = 1


class Job(models.Model):
    """A job.

    `uuid` is the id that clients see. It names the job's writes to the store, so it must not repeat even if the
    database is made anew. `owner` is the `Caller.identity` that may see the job, `created_by` who submitted it.
    `once_key`: among unfinished jobs it is unique; "" for none. `turn`: of the jobs with
    the same turn one runs at a time; "" for none. Of an owner's jobs those of greater `urgency` start first.

    While a job runs, its worker holds a lease: `lease` is the lease's random name, and `leased_until` its end.
    `note` is what the function left to resume from. `claimed_at` is when a worker took the job last. A job starts at
    `not_before` or later. `attempts` counts the starts that were not ended by an orderly stop of the worker or by a
    question. `callback_url` is told when the job needs confirmation and when it has ended; "" for none.

    `asked_at` is when the job's function asked for confirmation, `preview` what it showed, and `confirmed_at` when
    somebody confirmed it. Each is null until then.
    """

    uuid = models.UUIDField(unique=True, default=uuid4, editable=False)
    kind = models.CharField(max_length=40)
    state = models.CharField(max_length=20, choices=[(state, state) for state in STATES], default=QUEUED)
    owner = models.CharField(max_length=100)
    created_by = models.CharField(max_length=100)
    correlation_id = models.CharField(max_length=128, default="")
    callback_url = models.TextField(default="")
    parameters = models.JSONField(default=dict)
    once_key = models.CharField(max_length=200, default="")
    turn = models.CharField(max_length=200, default="")
    urgency = models.SmallIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    note = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    error = models.JSONField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    preview = models.JSONField(null=True)
    asked_at = models.DateTimeField(null=True, db_index=True)
    confirmed_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["owner", "id"], name="job_owner"),
            models.Index(
                fields=["kind", "state"], condition=models.Q(state__in=ACTIVE), name="job_unfinished"
            ),
            # Whose turn it is.
            models.Index(fields=["kind", "owner", "claimed_at"], name="job_claimed"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["turn"], condition=models.Q(state=RUNNING) & ~models.Q(turn=""), name="job_turn_once"
            ),
            models.UniqueConstraint(
                fields=["once_key"],
                condition=models.Q(state__in=UNFINISHED) & ~models.Q(once_key=""),
                name="job_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uuid}"

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended, in whatever way."""
        return self.state not in UNFINISHED

    @property
    def is_active(self) -> bool:
        """Whether the job goes on by itself: it has not ended, and needs no confirmation."""
        return self.state in ACTIVE

    @property
    def confirm_before(self) -> datetime | None:
        """When a job that needs confirmation ends without it; None of any other job."""
        if self.state != NEEDS_CONFIRMATION or self.asked_at is None:
            return None
        return self.asked_at + CONFIRM_WITHIN


class ScheduledTime(models.Model):
    """The last time of a schedule of `JOB_SCHEDULES` for which a job was submitted, or at which the schedule was new."""

    name = models.TextField(primary_key=True)
    due = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
