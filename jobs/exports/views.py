"""The endpoints of exports."""

import mimetypes
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, cast
from urllib.parse import quote

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from jobs.documents import job_document
from jobs.exceptions import JobError
from jobs.exports.query import (
    DATASET_ID,
    FILE_PATH,
    DataSetDocument,
    ExportDocument,
    ExportRequestSerializer,
    LinkDocument,
    LinkRequestSerializer,
    export_parameters,
)
from jobs.exports.services import (
    FileOnDisk,
    dataset_document,
    export,
    export_delete,
    export_file,
    export_of,
    exported_bytes,
    exported_files,
    link_token,
    linked_file,
    require_bytes,
)
from jobs.kinds import JobKind
from jobs.views import SubmissionViewSet
from ratelimit.authorize import check_access
from ratelimit.callers import Caller
from stats.market_data.datasets import MARKET_DATASETS
from stats.rendering.format import FormatRenderer
from store.timestamps import SECOND_NS, format_timestamp
from web.endpoints import ANY_CALLER, ANYBODY, WRITE, Access
from web.requests.conditional import is_current
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject
from web.requests.ranges import requested_range
from web.views import DeclaredView, id_parameter


def _parameter(
    name: str, place: Literal["path", "query", "header"], description: str, **schema: Any
) -> OpenApiParameter:
    is_required = place != "header"
    return OpenApiParameter(
        name, {"type": "string", **schema}, place, required=is_required, description=description
    )


_ID = id_parameter("job", "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f13", "The id of the export's job.")
_FILE = _parameter("path", "path", "The file's path, or `manifest.json`.", examples=[FILE_PATH])
_RANGE = _parameter("Range", "header", "A part of the file.", examples=["bytes=0-1048575"])
_SHA256 = {"pattern": "^[0-9a-f]{64}$", "examples": [DATASET_ID]}
_DATASET = _parameter("dataset_id", "path", "The data set's id: the SHA-256 of its manifest.", **_SHA256)
_TOKEN = _parameter("token", "query", "Of the link.", examples=["WyI1ZjBjMWI1Mi0….kW9oT1x2"])
_BYTES = "application/octet-stream"
_CSV = "timestamp,price,volume\r\n2025-01-02T14:30:00.0Z,189.98,100\r\n"
_FILE_ANSWER = extend_schema(
    responses={
        (status, _BYTES): OpenApiResponse({"type": "string", "format": "binary"}) for status in (200, 206)
    },
    examples=[OpenApiExample("A CSV file", value=_CSV, media_type=_BYTES, response_only=True)],
)
_MOST_SHOWN = 1_000
# A thousand symbols of options.
_BODY_BYTES = 64 * 2**10
_BLOCK_BYTES = 1 << 18
# Of an export, its kind says who may see it.
_READ, _CHANGE = Access(ANY_CALLER), Access(ANY_CALLER, kind=WRITE)


EXPORT = JobKind(
    name="export",
    function=export,
    serializer=ExportRequestSerializer,
    unit="rows",
    access=Access("market:read", kind=WRITE, body_bytes=_BODY_BYTES),
    most_unfinished=100,
    is_export=True,
)


class FileRenderer(FormatRenderer):
    """Stands for a file of any type, which is sent as it is."""

    media_type = "*/*"
    format = "file"


class ExportSubmissionViewSet(SubmissionViewSet):
    """The base of endpoints that submit exports."""

    tag = "exports"

    def require_possible(self, parameters: JsonObject) -> None:
        """Refuse an export of whose bytes none would be left."""
        require_bytes(exported_bytes(cast("Caller", self.request.user).identity) + 1)


