"""The files of uploads: a folder for each, named by its job."""

import errno
import fcntl
import os
from pathlib import Path

from django.conf import settings

from jobs.kinds import Run
from jobs.models import Job
from jobs.uploads.exceptions import UploadBusy, UploadOffsetMismatch
from store.exceptions import StoreFull, StoreUnavailable
from web.requests.exceptions import BodyTooLarge

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
        """Open the file. Raises UploadBusy, UploadOffsetMismatch, StoreUnavailable."""
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
            raise UploadBusy from error
        if (found := self._file.tell()) != offset:
            self.close()
            raise UploadOffsetMismatch(found)

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


def unavailable(error: OSError) -> StoreUnavailable:
    """Return what a caller is told of an error of the disk."""
    if error.errno in _FULL:
        return StoreFull("no space is left for the upload; what has arrived stays")
    return StoreUnavailable(f"the upload cannot be written: {error.strerror}")
