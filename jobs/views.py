"""The endpoints of jobs, and the base of the endpoints that submit them."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import GenericViewSet

from audit.recording.audit_first import change_and_record
from jobs.documents import (
    job_document,
    job_of,
    job_renewed,
    jobs_of,
    listed_job_document,
    listed_jobs_of,
)
from jobs.kinds import JOB_KINDS, JobKind
from jobs.models import AWAITED, STATES, Job
from jobs.serializers import JOB, JobSerializer
from jobs.services import job_cancel, job_submit, require_room
from jobs.waiting import JobEnd
from ratelimit.callers import Caller
from web.endpoints import ANY_CALLER, WRITE, Access
from web.idempotency.answers import REPLAYED, Document, answer_once, keyed_call
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.requests.parameters import single_parameters
from web.requests.parsers import request_document
from web.requests.waiting import AnswerWait, prefer_header, preferred_wait
from web.requests.wsgi_variables import ANSWER_WAIT

_ID = OpenApiParameter(
    "job",
    {"type": "string", "format": "uuid", "examples": [JOB["id"]]},
    OpenApiParameter.PATH,
    description="The job's id.",
)
PREFER = prefer_header("the job has ended")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["7f0d3c52"]},
    OpenApiParameter.HEADER,
    description="For a day, requests with the same key get the same answer, with `Idempotency-Replayed: true`.",
)
_RUNNING = OpenApiExample("A running job", value=JOB, response_only=True)
_RETRY_SECONDS = 1


class JobPagination(KeysetPagination):
    """Pages of jobs, in the order in which they were submitted."""

    rows_name = "jobs"
    by = "pk"
    sort_description = "By the time of submission; `desc`: newest first."
    default_limit = 100
    default_sort = "desc"


class JobFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(STATES, "The job's state.")

    class Meta:
        model = Job
        fields: tuple[str, ...] = ()


class JobsViewSet(ListViewSet[Job]):
    """The caller's jobs: those that were submitted with its key or an earlier one of the key's rotations.

    It sees a job as long as it may submit such a job.
    """

    access = {
        "list": Access(ANY_CALLER),
        "retrieve": Access(ANY_CALLER),
        "cancel": Access(ANY_CALLER, kind=WRITE),
    }
    queryset = Job.objects.all()
    serializer_class = JobSerializer
    filterset_class = JobFilter
    pagination_class = JobPagination

    @extend_schema(
        operation_id="jobs",
        summary="List jobs",
        examples=[OpenApiExample("A job", value=JOB, response_only=True)],
    )
    def list(self, request: Request) -> Response:
        """One's own jobs, newest first. `result` is null for backtests and rebalances: get the job for it."""
        jobs = self.paginate_queryset(self.filter_queryset(listed_jobs_of(_caller(request))))
        now = timezone.now()
        return self.get_paginated_response([listed_job_document(job, now=now) for job in jobs or ()])

    @extend_schema(operation_id="job", summary="Get a job", parameters=[_ID, PREFER], examples=[_RUNNING])
    def retrieve(self, request: Request, job: str) -> Response:
        """A job, with its progress and, at its end, its result or error."""
        single_parameters(request.GET, ("format",))
        return job_answer(request, job_of(_caller(request), job))

    @extend_schema(
        operation_id="job_cancel",
        summary="Cancel a job",
        parameters=[_ID, PREFER],
        request=None,
        responses={200: JobSerializer},
        examples=[_RUNNING],
    )
    def cancel(self, request: Request, job: str) -> Response:
        """End a job: one that waits at once, one that runs at its next step. What it has stored stays stored.

        A job that has ended stays as it is.
        """
        single_parameters(request.GET, ("format",))
        stored = job_of(_caller(request), job)
        job_cancel(uuid=stored.uuid, now=timezone.now())
        return job_answer(request, job_of(_caller(request), job))


class SubmissionViewSet(GenericViewSet[Any]):
    """The base of endpoints that submit jobs. A subclass sets `kind`, and calls `submit` in an action `create`."""

    queryset: QuerySet[Any] = Job.objects.all()
    kind: ClassVar[str]

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the kind's serializer, for a browser's form."""
        return cast("type[Serializer[Any]]", self._kind.serializer)

    @property
    def _kind(self) -> JobKind:
        return JOB_KINDS.get()[self.kind]

    def submit(self, request: Request) -> Response:
        """Queue a job with the body as parameters; 202. The Idempotency-Key's first answer is given again."""
        single_parameters(request.GET, ("format",))
        parameters = self.parameters(request)
        self.check_caller(_caller(request), parameters)
        if self._kind.access.audit_class:
            return change_and_record(self, lambda _: self._submit_once(request, parameters))
        return self._submit_once(request, parameters)

    def parameters(self, request: Request) -> Document:
        """Return the job's parameters, from the body. Raises ValidationError, MalformedDocument."""
        serializer = self._kind.serializer(data=request_document(request))
        serializer.is_valid(raise_exception=True)
        parameters: Document = serializer.validated_data
        return parameters

    def check_caller(self, caller: Caller, parameters: Document) -> None:
        """Raise PermissionDenied if these parameters need more than the endpoint's scope."""

    def require_possible(self, parameters: Document) -> None:
        """Raise what a new job with these parameters would fail with at once."""

    def _submit_once(self, request: Request, parameters: Document) -> Response:
        now, call = timezone.now(), keyed_call(request, request.data)

        def submit() -> Document:
            caller = _caller(request)
            self.require_possible(parameters)
            require_room(kind=self._kind, owner=caller.principal)
            correlation_id = getattr(request, "correlation_id", "")
            job = job_submit(
                kind=self.kind,
                parameters=parameters,
                owner=caller.principal,
                created_by=caller.identity,
                correlation_id=correlation_id,
                now=now,
                urgency=AWAITED if preferred_wait(request.headers.get("Prefer", "")) else 0,
            )
            return job_document(job, now=now)

        document, is_replayed = (submit(), False) if call is None else answer_once(call, submit, now=now)
        answer = Response(document, status=HTTPStatus.ACCEPTED, headers=_headers(document))
        answer.headers["Location"] = document["links"]["self"]
        if is_replayed:
            answer.headers["Idempotency-Replayed"] = REPLAYED["Idempotency-Replayed"]
        # None if the job of an earlier call was deleted, or if the caller may not see it any more.
        if (stored := jobs_of(_caller(request)).filter(uuid=document["id"]).first()) is not None:
            _ask_to_wait(request, stored)
        return answer


def job_answer(request: Request, job: Job) -> Response:
    """Return the answer that shows a job. With `Prefer: wait=N` the front sends it when the job has ended."""
    _ask_to_wait(request, job)
    document = job_document(job, now=timezone.now())
    return Response(document, headers=_headers(document))


def _headers(document: Document) -> dict[str, str]:
    is_finished = "cancel" not in document["links"]
    return {"Cache-Control": "no-store"} | ({} if is_finished else {"Retry-After": str(_RETRY_SECONDS)})


def _ask_to_wait(request: Request, job: Job) -> None:
    """Tell the front to wait for the job's end, if the client prefers that and takes JSON."""
    seconds = preferred_wait(request.headers.get("Prefer", ""))
    if seconds and not job.is_finished and isinstance(request.accepted_renderer, JSONRenderer):
        renewed = partial(job_renewed, job.uuid, _caller(request).identity)
        request.META[ANSWER_WAIT] = AnswerWait(seconds, JobEnd(job.uuid), renewed)


def _caller(request: Request) -> Caller:
    return cast("Caller", request.user)
