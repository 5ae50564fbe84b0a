"""Uploads as jobs: the function, and what begins and ends an upload."""

import hashlib
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from jobs.documents import job_of
from jobs.exceptions import UnknownJob
from jobs.kinds import Run
from jobs.models import Job
from jobs.services import job_submit
from jobs.uploads.exceptions import UnknownUpload, UploadDigestMismatch
from jobs.uploads.files import Upload, UploadWriter, upload_find, uploads_all
from ratelimit.authorize import check_access
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_stored
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

KIND = "upload"
# The call that begins an upload. Its job needs the same.
SUBMISSION = Access("market:write", kind=WRITE)
_HASHED_AT_ONCE = 2**20


def upload_of(caller: Caller, text: str) -> Upload | Job:
    """Return a caller's upload, or the job that it has become. Raises UnknownUpload."""
    with suppress(UnknownUpload):
        upload = upload_find(text)
        if upload.owner != caller.principal:
            raise UnknownUpload
        if upload.offset < upload.size:
            return upload
        with suppress(UnknownJob):
            return job_of(caller, text)
        return upload
    try:
        job = job_of(caller, text)
    except UnknownJob as error:
        raise UnknownUpload from error
    if job.kind != KIND:
        raise UnknownUpload
    return job


def upload_finish(upload: Upload, *, now: datetime, correlation_id: str) -> Job:
    """Queue the job of an upload whose bytes have all arrived, once, and return it. Raises UploadBusy."""
    with UploadWriter(upload, upload.size) as writer:
        writer.sync()
        job = Job.objects.filter(uuid=upload.uuid).first()
        return job or job_submit(
            kind=KIND,
            uuid=upload.uuid,
            parameters=upload.parameters,
            owner=upload.owner,
            created_by=upload.created_by,
            now=now,
            correlation_id=correlation_id,
            callback_url=upload.callback_url,
        )


def upload_import(run: Run) -> JsonObject:
    """Import an upload's file (the function of the kind), and delete it.

    An attempt after another one reads the file again; what was stored is answered again by the request keys.
    """
    if "result" in run.note:
        return _removed(run.uuid, run.note["result"])
    check_access(caller_stored(run.created_by, now=timezone.now()), SUBMISSION)
    upload = upload_find(run.uuid)
    _check_digest(upload, run)
    from jobs.uploads.importing import imported  # noqa: PLC0415 (imports pyarrow)

    result = imported(upload, run)
    run.leave({"result": result})
    return _removed(run.uuid, result)


def _removed(uuid: UUID, result: JsonObject) -> JsonObject:
    with suppress(UnknownUpload):
        upload_find(uuid).remove()
    return result


def _check_digest(upload: Upload, run: Run) -> None:
    expected = upload.parameters.get("sha256")
    if not expected:
        return
    digest = hashlib.sha256()
    with upload.path.open("rb") as file:
        while data := file.read(_HASHED_AT_ONCE):
            digest.update(data)
            run.check()
    if digest.hexdigest() != expected:
        raise UploadDigestMismatch(digest.hexdigest())


def uploads_delete_old(*, now: datetime) -> None:
    """Delete uploads to which nothing was sent for UPLOAD_RETENTION_HOURS, and those whose jobs have ended."""
    oldest = now - timedelta(hours=settings.UPLOAD_RETENTION_HOURS)
    for upload in list(uploads_all()):
        job = Job.objects.filter(uuid=upload.uuid).first()
        with suppress(FileNotFoundError):
            if job.is_finished if job is not None else upload.changed_at <= oldest.timestamp():
                upload.remove()
