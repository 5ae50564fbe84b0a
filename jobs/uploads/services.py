"""Uploads: jobs that begin when their files have arrived."""

import hashlib
import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from jobs.exceptions import UnknownJob
from jobs.kinds import JobKind, Run
from jobs.models import QUEUED, UNFINISHED, Job
from jobs.uploads.exceptions import TooManyUploads, UploadDigestMismatch, UploadRefused
from jobs.uploads.files import unavailable, upload_offset, upload_path
from jobs.uploads.serializers import UploadRequestSerializer
from ratelimit.authorize import check_access
from ratelimit.credentials.identify import caller_stored
from store.exceptions import StoreFull
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

# The call that begins an upload. Its job needs the same.
SUBMISSION = Access("market:write", kind=WRITE)
_HASHED_AT_ONCE = 2**20


def require_space(*, owner: str, size: int) -> None:
    """Raise TooManyUploads, or StoreFull, if there is no space for an upload of so many bytes; StoreUnavailable."""
    most = 2 * settings.MAX_UPLOAD_BYTES
    unfinished = Job.objects.filter(kind=UPLOAD.name, owner=owner, state__in=UNFINISHED)
    if sum(unfinished.values_list("parameters__size", flat=True)) + size > most:
        raise TooManyUploads(most)
    root = Path(settings.UPLOADS_DIR)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
    except OSError as error:
        raise unavailable(error) from error
    if free < size:
        raise StoreFull("no space is left for the upload")


def upload_of(owner: str, text: str) -> Job:
    """Return the job of an owner's upload by its id, given as text. Raises UnknownJob."""
    try:
        return Job.objects.get(kind=UPLOAD.name, owner=owner, uuid=UUID(text))
    except (ValueError, Job.DoesNotExist) as error:
        raise UnknownJob from error


def is_sent(job: Job, *, now: datetime) -> bool:
    """Return whether an upload takes no more bytes: its job may start, or has started, or has ended."""
    return job.is_finished or job.attempts > 0 or job.not_before <= now


def upload_start(job: Job, *, now: datetime) -> None:
    """Let an upload's job start if all bytes have arrived. They are durable then. Raises StoreFull, StoreUnavailable."""
    if is_sent(job, now=now) or upload_offset(job) < job.parameters["size"]:
        return
    try:
        with upload_path(job).open("rb") as file:
            os.fsync(file.fileno())
    except OSError as error:  # some file systems find space only now
        raise unavailable(error) from error
    if Job.objects.filter(pk=job.pk, state=QUEUED, not_before__gt=now).update(not_before=now):
        job.not_before = now


def upload_import(run: Run) -> JsonObject:
    """Import an upload's file (the function of the kind).

    An attempt after another one reads the file again; what was stored is answered again by the request keys.
    """
    check_access(caller_stored(run.created_by, now=timezone.now()), SUBMISSION)
    size, found = run.parameters["size"], upload_offset(run)
    if found < size:
        raise UploadRefused(f"{found:,} of {size:,} bytes have arrived in time")
    _check_digest(run)
    from jobs.uploads.importing import imported  # noqa: PLC0415 (imports pyarrow)

    return imported(run)


def _check_digest(run: Run) -> None:
    expected = run.parameters.get("sha256")
    if not expected:
        return
    digest = hashlib.sha256()
    with upload_path(run).open("rb") as file:
        while data := file.read(_HASHED_AT_ONCE):
            digest.update(data)
            run.check()
    if digest.hexdigest() != expected:
        raise UploadDigestMismatch(digest.hexdigest())


def uploads_delete_old(*, now: datetime) -> None:
    """Delete the files of uploads whose jobs have ended."""
    root = Path(settings.UPLOADS_DIR)
    for folder in root.iterdir() if root.exists() else ():
        with suppress(ValueError):
            if not Job.objects.filter(uuid=UUID(folder.name), state__in=UNFINISHED).exists():
                shutil.rmtree(folder, ignore_errors=True)


UPLOAD = JobKind(
    name="upload",
    function=upload_import,
    serializer=UploadRequestSerializer,
    unit="bytes",
    access=SUBMISSION,
    most_unfinished=20,
    is_result_large=True,
)
