"""The endpoints of uploads."""

from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.viewsets import ViewSet

from jobs.claims import PATH
from jobs.documents import submitted_document
from jobs.models import Job
from jobs.serializers import JOB, JobSerializer
from jobs.uploads.exceptions import UnknownUpload, UploadBusy, UploadOffsetMismatch
from jobs.uploads.files import Upload, UploadWriter, upload_create, upload_find
from jobs.uploads.serializers import UploadRequestSerializer, UploadSerializer
from jobs.uploads.services import SUBMISSION, upload_finish, upload_of
from ratelimit.callers import Caller
from web.endpoints import WRITE, Access, endpoint_at
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject
from web.requests.received import call_in
from web.requests.wsgi_variables import BODY_WRITER
from web.views import DeclaredView

UPLOADS_PATH = "/api/v1/ingest/batch"
_ID = OpenApiParameter(
    "upload",
    {"type": "string", "format": "uuid", "examples": [JOB["id"]]},
    OpenApiParameter.PATH,
    description="The upload's id.",
)
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


class UploadsViewSet(DeclaredView, ViewSet):
    """Uploads: files that are sent in pieces, and imported by a job. A caller sees its own."""

    access = {"create": SUBMISSION, "retrieve": _READ, "append": _APPEND, "destroy": SUBMISSION}
    verbs: ClassVar[Any] = {"create": "begin", "append": "append", "destroy": "delete"}
    bodies = {"create": UploadRequestSerializer}
    answers: ClassVar[Any] = {
        "create": {201: UploadSerializer},
        "retrieve": UploadSerializer,
        "append": {200: UploadSerializer, 202: JobSerializer},
        "destroy": {204: None},
    }
    parameters = {"retrieve": [_ID], "append": [_ID, _OFFSET], "destroy": [_ID]}

    def create(self, request: Request) -> Response:
        """Begin an upload. Then send the file by `PATCH` to the answer's `Location`, in one piece or in several."""
        parameters = self.body()
        callback_url = parameters.pop("callback_url", "")
        if parameters["size"] > settings.MAX_UPLOAD_BYTES:
            message = f"must be at most {settings.MAX_UPLOAD_BYTES:,}; send several files"
            raise ValidationError({"size": [message]}, code="max_value")
        caller = cast("Caller", request.user)
        upload = upload_create(
            owner=caller.principal,
            created_by=caller.identity,
            parameters=parameters,
            callback_url=callback_url,
        )
        answer = _answer(upload, status=HTTPStatus.CREATED)
        answer.headers["Location"] = f"{UPLOADS_PATH}/{upload.uuid}"
        return answer

    def retrieve(self, request: Request, upload: str) -> Response:
        """Get an upload. How much of it has arrived, also as the header `Upload-Offset`."""
        return _answer(upload_of(cast("Caller", request.user), upload))

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

        Append the body at `Upload-Offset`. What arrives before a connection is cut stays. The last byte queues the job
        that imports the file: 202 with the job.
        """
        found = upload_of(cast("Caller", request.user), upload)
        if isinstance(found, Upload):
            writer = request.META.get(BODY_WRITER)
            if writer is None:
                with UploadWriter(found, _offset_in(request.headers.get("Upload-Offset", ""))) as writer:
                    while piece := request.stream.read(_READ_AT_ONCE) if request.stream else b"":
                        writer.write(piece)
            if writer.error is not None:
                raise writer.error
            if found.offset < found.size:
                return _answer(found)
            correlation_id = getattr(request, "correlation_id", "")
            found = upload_finish(found, now=timezone.now(), correlation_id=correlation_id)
        elif _offset_in(request.headers.get("Upload-Offset", "")) != found.parameters["size"]:
            raise UploadOffsetMismatch(found.parameters["size"])
        document = submitted_document(found, now=timezone.now())
        answer = Response(document, status=HTTPStatus.ACCEPTED, headers=_headers(found))
        answer.headers["Location"] = document["links"]["self"]
        return answer

    def destroy(self, request: Request, upload: str) -> Response:
        """Delete an upload that is not complete. To end the job of a complete upload, cancel the job."""
        found = upload_of(cast("Caller", request.user), upload)
        if isinstance(found, Job):
            raise UnknownUpload
        with UploadWriter(found, found.offset):
            found.remove()
        return Response(status=HTTPStatus.NO_CONTENT)


def upload_writer(environ: dict[str, Any], principal: str) -> UploadWriter | None:
    """Return the writer of the body of a call that appends; None if the view refuses the call, and says why."""
    call = call_in(environ)
    match = endpoint_at(call.path)
    try:
        found = upload_find(match.kwargs["upload"] if match else "")
        if found.owner != principal:
            return None
        writer = UploadWriter(found, _offset_in(call.headers.get("upload-offset", "")))
    except (UnknownUpload, UploadOffsetMismatch, UploadBusy, InvalidParameter):
        return None
    environ[BODY_WRITER] = writer
    return writer


def _offset_in(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidParameter(
            "invalid_parameter", "Upload-Offset is required: the bytes that were sent before"
        )
    return int(text)


def _headers(found: Upload | Job) -> dict[str, str]:
    document = _document(found)
    return {
        "Upload-Offset": str(document["offset"]),
        "Upload-Complete": "?1" if document["complete"] else "?0",
        "Cache-Control": "no-store",
    }


def _document(found: Upload | Job) -> JsonObject:
    size = int(found.parameters["size"])
    is_job = isinstance(found, Job)
    return {
        "id": str(found.uuid),
        "offset": size if isinstance(found, Job) else found.offset,
        "size": size,
        "complete": is_job,
        "job": f"{PATH}/{found.uuid}" if is_job else None,
    }


def _answer(found: Upload | Job, *, status: int = HTTPStatus.OK) -> Response:
    return Response(_document(found), status=status, headers=_headers(found))
