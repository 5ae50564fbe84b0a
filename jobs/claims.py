"""The queue: which job a worker takes next, with a lease, and every change of a job's state.

Each change is a compare-and-set on the state or the lease, in one transaction. So a job ends once, whatever the
workers do. Starts and leases go by the database's clock, because the clocks of hosts may differ.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import F, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from jobs.kinds import JOB_KINDS
from jobs.models import AWAITED, CANCELLED, NEEDS_CONFIRMATION, QUEUED, RUNNING, Job
from ops.metrics.declarations import JOBS_ENDED
from ops.serve.database_lock import lock_until_commit
from store.instant_text import format_instant
from webhooks.events import event_write

PATH = "/api/v1/jobs"
# A lease lasts so long without renewal. Then any worker may claim the job.
LEASE = timedelta(seconds=20)
# The columns that clear a lease.
_GIVEN_BACK: Mapping[str, None] = {"lease": None, "leased_until": None}
# The conditions of jobs that may start: the worker was lost, or the time has come.
LOST, _DUE = Q(state=RUNNING, leased_until__lte=Now()), Q(state=QUEUED, not_before__lte=Now())


def job_claim(*, only_awaited: bool = False) -> Job | None:
    """Take the next job for this worker, and return it with its lease; None if none may start.

    Jobs whose workers were lost come first, then those of the owner whose last job of the kind started longest ago. Of an
    owner's jobs the most urgent starts first. only_awaited: take only jobs whose end somebody awaits. The new lease
    replaces an earlier worker's.
    """
    jobs = Job.objects.filter(LOST | _DUE, kind__in=JOB_KINDS.get())
    if only_awaited:
        jobs = jobs.filter(urgency__gte=AWAITED)
    if not jobs.exists():
        return None
    with transaction.atomic():
        # One claim at a time, so that two of them do not take the last place of a kind, an owner or a turn.
        lock_until_commit("jobs")
        # A lost job has kept its place and its turn.
        lost = jobs.filter(LOST).select_for_update(skip_locked=True)
        job = lost.order_by("leased_until").first() or _waiting_job(jobs.filter(_DUE))
        if job is not None:
            job.state, job.lease, job.leased_until = RUNNING, uuid4(), Now() + LEASE
            job.attempts += 1
            job.claimed_at, job.started_at = Now(), job.started_at or Now()
            job.save(
                update_fields=["state", "lease", "leased_until", "attempts", "claimed_at", "started_at"],
            )
    return job


def _waiting_job(due: QuerySet[Job]) -> Job | None:
    """Return the queued job whose turn it is."""
    running = list(Job.objects.filter(state=RUNNING).values_list("kind", "owner", "turn"))
    of_kinds = Counter(kind for kind, _, _ in running)
    of_owners = Counter((kind, owner) for kind, owner, _ in running)
    free = [name for name, kind in JOB_KINDS.get().items() if of_kinds[name] < kind.at_once]
    waiting = due.filter(kind__in=free).exclude(turn__in={turn for _, _, turn in running} - {""})
    started = Job.objects.filter(kind=OuterRef("kind"), owner=OuterRef("owner"), claimed_at__isnull=False)
    last = Subquery(started.order_by("-claimed_at").values("claimed_at")[:1])
    owners = waiting.values("kind", "owner").annotate(last=last, first=Min("pk"))
    for kind, owner in owners.order_by(F("last").asc(nulls_first=True), "first").values_list("kind", "owner"):
        # An owner may use all places of a kind but one.
        if of_owners[kind, owner] < max(1, JOB_KINDS.get()[kind].at_once - 1):
            # Rows that another transaction has locked are skipped.
            jobs = waiting.select_for_update(skip_locked=True).filter(kind=kind, owner=owner)
            if (job := jobs.order_by("-urgency", "pk").first()) is not None:
                return job
    return None


def leased(job: Job) -> QuerySet[Job]:
    """Return the job's row as long as this worker has it: the lease is still the one of the claim."""
    return Job.objects.filter(pk=job.pk, lease=job.lease, state=RUNNING)


def lease_renew(job: Job, **columns: Any) -> bool:
    """Extend the lease, and set columns; return False if the lease is lost."""
    return bool(leased(job).update(leased_until=Now() + LEASE, **columns))


def job_release(job: Job, *, not_before: Combinable | None = None, **columns: Any) -> bool:
    """Queue a running job again, to start at `not_before`, None: now; return False if the lease is lost."""
    return bool(leased(job).update(state=QUEUED, **_GIVEN_BACK, not_before=not_before or Now(), **columns))


def job_ask(job: Job, *, preview: Any, now: datetime, **columns: Any) -> bool:
    """Make a running job need confirmation of `preview`, a JSON document.

    Returns False, and changes nothing, if the lease is lost or the job is to be cancelled.
    """
    with transaction.atomic():
        is_asking = bool(
            leased(job)
            .filter(cancel_requested=False)
            .update(
                state=NEEDS_CONFIRMATION,
                **_GIVEN_BACK,
                preview=_without_nul(preview),
                asked_at=now,
                attempts=job.attempts - 1,
                **columns,
            )
        )
        if is_asking:
            _tell(job, NEEDS_CONFIRMATION, finished_at=None, now=now)
    return is_asking


def job_end(
    job: Job, *, state: str, now: datetime, result: Any = None, error: Any = None, **columns: Any
) -> bool:
    """End a job that this worker has, or one that no worker has; False if it is not ours, or has another state by now.

    state: SUCCEEDED, FAILED or CANCELLED. result, error: JSON documents. U+0000, which files of users may have and
    PostgreSQL cannot store, becomes U+FFFD.
    """
    row = leased(job) if job.lease else Job.objects.filter(pk=job.pk, state=job.state, finished_at=None)
    with transaction.atomic():
        is_ours = bool(
            row.update(
                state=state,
                result=_without_nul(result),
                error=_without_nul(error),
                finished_at=now,
                **_GIVEN_BACK,
                cancel_requested=state == CANCELLED,
                **columns,
            )
        )
        if is_ours:
            transaction.on_commit(JOBS_ENDED.labels(job.kind, state).inc)
            _tell(job, state, finished_at=now, now=now)
    return is_ours


def _without_nul(document: Any) -> Any:
    if isinstance(document, str):
        return document.replace("\0", "\ufffd")
    if isinstance(document, dict):
        return {_without_nul(name): _without_nul(value) for name, value in document.items()}
    return [_without_nul(each) for each in document] if isinstance(document, list) else document


def _tell(job: Job, state: str, *, finished_at: datetime | None, now: datetime) -> None:
    """Write the event of a job's new state. It tells where the result or the preview is, not what it is."""
    kind = JOB_KINDS.get().get(job.kind)
    account = job.parameters.get(kind.account_parameter, "") if kind is not None else ""
    event_write(
        kind=f"job.{state}",
        subject=job_subject(job),
        owner=job.owner,
        account=account,
        data={
            "id": str(job.uuid),
            "kind": job.kind,
            "state": state,
            "finished_at": format_instant(finished_at),
            "links": {"self": f"{PATH}/{job.uuid}"},
        },
        now=now,
        callback_url=job.callback_url,
    )


def job_subject(job: Job) -> str:
    """Return the subject of a job's event. The secret of its callback follows from it."""
    return f"job:{job.uuid}"
