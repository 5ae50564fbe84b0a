"""Errors of jobs.

JobError
├── UnknownJob      there is no such job, or the caller may not see it; check the id
├── TooManyJobs     the caller's principal has too many unfinished jobs of a kind; wait for one's end, or cancel one
└── WorkerLost      the job's workers ended in the midst of it again and again; look at their log

JobStopped          raised inside a job's function, to end it; never caught there
├── JobCancelled    somebody cancelled the job
├── LeaseLost       the lease ended before it was renewed, and another worker may have the job
└── WorkerEnding    the worker was told to end; the job is queued again
"""

from typing import ClassVar


class JobError(Exception):
    """Base of the errors that a client meets; `code` is stable."""

    code: ClassVar[str] = "job_error"


class UnknownJob(JobError):
    """There is no such job, or the caller may not see it. Check the id."""

    code = "not_found"

    def __init__(self, what: str = "job") -> None:
        super().__init__(f"there is no such {what}")


class TooManyJobs(JobError):
    """The caller's principal has too many unfinished jobs of a kind. Wait for the end of one, or cancel one."""

    code = "too_many_jobs"

    def __init__(self, kind: str, most: int) -> None:
        super().__init__(
            f"the caller has {most} unfinished jobs of the kind {kind}, the most; wait for the end of one, or cancel one"
        )


class WorkerLost(JobError):
    """The job's workers ended in the midst of it too often. Look at their log."""

    code = "worker_lost"

    def __init__(self, attempts: int) -> None:
        super().__init__(f"the job's worker ended in the midst of it {attempts} times; see the server's log")


class JobStopped(BaseException):
    """Base of what ends a job's function from outside. Not an Exception, so that no function catches it by mistake."""


class JobCancelled(JobStopped):
    """Somebody cancelled the job."""


class LeaseLost(JobStopped):
    """The lease ended before it was renewed, and another worker may have the job."""


class WorkerEnding(JobStopped):
    """The worker was told to end; the job is queued again."""
