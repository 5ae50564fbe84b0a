"""Errors of exports.

JobError
├── UnfinishedExport   the export's job has not succeeded, so there are no files; look at its state
├── ExportUnfinished   the files of an export that has not ended cannot be deleted; cancel its job
├── ExportExpired      the files were deleted; make the export again
├── FileChanged        the file has another ETag than `If-Match` names; look at the file's ETag
├── ExportQuota        the principal's exports have as many bytes as they may; delete some
├── InvalidLink        the link was altered, or who made it may not see the export any more; ask for another
└── LinkExpired        the link's time is over; ask for another
"""

from jobs.exceptions import JobError


class UnfinishedExport(JobError):
    """The export's job has not succeeded, so there are no files. Look at the job's state."""

    code = "not_found"

    def __init__(self, state: str) -> None:
        super().__init__(f"the export is {state}: its files are there when its job has succeeded")


class ExportUnfinished(JobError):
    """The export has not ended. Cancel its job: the files are deleted then."""

    code = "export_unfinished"

    def __init__(self, state: str) -> None:
        super().__init__(f"the export is {state}: cancel its job, and its files are deleted")


class ExportExpired(JobError):
    """The export's files were deleted. Export again: the job's `parameters` make the same files."""

    code = "export_expired"


class FileChanged(JobError):
    """The file has another ETag than `If-Match` names. Look at the file's ETag."""

    code = "file_changed"


class ExportQuota(JobError):
    """The caller's exports have as many bytes as they may have. Delete an export, or wait until one expires."""

    code = "export_quota"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"the caller's exports have at most {most:,} bytes; delete one (DELETE /api/v1/exports/{{id}})"
        )


class InvalidLink(JobError):
    """The link was altered, or its maker may not see the export any more. Ask for another link."""

    code = "invalid_link"


class LinkExpired(JobError):
    """The time of the link is over. Ask for another link."""

    code = "link_expired"
