"""Services of jobs: submit, cancel, confirm, delete old ones."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobs.claims import LOST, job_end
from jobs.exceptions import JobError
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import (
    CANCELLED,
    CONFIRM_WITHIN,
    FAILED,
    NEEDS_CONFIRMATION,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    UNFINISHED,
    Job,
)
from web.problem_body import PROBLEM_OF
from web.requests.json_fields import JsonObject
from web.retention import beyond_newest

# Of an owner's jobs that have ended, so many of the newest are kept.
MOST_ENDED = 10_000


def require_room(*, kind: JobKind, owner: str) -> None:
    """Raise JobError if a caller has as many unfinished jobs of a kind as it may have.

    For calls: what the service submits by itself is not refused. Calls at the same instant may exceed it by some.
    """
    unfinished = Job.objects.filter(kind=kind.name, state__in=UNFINISHED, owner=owner)
    if unfinished.count() >= kind.most_unfinished:
        message = (
            f"the caller has {kind.most_unfinished} unfinished jobs of the kind {kind.name}, the most; "
            "wait for the end of one, or cancel one"
        )
        raise JobError("too_many_jobs", message)


def job_submit(
    *,
    kind: str,
    parameters: dict[str, Any],
    owner: str,
    created_by: str,
    now: datetime,
    correlation_id: str = "",
    callback_url: str = "",
    once_key: str = "",
    urgency: int = 0,
    not_before: datetime | None = None,
) -> Job:
    """Queue a job, and return it. A worker learns of it within a second, or when it may start.

    once_key: if an unfinished job has this key, return that job instead; its urgency becomes at least `urgency`.
    urgency: see `Job`. not_before: when the job may start; None: now.
    """
    columns = {
        "kind": kind,
        "callback_url": callback_url,
        "parameters": parameters,
        "owner": owner,
        "created_by": created_by,
        "correlation_id": correlation_id,
        "once_key": once_key,
        "turn": JOB_KINDS.get()[kind].turn(parameters),
        "urgency": urgency,
        "not_before": not_before or Now(),
        "created_at": now,
    }
    while True:
        try:
            with transaction.atomic():
                return Job.objects.create(**columns)
        except IntegrityError:
            if not once_key:
                raise
        # None if that job has ended in between.
        unfinished = Job.objects.filter(once_key=once_key, state__in=UNFINISHED).first()
        if unfinished is not None:
            Job.objects.filter(pk=unfinished.pk, urgency__lt=urgency).update(urgency=urgency)
            return unfinished


def job_done(*, result: JsonObject, total: int, now: datetime, **columns: Any) -> Job:
    """Store a job that its call has done, and return it. It has ended, and its callback gets the event.

    total: what was done, in the kind's unit. columns: as of `job_submit`. Call it in the transaction of the work.
    """
    with transaction.atomic():
        job = job_submit(now=now, **columns)
        job_end(job, state=SUCCEEDED, result=result, now=now, started_at=now, done=total, total=total)
        job.refresh_from_db()
    return job


def job_cancel(*, uuid: UUID, now: datetime) -> None:
    """Cancel a job: at once if no worker has it, else as soon as its function checks.

    A finished job stays as it is.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().get(uuid=uuid)
        if job.state in (QUEUED, NEEDS_CONFIRMATION) or Job.objects.filter(LOST, pk=job.pk).exists():
            job_end(job, state=CANCELLED, now=now)
        elif job.state == RUNNING:
            Job.objects.filter(pk=job.pk).update(cancel_requested=True)


def job_confirm(*, uuid: UUID, now: datetime) -> None:
    """Queue a job that needs confirmation again. A job that was confirmed before stays as it is.

    Raises JobError if the job has not asked, or has ended without an answer.
    """
    asking = Job.objects.filter(uuid=uuid, state=NEEDS_CONFIRMATION, asked_at__gt=now - CONFIRM_WITHIN)
    if asking.update(state=QUEUED, confirmed_at=now, not_before=Now()):
        return
    job = Job.objects.get(uuid=uuid)
    if job.confirmed_at is None:
        # One that still asks asked more than CONFIRM_WITHIN ago, and is about to fail.
        state = FAILED if job.state == NEEDS_CONFIRMATION else job.state
        message = f"the job is {state}: only a job in the state needs_confirmation can be confirmed"
        raise JobError("confirmation_not_needed", message)


def confirmations_expire(*, now: datetime) -> None:
    """Fail the jobs that nobody confirmed within CONFIRM_WITHIN."""
    message = "nobody confirmed the job within a day; nothing was stored: submit it again"
    problem = PROBLEM_OF.get()(JobError("confirmation_expired", message)).body()
    for job in Job.objects.filter(state=NEEDS_CONFIRMATION, asked_at__lte=now - CONFIRM_WITHIN):
        job_end(job, state=FAILED, error=problem, now=now)


def jobs_delete_old(*, now: datetime) -> None:
    """Delete jobs that ended JOB_RETENTION_DAYS ago or earlier, and each owner's oldest ended ones beyond MOST_ENDED."""
    ended = Job.objects.filter(finished_at__isnull=False)
    ended.filter(finished_at__lte=now - timedelta(days=settings.JOB_RETENTION_DAYS)).delete()
    beyond_newest(ended, holder="owner", most=MOST_ENDED).delete()
