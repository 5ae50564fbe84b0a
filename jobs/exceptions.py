"""Errors of jobs.

JobError
├── UnknownJob      there is no such job, or the caller may not see it; check the id
├── TooManyJobs     the caller's principal has too many unfinished jobs of a kind; wait for one's end, or cancel one
├── ConfirmationNotNeeded   the job has not asked for confirmation, or has ended; get the job
├── ConfirmationExpired     nobody confirmed the job in time; submit it again
└── WorkerLost      the job's workers ended in the midst of it again and again; look at their log

JobStopped          raised inside a job's function, to end it; never caught there
├── ConfirmationNeeded  the function asks for confirmation; it is called again when somebody has confirmed
├── JobCancelled    somebody cancelled the job
├── LeaseLost       the lease ended before it was renewed, and another worker may have the job
└── WorkerEnding    the worker was told to end; the job is queued again
"""

from typing import ClassVar

from web.requests.json_fields import JsonObject


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


class ConfirmationNotNeeded(JobError):
    """The job has not asked for confirmation, or has ended. Get the job."""

    code = "confirmation_not_needed"

    def __init__(self, state: str) -> None:
        super().__init__(f"the job is {state}: only a job in the state needs_confirmation can be confirmed")


class ConfirmationExpired(JobError):
    """A job failed: nobody confirmed it within a day, and nothing was stored. Submit it again."""

    code = "confirmation_expired"

    def __init__(self) -> None:
        super().__init__("nobody confirmed the job within a day; nothing was stored: submit it again")


class WorkerLost(JobError):
    """The job's workers ended in the midst of it too often. Look at their log."""

    code = "worker_lost"

    def __init__(self, attempts: int) -> None:
        super().__init__(f"the job's worker ended in the midst of it {attempts} times; see the server's log")


class JobStopped(BaseException):
    """Base of what ends a job's function from outside. Not an Exception, so that no function catches it by mistake."""


class ConfirmationNeeded(JobStopped):
    """The function asks for confirmation of `preview`, a JSON document. It has stored nothing.

    It is called again when somebody has confirmed; `Run.is_confirmed` is then true.
    """

    def __init__(self, preview: JsonObject) -> None:
        super().__init__()
        self.preview = preview


class JobCancelled(JobStopped):
    """Somebody cancelled the job."""


class LeaseLost(JobStopped):
    """The lease ended before it was renewed, and another worker may have the job."""


class WorkerEnding(JobStopped):
    """The worker was told to end; the job is queued again."""
