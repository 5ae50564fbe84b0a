"""The endpoints of exports."""

import mimetypes
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import quote

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from jobs.documents import job_document
from jobs.exports.query import export_parameters
from jobs.exports.serializers import FILE, ExportRequestSerializer, ExportSerializer
from jobs.exports.services import (
    KIND,
    SUBMISSION,
    ExportedFile,
    export_file,
    export_of,
    exported_files,
    finished_export,
)
from jobs.models import SUCCEEDED
from jobs.serializers import JOB
from jobs.views import SubmissionViewSet
from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from stats.market_data.datasets import MARKET_DATASETS
from stats.rendering.renderers import FormatRenderer
from web.endpoints import Access
from web.requests.conditional import is_current
from web.requests.json_fields import JsonObject
from web.requests.ranges import requested_range
from web.views import DeclaredView

_ID = OpenApiParameter(
    "job",
    {"type": "string", "format": "uuid", "examples": [JOB["id"]]},
    OpenApiParameter.PATH,
    description="The id of the export's job.",
)
_FILE = OpenApiParameter(
    "path",
    {"type": "string", "examples": [FILE["path"]]},
    OpenApiParameter.PATH,
    description="The file's path, or `manifest.json`.",
)
_RANGE = OpenApiParameter(
    "Range", {"type": "string", "examples": ["bytes=0-1048575"]}, OpenApiParameter.HEADER, description="A part of the file."
)  # fmt: skip
_MOST_SHOWN = 1_000
_BLOCK_BYTES = 1 << 18
_READ = Access("market:read")


class FileRenderer(FormatRenderer):
    """Stands for a file of any type, which is sent as it is."""

    media_type = "*/*"
    format = "file"


class ExportsViewSet(SubmissionViewSet):
    """Exports: rows as files, made by a job. A caller sees its own."""

    access = {"create": SUBMISSION, "retrieve": _READ}
    bodies = {"create": ExportRequestSerializer}
    answers: ClassVar[Any] = {**SubmissionViewSet.answers, "retrieve": ExportSerializer}
    parameters = {**SubmissionViewSet.parameters, "retrieve": [_ID]}
    kind = KIND

    def create(self, request: Request) -> Response:
        """Export rows as files.

        Queue a job that writes a dataset's rows for symbols and a range into files, with a manifest.

        All rows are as of one instant, `as_of`, which is now by default. The other parameters are those of the
        dataset's stream.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters, with nothing left to look up."""
        return export_parameters(self.body(), now_ns=time.time_ns())

    def check_caller(self, caller: Caller, parameters: JsonObject) -> None:
        """A dataset's pages may need more than the endpoint."""
        denial = denial_of(caller, MARKET_DATASETS[parameters["dataset"]].access)
        if denial is not None:
            raise PermissionDenied(denial.message, denial.code)

    def retrieve(self, request: Request, job: str) -> Response:
        """Get an export. An export's job and, when it has succeeded, its files."""
        stored = export_of(cast("Caller", request.user), job)
        files = exported_files(stored) if stored.state == SUCCEEDED else []
        base = request.path.rstrip("/")
        shown = [{**each, "link": f"{base}/files/{quote(each['path'])}"} for each in files[:_MOST_SHOWN]]
        document = job_document(stored, now=timezone.now())
        return Response({**document, "files": shown}, headers={"Cache-Control": "no-store"})


class ExportFilesViewSet(DeclaredView, ViewSet):
    """The files of exports."""

    access = {"retrieve": _READ}
    parameters = {"retrieve": [_ID, _FILE, _RANGE]}
    renderer_classes = [FileRenderer]

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiResponse({"type": "string", "format": "binary"}),
            (206, "application/octet-stream"): OpenApiResponse({"type": "string", "format": "binary"}),
        },
        examples=[
            OpenApiExample(
                "A CSV file",
                value="timestamp,price,volume\r\n2025-01-02T14:30:00.0Z,189.98,100\r\n",
                media_type="application/octet-stream",
                response_only=True,
            )
        ],
    )
    def retrieve(self, request: Request, job: str, path: str) -> HttpResponseBase:
        """Download a file of an export.

        A file, or with `Range` a part of it. `ETag` is its SHA-256, `Content-Digest` is of the whole file (RFC 9530).
        """
        stored = finished_export(cast("Caller", request.user), job)
        return file_response(request, export_file(stored, path))


def file_response(request: Request, file: ExportedFile) -> HttpResponseBase:
    """Return an answer with a file or a part of it, or 304. Raises RangeNotSatisfiable."""
    etag = f'"{file.sha256}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes"}
    if is_current(request.headers.get("If-None-Match"), etag):
        return HttpResponse(status=304, headers=headers)
    asked = request.headers.get("Range") if request.headers.get("If-Range", etag) == etag else None
    part = requested_range(asked, file.size)
    sent = part or range(file.size)
    headers["Content-Length"] = str(len(sent))
    headers["Content-Disposition"] = f'attachment; filename="{file.path.name}"'
    if part is None:
        headers["Content-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(file.sha256)).decode()}:"
    else:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    content_type = mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
    return StreamingHttpResponse(
        _blocks(file.path, sent),
        status=200 if part is None else 206,
        content_type=content_type,
        headers=headers,
    )


def _blocks(path: Path, part: range) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(part.start)
        remaining = len(part)
        while remaining and (block := file.read(min(_BLOCK_BYTES, remaining))):
            remaining -= len(block)
            yield block
