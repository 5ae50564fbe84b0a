"""Uploads: their files, a folder for each, and the jobs that begin when a file has arrived."""

import errno
import fcntl
import hashlib
import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from jobs.exceptions import JobError, UnknownJob
from jobs.kinds import JobKind, Run
from jobs.models import QUEUED, UNFINISHED, Job
from jobs.uploads.serializers import UploadRequestSerializer
from ratelimit.authorize import check_access
from ratelimit.credentials.identify import caller_stored
from store.exceptions import StoreFull, StoreUnavailable
from web.endpoints import WRITE, Access
from web.requests.exceptions import BodyTooLarge
from web.requests.json_fields import JsonObject

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def upload_path(job: Job | Run) -> Path:
    """Return the path of an upload's file. Without a given name it is no symbol, so that rows without one are refused."""
    name = job.parameters.get("name") or f"(upload).{job.parameters['format']}"
    return Path(settings.UPLOADS_DIR) / str(job.uuid) / name


def upload_offset(job: Job | Run) -> int:
    """Return how many bytes of an upload have arrived."""
    try:
        return upload_path(job).stat().st_size
    except FileNotFoundError:
        return 0


class UploadWriter:
    """Appends bytes to an upload's file. No other writer does so meanwhile.

    room: how many bytes may come. error: why `write` failed; then it has written a part, and writes nothing more.
    """

    def __init__(self, job: Job, offset: int) -> None:
        """Open the file. Raises JobError, StoreUnavailable."""
        path = upload_path(job)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise unavailable(error) from error
        self.error: Exception | None = None
        self.room = job.parameters["size"] - offset
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise JobError("upload_busy", "another request sends to this upload: retry") from error
        if (found := self._file.tell()) != offset:
            self.close()
            raise offset_mismatch(found)

    def write(self, data: bytes) -> None:
        """Append bytes. Sets `error` if the disk takes none. Raises BodyTooLarge for more bytes than the upload has."""
        if len(data) > self.room:
            raise BodyTooLarge(self.room)
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                written = os.write(self._file.fileno(), rest)
                rest, self.room = rest[written:], self.room - written
        except OSError as error:
            self.error = unavailable(error)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def offset_mismatch(offset: int) -> JobError:
    """Return the error of a call that does not go on where an upload does."""
    message, headers = f"the upload goes on at byte {offset}", {"Upload-Offset": str(offset)}
    return JobError("upload_offset_mismatch", message, headers=headers)


def unavailable(error: OSError) -> StoreUnavailable:
    """Return what a caller is told of an error of the disk."""
    if error.errno in _FULL:
        return StoreFull("no space is left for the upload; what has arrived stays")
    return StoreUnavailable(f"the upload cannot be written: {error.strerror}")


# The call that begins an upload. Its job needs the same.
SUBMISSION = Access("market:write", kind=WRITE)
_HASHED_AT_ONCE = 2**20


def require_space(*, owner: str, size: int) -> None:
    """Raise JobError, or StoreFull, if there is no space for an upload of so many bytes; StoreUnavailable."""
    most = 2 * settings.MAX_UPLOAD_BYTES
    unfinished = Job.objects.filter(kind=UPLOAD.name, owner=owner, state__in=UNFINISHED)
    if sum(unfinished.values_list("parameters__size", flat=True)) + size > most:
        message = f"a caller's unfinished uploads have at most {most:,} bytes in all"
        raise JobError("too_many_uploads", message)
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
    if Job.objects.filter(pk=job.pk, state=QUEUED, not_before__gt=now).update(not_before=Now()):
        job.not_before = now


def upload_import(run: Run) -> JsonObject:
    """Import an upload's file (the function of the kind).

    An attempt after another one reads the file again, and stores nothing twice.
    """
    check_access(caller_stored(run.created_by, now=timezone.now()), SUBMISSION)
    size, found = run.parameters["size"], upload_offset(run)
    if found < size:
        raise JobError("upload_refused", f"{found:,} of {size:,} bytes have arrived in time")
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
        message = f"the file's SHA-256 is {digest.hexdigest()}, not the declared one; nothing was stored"
        raise JobError("upload_digest_mismatch", message)


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
