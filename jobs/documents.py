"""The JSON document of a job, and who may see which jobs."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Case, F, JSONField, Q, QuerySet, Value, When
from msgspec import UNSET, Meta, UnsetType

from jobs.claims import PATH, job_subject
from jobs.exceptions import UnknownJob
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import NEEDS_CONFIRMATION, Job
from ratelimit.access.denials import denial_of
from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.keys.selectors import identities_of, keys_visible
from web.documents import AnswerDocument, Instant, Uuid, about, like
from web.requests.json_fields import JsonObject
from webhooks.signing import callback_secrets

JobState = Literal["queued", "running", "needs_confirmation", "succeeded", "failed", "cancelled"]
ObjectOrNull = Annotated[Any, Meta(extra_json_schema={"type": ["object", "null"]})]
# Of examples.
JOB_ID = "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11"


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


class ProgressDocument(AnswerDocument):
    """How much of a job is done."""

    done: Annotated[int, about("In `unit`.", 3)]
    total: Annotated[int | None, about("null while it is unknown.", 8)]
    unit: Annotated[str, like("gaps")]


class JobDocument(AnswerDocument, kw_only=True):
    """A job."""

    id: Annotated[Uuid, like(JOB_ID)]
    kind: Annotated[str, like("backfill")]
    state: Annotated[JobState, like("running")]
    progress: ProgressDocument
    parameters: Annotated[JsonObject, about("As they were submitted.", {"symbol": "AAPL"})]
    result: Annotated[
        ObjectOrNull,
        about("null until the job has succeeded. Lists have null for kinds with large results.", None),
    ]
    error: Annotated[ObjectOrNull, about("The problem with which the job failed, else null.", None)]
    preview: Annotated[
        ObjectOrNull, about("What the job asks to confirm, or asked; by kind. Lists have null.", None)
    ]
    confirm_before: Annotated[Instant | None, about("When a job that needs confirmation fails without it.")]
    created_by: Annotated[str, about("Who submitted it.", "key:12")]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    started_at: Annotated[Instant | None, like("2030-01-02T03:04:05.250000Z")]
    finished_at: Instant | None
    attempts: Annotated[int, about("How often it was started.", 1)]
    cancel_requested: Annotated[bool, about("Whether it ends as soon as it can.")]
    links: Annotated[
        dict[str, str],
        about(
            "`self`; `cancel` until it has ended; `confirm` while it needs confirmation.",
            {"self": f"{PATH}/{JOB_ID}", "cancel": f"{PATH}/{JOB_ID}/cancel"},
        ),
    ]
    callback_secret: Annotated[
        str | UnsetType,
        about("Only in the answer to a call with `callback_url`: the key of the signature."),
    ] = UNSET


def job_document(job: Job, **given: Any) -> JsonObject:
    """Return what clients see of a job. given: other values of members."""
    kind = JOB_KINDS.get().get(job.kind)
    url = f"{PATH}/{job.uuid}"
    links = {"self": url}
    if not job.is_finished:
        links["cancel"] = f"{url}/cancel"
    if job.state == NEEDS_CONFIRMATION:
        links["confirm"] = f"{url}/confirm"
    progress = ProgressDocument(job.done, job.total, "" if kind is None else kind.unit)
    error = job.error if job.is_finished else None
    document = {
        "id": str(job.uuid),
        "progress": progress,
        "error": error,
        "links": links,
        "callback_secret": UNSET,
    }
    return JobDocument.of_row(job, **document, **given).as_json()


def listed_job_document(job: Job) -> JsonObject:
    """Return what a list shows of a job. job: of `listed_jobs_of`."""
    return job_document(job, result=getattr(job, "listed_result", None), preview=None)


def submitted_document(job: Job) -> JsonObject:
    """Return a new job's document, with the secret of its callback if it has one."""
    secret = {"callback_secret": callback_secrets(job_subject(job))[0]} if job.callback_url else {}
    return job_document(job) | secret
