"""Who has a job: claims with a lease, and every change of state.

Each change is a compare-and-set on the state or the lease, in one transaction. So a job ends once, whatever the
workers do.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import CANCELLED, NEEDS_CONFIRMATION, QUEUED, RUNNING, Job
from ops.metrics.declarations import JOBS_ENDED
from store.instant_text import format_instant
from webhooks.events import event_write

PATH = "/api/v1/jobs"
# Seconds after which a job whose worker is silent belongs to nobody.
LEASE = timedelta(seconds=20)
# The columns of a job that no worker has any more, and that may be sent again.
_GIVEN_BACK: Mapping[str, None] = {"slot": None, "lease": None, "leased_until": None, "sent_at": None}


def startable(now: datetime) -> Q:
    """Return the condition of jobs that may start: queued and due, or running with an ended lease."""
    return Q(state=QUEUED, not_before__lte=now) | Q(state=RUNNING, leased_until__lte=now)


def job_claim(uuid: UUID, *, kinds: Iterable[JobKind], now: datetime) -> Job | None:
    """Take a job for this worker, and return it; None if it may not start, or if others have its slots or its turn.

    The returned job has its lease. An earlier worker's lease is no longer valid.
    """
    job = Job.objects.filter(startable(now), uuid=uuid).first()
    kind = next((kind for kind in kinds if job is not None and kind.name == job.kind), None)
    if job is None or kind is None:
        return None
    lease = uuid4()
    for slot in _free_slots(job, kind):
        if _take(job, slot, lease=lease, now=now):
            # None if the lease has ended meanwhile, and another worker has the job.
            return Job.objects.filter(pk=job.pk, lease=lease).first()
    return None


def _free_slots(job: Job, kind: JobKind) -> list[int]:
    """Return the slots to try. A job whose worker was lost has kept its slot."""
    if job.slot is not None:
        return [job.slot]
    taken = Job.objects.filter(kind=job.kind, slot__isnull=False).values_list("slot", flat=True)
    return sorted(set(range(kind.at_once)).difference(slot for slot in taken if slot is not None))


def _take(job: Job, slot: int, *, lease: UUID, now: datetime) -> bool:
    """Take the job, the slot and the turn; return False if another worker was faster."""
    try:
        with transaction.atomic():
            unchanged = Job.objects.filter(startable(now), pk=job.pk, attempts=job.attempts)
            return bool(
                unchanged.update(
                    state=RUNNING,
                    slot=slot,
                    lease=lease,
                    leased_until=now + LEASE,
                    attempts=job.attempts + 1,
                    started_at=job.started_at or now,
                )
            )
    except IntegrityError:
        return False


def leased(job: Job) -> QuerySet[Job]:
    """Return the job's row as long as this worker has it: the lease is still the one of the claim."""
    return Job.objects.filter(pk=job.pk, lease=job.lease, state=RUNNING)


def lease_renew(job: Job, *, now: datetime, **columns: Any) -> bool:
    """Extend the lease, and set columns; return False if the lease is lost."""
    return bool(leased(job).update(leased_until=now + LEASE, **columns))


def job_release(job: Job, *, not_before: datetime, **columns: Any) -> bool:
    """Queue a running job again, for `not_before`; return False if the lease is lost."""
    return bool(leased(job).update(state=QUEUED, **_GIVEN_BACK, not_before=not_before, **columns))


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
                slot=None,
                lease=None,
                leased_until=None,
                cancel_requested=state == CANCELLED,
                **columns,
            )
        )
        if is_ours:
            transaction.on_commit(lambda: JOBS_ENDED.add(job.kind, state))
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
