"""The JSON document of a job, and who may see which jobs."""

from uuid import UUID

from django.db.models import Case, F, JSONField, Q, QuerySet, Value, When

from jobs.claims import PATH, job_subject
from jobs.exceptions import UnknownJob
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import NEEDS_CONFIRMATION, Job
from ratelimit.access.denials import denial_of
from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.keys.selectors import identities_of, keys_visible
from store.instant_text import format_instant
from web.requests.json_fields import JsonObject
from webhooks.signing import callback_secrets


def jobs_of(caller: Caller) -> QuerySet[Job]:
    """Return the jobs that a caller may see: its own, of kinds that it may submit, for accounts that it may see.

    A person also sees the jobs of the keys that the person may see.
    Its grants count as they are now, not as they were when a job was submitted. Nobody sees jobs of kinds that no call
    submits, or that are no longer declared.
    """
    visible = Q(pk__in=())
    for kind in JOB_KINDS.get().values():
        if denial_of(caller, kind.access) is None:
            visible |= Q(kind=kind.name) & _is_of_accounts(kind, caller)
    owned = Q(owner=caller.identity)
    if caller.identity.startswith("user:"):
        owned |= Q(owner__in=identities_of(keys_visible(caller)))
    return Job.objects.filter(visible & owned)


def _is_of_accounts(kind: JobKind, caller: Caller) -> Q:
    if not kind.account_parameter or ALL_ACCOUNTS in caller.accounts:
        return Q()
    return Q(**{f"parameters__{kind.account_parameter}__in": sorted(caller.accounts)})


def listed_jobs_of(caller: Caller) -> QuerySet[Job]:
    """Return `jobs_of` a caller for a list, without previews.

    `listed_result` is their result, None of a kind with large ones.
    """
    large = [kind.name for kind in JOB_KINDS.get().values() if kind.is_result_large]
    listed = Case(When(kind__in=large, then=Value(None)), default=F("result"), output_field=JSONField())
    return jobs_of(caller).defer("result", "preview", "note").annotate(listed_result=listed)


def job_of(caller: Caller, text: str) -> Job:
    """Return the job with an id, given as text. Raises UnknownJob, also if the caller may not see it."""
    try:
        job = jobs_of(caller).filter(uuid=UUID(text)).first()
    except ValueError:
        job = None
    if job is None:
        raise UnknownJob
    return job


def listed_job_document(job: Job) -> JsonObject:
    """Return what a list shows of a job. job: of `listed_jobs_of`."""
    job.result, job.preview = getattr(job, "listed_result", None), None
    return job_document(job)


def submitted_document(job: Job) -> JsonObject:
    """Return a new job's document, with the secret of its callback if it has one."""
    secret = {"callback_secret": callback_secrets(job_subject(job))[0]} if job.callback_url else {}
    return {**job_document(job), **secret}


def job_document(job: Job) -> JsonObject:
    """Return what clients see of a job."""
    kind = JOB_KINDS.get().get(job.kind)
    return {
        "id": str(job.uuid),
        "kind": job.kind,
        "state": job.state,
        "progress": {
            "done": job.done,
            "total": job.total,
            "unit": "" if kind is None else kind.unit,
        },
        "parameters": job.parameters,
        "result": job.result,
        "error": job.error if job.is_finished else None,
        "preview": job.preview,
        "confirm_before": format_instant(job.confirm_before),
        "created_by": job.created_by,
        "created_at": format_instant(job.created_at),
        "started_at": format_instant(job.started_at),
        "finished_at": format_instant(job.finished_at),
        "attempts": job.attempts,
        "cancel_requested": job.cancel_requested,
        "links": _links(job),
    }


def _links(job: Job) -> dict[str, str]:
    url = f"{PATH}/{job.uuid}"
    cancel = {} if job.is_finished else {"cancel": f"{url}/cancel"}
    confirm = {"confirm": f"{url}/confirm"} if job.state == NEEDS_CONFIRMATION else {}
    return {"self": url, **cancel, **confirm}