class ExportsViewSet(ExportSubmissionViewSet):
    """Exports: rows as files, made by a job. A caller sees its own, as long as the caller may make such exports."""

    access = {"create": EXPORT.access, "retrieve": _READ, "destroy": _CHANGE, "link": _CHANGE}
    bodies = {"create": ExportRequestSerializer, "link": LinkRequestSerializer}
    answers: ClassVar[Any] = {
        **SubmissionViewSet.answers,
        "retrieve": ExportDocument,
        "destroy": None,
        "link": LinkDocument,
    }
    common_parameters = (_ID,)
    kind = EXPORT.name

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
        check_access(caller, MARKET_DATASETS[parameters["dataset"]].access)

    def retrieve(self, request: Request, job: str) -> Response:
        """Get an export. An export's job and, when it has succeeded, its files."""
        stored = export_of(cast("Caller", request.user), job)
        try:
            files = exported_files(stored)
        except JobError:
            files = []
        base = request.path.rstrip("/")
        shown = [{**each, "link": f"{base}/files/{quote(each['path'])}"} for each in files[:_MOST_SHOWN]]
        document = job_document(stored)
        return Response({**document, "files": shown}, headers={"Cache-Control": "no-store"})

    def destroy(self, request: Request, job: str) -> Response:
        """Delete an export's files.

        Delete the files before their time, so that they do not count any more. The job stays, and so does what it says.

        Of an export that has not ended, cancel the job instead: its files are deleted then.
        """
        export_delete(export_of(cast("Caller", request.user), job))
        return Response(status=204)

    def link(self, request: Request, job: str) -> Response:
        """Make a link to a file.

        A link with which anybody downloads a file, without a key, until it expires.

        It ends with the export, and with the key that made it.
        """
        caller, body = cast("Caller", request.user), self.body()
        stored = export_of(caller, job)
        export_file(stored, body["path"])
        expires_ns = time.time_ns() + body["expires_in"] * SECOND_NS
        token = link_token(stored, body["path"], maker=caller.identity, expires_ns=expires_ns)
        url = request.build_absolute_uri(f"{reverse('download')}?token={token}")
        document = LinkDocument(url, format_timestamp(expires_ns))
        return Response(document.as_json(), headers={"Cache-Control": "no-store"})


class ExportFilesViewSet(DeclaredView, ViewSet):
    """The files of exports."""

    tag = "exports"
    access = {"retrieve": _READ}
    parameters = {"retrieve": [_ID, _FILE, _RANGE]}
    renderer_classes = [FileRenderer]

    @_FILE_ANSWER
    def retrieve(self, request: Request, job: str, path: str) -> HttpResponseBase:
        """Download a file of an export.

        A file, or with `Range` a part of it. `ETag` is its SHA-256, `Content-Digest` is of the whole file (RFC 9530).
        """
        stored = export_of(cast("Caller", request.user), job)
        return file_response(request, export_file(stored, path))


class DataSetsViewSet(DeclaredView, ViewSet):
    """Data sets: what exports held, by the id that can be cited."""

    tag = "exports"
    access = {"retrieve": Access("market:read")}
    answers: ClassVar[Any] = {"retrieve": DataSetDocument}
    parameters = {"retrieve": [_DATASET]}

    def retrieve(self, request: Request, dataset_id: str) -> Response:
        """Get a data set. What an export held, also when its files are deleted, and the body that exports it again."""
        return Response(dataset_document(cast("Caller", request.user), dataset_id))


class DownloadsViewSet(DeclaredView, ViewSet):
    """Files of exports, by links."""

    tag = "exports"
    authentication_classes = ()
    access = {"retrieve": Access(ANYBODY)}
    parameters = {"retrieve": [_TOKEN, _RANGE]}
    renderer_classes = [FileRenderer]

    @_FILE_ANSWER
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Download a file by a link. As the export's own path does, for whoever has the link."""
        if "token" not in self.query:
            raise InvalidParameter("missing_parameter", "token: is required")
        return file_response(request, linked_file(self.query["token"], now=timezone.now()))


def file_response(request: Request, file: FileOnDisk) -> HttpResponseBase:
    """Return an answer with a file or a part of it, or 304. Raises JobError and RangeNotSatisfiable."""
    etag = f'"{file.sha256}"'
    if "If-Match" in request.headers and not is_current(request.headers["If-Match"], etag):
        raise JobError("file_changed", f"the file's ETag is {etag}")
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes"}
    if is_current(request.headers.get("If-None-Match"), etag):
        return HttpResponse(status=304, headers=headers)
    asked = request.headers.get("Range") if request.headers.get("If-Range", etag) == etag else None
    part = requested_range(asked, file.size)
    if part is None:
        headers["Content-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(file.sha256)).decode()}:"
    else:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    sent = part or range(file.size)
    headers["Content-Length"] = str(len(sent))
    headers["Content-Disposition"] = f'attachment; filename="{file.name}"'
    content_type = mimetypes.guess_type(file.name)[0] or _BYTES
    return StreamingHttpResponse(
        _blocks(file.path, sent), status=206 if part else 200, content_type=content_type, headers=headers
    )


def _blocks(path: Path, part: range) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(part.start)
        for start in part[::_BLOCK_BYTES]:
            yield file.read(min(_BLOCK_BYTES, part.stop - start))
