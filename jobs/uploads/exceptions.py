"""Errors of uploads.

JobError
├── UploadOffsetMismatch    the upload does not go on at this offset; go on at the one that the answer gives
├── UploadBusy              another request sends to the upload; retry
├── TooManyUploads          the caller's uploads have too many bytes; wait for their jobs, or cancel some
├── UploadDigestMismatch    the file does not have the SHA-256 that was declared; send it again
└── UploadRefused           the file as a whole cannot be imported; correct it
"""

from jobs.exceptions import JobError


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
    """The caller's unfinished uploads have too many bytes. Wait for their jobs, or cancel some."""

    code = "too_many_uploads"

    def __init__(self, most: int) -> None:
        super().__init__(f"a caller's unfinished uploads have at most {most:,} bytes in all")


class UploadDigestMismatch(JobError):
    """The file does not have the SHA-256 that was declared; nothing was stored. Send it again."""

    code = "upload_digest_mismatch"

    def __init__(self, found: str) -> None:
        super().__init__(f"the file's SHA-256 is {found}, not the declared one; nothing was stored")


class UploadRefused(JobError):
    """The file is not complete, or cannot be read; nothing was stored. Correct it."""

    code = "upload_refused"
