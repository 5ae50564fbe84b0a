"""Uploads on the disk: a folder for each, with its terms and the bytes that have arrived."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import orjson
from django.conf import settings

from jobs.uploads.exceptions import TooManyUploads, UnknownUpload, UploadBusy, UploadOffsetMismatch
from store.exceptions import StoreFull, StoreUnavailable
from web.requests.exceptions import BodyTooLarge
from web.requests.json_fields import JsonObject

# An owner's uploads whose jobs have not ended: so many, with so many bytes in all.
MOST_UPLOADS = 20
_TERMS = "terms.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload whose job has not ended.

    owner: the `Caller.principal` whose upload it is. created_by: its `Caller.identity`. parameters, callback_url:
    the job's.
    """

    folder: Path
    owner: str
    created_by: str
    parameters: JsonObject
    callback_url: str

    @property
    def uuid(self) -> UUID:
        """Its id, which is its job's, too."""
        return UUID(self.folder.name)

    @property
    def size(self) -> int:
        """The bytes of the whole file."""
        return int(self.parameters["size"])

    @property
    def path(self) -> Path:
        """The file. Its name is no symbol, so that rows without a symbol are refused."""
        return self.folder / f"(upload).{self.parameters['format']}"

    @property
    def offset(self) -> int:
        """How many bytes have arrived."""
        return self.path.stat().st_size

    @property
    def changed_at(self) -> float:
        """When the last byte arrived, in seconds since 1970."""
        return self.path.stat().st_mtime

    def remove(self) -> None:
        """Delete the file."""
        shutil.rmtree(self.folder, ignore_errors=True)


def uploads_folder() -> Path:
    """Return the folder of all uploads, which exists."""
    folder = Path(settings.UPLOADS_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def upload_create(*, owner: str, created_by: str, parameters: JsonObject, callback_url: str) -> Upload:
    """Begin an upload. Raises TooManyUploads, StoreFull, StoreUnavailable."""
    folder = uploads_folder()
    uploads = [each for each in uploads_all() if each.owner == owner]
    size, most = parameters["size"], 2 * settings.MAX_UPLOAD_BYTES
    if len(uploads) >= MOST_UPLOADS or sum(each.size for each in uploads) + size > most:
        raise TooManyUploads(f"a caller has at most {MOST_UPLOADS} uploads, of {most:,} bytes in all")
    if shutil.disk_usage(folder).free < size:
        raise StoreFull("no space is left for the upload")
    terms: JsonObject = {
        "owner": owner,
        "created_by": created_by,
        "parameters": parameters,
        "callback_url": callback_url,
    }
    upload = Upload(folder / str(uuid4()), **terms)
    try:
        upload.folder.mkdir(mode=0o700)
        upload.path.touch()
        (upload.folder / _TERMS).write_bytes(orjson.dumps(terms))
    except OSError as error:
        upload.remove()
        raise unavailable(error) from error
    return upload


def upload_find(uuid: UUID | str) -> Upload:
    """Return an upload whose job has not ended. Raises UnknownUpload."""
    try:
        folder = Path(settings.UPLOADS_DIR) / str(UUID(str(uuid)))
        return Upload(folder, **orjson.loads((folder / _TERMS).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UnknownUpload from error


def uploads_all() -> Iterator[Upload]:
    """Yield all uploads."""
    for folder in uploads_folder().iterdir():
        with suppress(UnknownUpload):
            yield upload_find(folder.name)


class UploadWriter:
    """Appends bytes to an upload. No other writer does so meanwhile.

    room: how many bytes may come. error: why `write` failed; then it has written a part, and writes nothing more.
    """

    def __init__(self, upload: Upload, offset: int) -> None:
        """Open the file. Raises UploadBusy, UploadOffsetMismatch, UnknownUpload."""
        self.error: StoreUnavailable | None = None
        try:
            self._file = os.open(upload.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise UnknownUpload from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise UploadBusy from error
        found = os.fstat(self._file).st_size
        if found != offset:
            self.close()
            raise UploadOffsetMismatch(found)
        self.room = upload.size - found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append bytes. Sets `error` if the disk takes none. Raises BodyTooLarge for more bytes than the upload has."""
        if len(data) > self.room:
            raise BodyTooLarge(self.room)
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                written = os.write(self._file, rest)
                rest, self.room = rest[written:], self.room - written
        except OSError as error:
            self.error = unavailable(error)

    def sync(self) -> None:
        """Make all bytes durable. Raises StoreUnavailable."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise unavailable(error) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def unavailable(error: OSError) -> StoreUnavailable:
    """Return what a caller is told of an error of the disk."""
    if error.errno in _FULL:
        return StoreFull("no space is left for the upload; what has arrived stays")
    return StoreUnavailable(f"the upload cannot be written: {error.strerror}")
