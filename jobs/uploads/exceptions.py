"""Errors of uploads.

JobError
├── UnknownUpload           there is no such upload, or the caller may not see it, or it expired; begin a new one
├── UploadOffsetMismatch    the upload does not go on at this offset; go on at the one that the answer gives
├── UploadBusy              another request sends to the upload; retry
├── TooManyUploads          the caller has too many uploads; finish or delete some
├── UploadDigestMismatch    the file does not have the SHA-256 that was declared; send it again
└── UploadRefused           the file as a whole cannot be imported; correct it
"""

from jobs.exceptions import JobError


class UnknownUpload(JobError):
    """There is no such upload, or the caller may not see it, or it expired. Begin a new one."""

    code = "not_found"

    def __init__(self) -> None:
        super().__init__("there is no such upload")


class UploadOffsetMismatch(JobError):
    """The upload does not go on at this offset. Go on at the offset that the answer gives."""

    code = "upload_offset_mismatch"

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload goes on at byte {offset}")
        self.headers = {"Upload-Offset": str(offset)}


class UploadBusy(JobError):
    """Another request sends to the upload. Retry: a connection that was cut ends within seconds."""

    code = "upload_busy"

    def __init__(self) -> None:
        super().__init__("another request sends to this upload: retry")


class TooManyUploads(JobError):
    """The caller has too many uploads, or too many bytes of them. Wait for their jobs, or delete some."""

    code = "too_many_uploads"


class UploadDigestMismatch(JobError):
    """The file does not have the SHA-256 that was declared; nothing was stored. Send it again."""

    code = "upload_digest_mismatch"

    def __init__(self, found: str) -> None:
        super().__init__(f"the file's SHA-256 is {found}, not the declared one; nothing was stored")


class UploadRefused(JobError):
    """The file, or an option, cannot be read. Correct it. Of a file that cannot be read nothing was stored."""

    code = "upload_refused"
