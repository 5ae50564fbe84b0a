"""The endpoints of uploads."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.claims import PATH
from jobs.documents import JOB_ID
from jobs.exceptions import JobError
from jobs.models import Job
from jobs.uploads.serializers import UploadDocument, UploadRequestSerializer
from jobs.uploads.services import (
    SUBMISSION,
    UPLOAD,
    UploadWriter,
    is_sent,
    offset_mismatch,
    require_space,
    upload_of,
    upload_offset,
    upload_start,
)
from jobs.views import SubmissionViewSet
from ratelimit.callers import Caller
from store.exceptions import StoreUnavailable
from web.endpoints import WRITE, Access, endpoint_at
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject
from web.requests.parsers import refuse_encoding
from web.requests.received import call_in
from web.requests.wsgi_variables import BODY_WRITER
from web.views import id_parameter

_ID = id_parameter("upload", JOB_ID, "The id of the upload's job.")
_OFFSET = OpenApiParameter(
    "Upload-Offset",
    {"type": "integer", "minimum": 0},
    OpenApiParameter.HEADER,
    required=True,
    description="The bytes that were sent before.",
)
_READ_AT_ONCE = 2**20
_READ = Access("market:write")
_APPEND = Access("market:write", kind=WRITE, body_bytes=settings.MAX_UPLOAD_BYTES, body_on_disk=True)


class UploadsViewSet(SubmissionViewSet):
    """Uploads: files that are sent in pieces, and imported by a job. A caller sees its own."""

    tag = "uploads"
    access = {"create": SUBMISSION, "retrieve": _READ, "append": _APPEND}
    verbs: ClassVar[Any] = {"create": "begin", "append": "append"}
    bodies = {"create": UploadRequestSerializer}
    answers: ClassVar[Any] = {
        **SubmissionViewSet.answers,
        "retrieve": UploadDocument,
        "append": UploadDocument,
    }
    parameters = {"create": [IDEMPOTENCY_KEY], "retrieve": [_ID], "append": [_ID, _OFFSET]}
    kind = UPLOAD.name

    def create(self, request: Request) -> Response:
        """Begin an upload.

        Queue the job that imports a file. Then send the file by `PATCH` to `/api/v1/ingest/batch/{id}`, in one piece or
        in several. The job starts with the last byte.
        """
        return self.submit(request)

    def not_before(self, now: datetime) -> datetime:
        """Return when an upload that is not complete fails: its job starts, and finds no complete file."""
        return now + timedelta(hours=settings.UPLOAD_RETENTION_HOURS)

    def require_possible(self, parameters: JsonObject) -> None:
        """Refuse an upload for which there is no space."""
        require_space(owner=_owner(self.request), size=parameters["size"])

    def retrieve(self, request: Request, upload: str) -> Response:
        """Get an upload. How much of it has arrived, also as the header `Upload-Offset`."""
        return _answer(upload_of(_owner(request), upload), now=timezone.now())

    @extend_schema(
        request={"application/octet-stream": {"type": "string", "format": "binary"}},
        examples=[
            OpenApiExample(
                "A piece of a CSV file",
                value="2025-01-02T14:30:00Z,AAPL,189.98,100\n",
                media_type="application/octet-stream",
                request_only=True,
            )
        ],
    )
    def append(self, request: Request, upload: str) -> Response:
        """Append to an upload.

        Append the body at `Upload-Offset`. What arrives before a connection is cut stays. The last byte lets the job
        start that imports the file.
        """
        job, now = upload_of(_owner(request), upload), timezone.now()
        writer = request.META.get(BODY_WRITER)
        if writer is None:
            headers = {name.lower(): value for name, value in request.headers.items()}
            with closing(_writer(job, headers, now=now)) as writer:
                while piece := request.stream.read(_READ_AT_ONCE) if request.stream else b"":
                    writer.write(piece)
        if writer.error is not None:
            raise writer.error
        upload_start(job, now=now)
        return _answer(job, now=now)


def upload_writer(environ: dict[str, Any], identity: str) -> UploadWriter | None:
    """Return the writer of the body of a call that appends; None if the view refuses the call, and says why."""
    call = call_in(environ)
    match = endpoint_at(call.path)
    try:
        job = upload_of(identity, match.kwargs["upload"] if match else "")
        writer = _writer(job, call.headers, now=timezone.now())
    except (JobError, InvalidParameter, StoreUnavailable, UnsupportedMediaType):
        return None
    environ[BODY_WRITER] = writer
    return writer


def _writer(job: Job, headers: Mapping[str, str], *, now: datetime) -> UploadWriter:
    """Return what appends to an upload. headers: by names in lower case.

    Raises InvalidParameter, UnsupportedMediaType, and what `UploadWriter` raises.
    """
    refuse_encoding("application/octet-stream", headers.get("content-encoding", ""))
    offset = headers.get("upload-offset", "")
    if not (offset.isascii() and offset.isdecimal() and len(offset) <= 18):
        raise InvalidParameter(
            "invalid_parameter", "Upload-Offset is required: how many bytes were sent before, such as 0"
        )
    if is_sent(job, now=now):
        raise offset_mismatch(job.parameters["size"])
    return UploadWriter(job, int(offset))


def _answer(job: Job, *, now: datetime) -> Response:
    size, is_complete = job.parameters["size"], is_sent(job, now=now)
    offset = size if is_complete else upload_offset(job)
    headers = {
        "Upload-Offset": str(offset),
        "Upload-Complete": "?1" if is_complete else "?0",
        "Cache-Control": "no-store",
    }
    document = UploadDocument(str(job.uuid), offset, size, is_complete, f"{PATH}/{job.uuid}")
    return Response(document.as_json(), headers=headers)


def _owner(request: Request) -> str:
    return cast("Caller", request.user).identity
