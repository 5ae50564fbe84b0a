"""The endpoints of jobs, and the base of the endpoints that submit them."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, cast

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit.recording.audit_first import change_and_record
from jobs.documents import (
    JOB_ID,
    JobDocument,
    job_document,
    job_of,
    listed_job_document,
    listed_jobs_of,
    submitted_document,
)
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import ACTIVE, STATES, Job
from jobs.services import job_cancel, job_confirm, job_submit, require_room
from ratelimit.callers import Caller
from web.endpoints import ANY_CALLER, WRITE, Access
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, keyed_call
from web.lists.filters import choice_filter
from web.lists.pages import NewestPagination
from web.lists.views import ListViewSet
from web.requests.json_fields import JsonObject
from web.views import DeclaredView, id_parameter

_ID = id_parameter("job", JOB_ID)
_RETRY_SECONDS = 1


class JobFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(STATES, "The job's state.")
    kind = django_filters.CharFilter(
        max_length=80,
        method="of_kinds",
        help_text="The job's kind, such as `export`, or several: `export,upload`.",
    )

    def of_kinds(self, jobs: QuerySet[Job], _: str, kinds: str) -> QuerySet[Job]:
        """Return the jobs of some kinds."""
        return jobs.filter(kind__in=kinds.split(","))


class JobsViewSet(ListViewSet[Job]):
    """The caller's jobs, submitted with its key or with an earlier key of the same rotations.

    A person also sees the jobs of the keys that the person may see. A caller sees a job as long as the caller may submit such a job.
    """

    tag = "jobs"
    access = {
        "list": Access(ANY_CALLER),
        "retrieve": Access(ANY_CALLER),
        "cancel": Access(ANY_CALLER, kind=WRITE),
        "confirm": Access(ANY_CALLER, kind=WRITE),
    }
    answers = dict.fromkeys(access, JobDocument)
    parameters = {key: [_ID] for key in ("retrieve", "cancel", "confirm")}
    asks_first = ("cancel",)
    queryset = Job.objects.all()
    filterset_class = JobFilter
    pagination_class = NewestPagination
    rows_name = "jobs"

    def list(self, request: Request) -> Response:
        """List jobs.

        One's own jobs, newest first. `result` is null for backtests, batches of orders, rebalances and uploads: get the job for it.
        """
        return self.answer_page(listed_job_document, listed_jobs_of(_caller(request)))

    def retrieve(self, request: Request, job: str) -> Response:
        """Get a job. A job, with its progress and, at its end, its result or error."""
        return job_answer(job_of(_caller(request), job))

    def cancel(self, request: Request, job: str) -> Response:
        """Cancel a job.

        End a job: one that waits at once, one that runs at its next step. What it has stored stays stored.

        A job that has ended stays as it is.
        """
        stored = job_of(_caller(request), job)
        job_cancel(uuid=stored.uuid, now=timezone.now())
        return job_answer(job_of(_caller(request), job))

    def confirm(self, request: Request, job: str) -> Response:
        """Confirm a job.

        Let a job in the state `needs_confirmation` do what its `preview` shows.

        A job that was confirmed before stays as it is.
        """
        stored = job_of(_caller(request), job)
        job_confirm(uuid=stored.uuid, now=timezone.now())
        return job_answer(job_of(_caller(request), job))


class SubmissionViewSet(DeclaredView, GenericViewSet[Any]):
    """The base of endpoints that submit jobs.

    A subclass sets `kind`, the body of its action `create`, and calls `submit` there.
    """

    verbs: ClassVar[Mapping[str, str]] = {"create": "submit"}
    answers: ClassVar[Mapping[str, Any]] = {"create": {202: JobDocument}}
    parameters = {"create": [IDEMPOTENCY_KEY]}
    queryset: QuerySet[Any] = Job.objects.all()
    kind: ClassVar[str]
    _callback_url = ""

    @property
    def _kind(self) -> JobKind:
        return JOB_KINDS.get()[self.kind]

    def submit(self, request: Request) -> Response:
        """Queue a job with the body as parameters; 202. The Idempotency-Key's first answer is given again."""
        parameters = self.job_parameters()
        self.check_caller(_caller(request), parameters)
        if self._kind.access.audit_class:
            return change_and_record(self, lambda _: self._submit_once(request, parameters))
        return self._submit_once(request, parameters)

    def body(self, *, is_optional: bool = False, **context: Any) -> JsonObject:
        """See `DeclaredView.body`. The callback's URL is the job's, not its kind's."""
        values = super().body(is_optional=is_optional, **context)
        self._callback_url = values.pop("callback_url", "")
        return values

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters, from the body. Raises ValidationError, MalformedDocument."""
        return self.body()

    def check_caller(self, caller: Caller, parameters: JsonObject) -> None:
        """Raise PermissionDenied if these parameters need more than the endpoint's scope."""

    def require_possible(self, parameters: JsonObject) -> None:
        """Raise what a new job with these parameters would fail with at once."""

    def make_job(self, parameters: JsonObject, **columns: Any) -> Job:
        """Return the new job. columns: see `job_submit`."""
        return job_submit(kind=self.kind, parameters=parameters, **columns)

    def not_before(self, now: datetime) -> datetime | None:
        """Return when the job may start; None: at once."""

    def _submit_once(self, request: Request, parameters: JsonObject) -> Response:
        now, call = timezone.now(), keyed_call(request, request.data)

        def submit() -> JsonObject:
            caller = _caller(request)
            self.require_possible(parameters)
            require_room(kind=self._kind, owner=caller.identity)
            correlation_id = getattr(request, "correlation_id", "")
            job = self.make_job(
                parameters,
                owner=caller.identity,
                created_by=caller.identity,
                correlation_id=correlation_id,
                callback_url=self._callback_url,
                now=now,
                not_before=self.not_before(now),
            )
            return submitted_document(job)

        document, is_replayed = (submit(), False) if call is None else answer_once(call, submit, now=now)
        answer = Response(document, status=HTTPStatus.ACCEPTED, headers=_headers(document))
        answer.headers["Location"] = document["links"]["self"]
        if is_replayed:
            answer.headers["Idempotency-Replayed"] = REPLAYED["Idempotency-Replayed"]
        return answer


def job_answer(job: Job) -> Response:
    """Return the answer that shows a job."""
    document = job_document(job)
    return Response(document, headers=_headers(document))


def _headers(document: JsonObject) -> dict[str, str]:
    retry = {"Retry-After": str(_RETRY_SECONDS)} if document["state"] in ACTIVE else {}
    return {"Cache-Control": "no-store", **retry}


def _caller(request: Request) -> Caller:
    return cast("Caller", request.user)
