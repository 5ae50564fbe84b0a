"""Errors of jobs. A client meets a `JobError`. A `JobStopped` ends a job's function from outside."""

from collections.abc import Mapping

from web.requests.json_fields import JsonObject


class JobError(Exception):
    """An error that a client meets. code: one of `marketdata_project/error_codes.py`, which says what to do."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.headers = code, dict(headers or {})


class UnknownJob(JobError):
    """There is no such job, or the caller may not see it. Check the id."""

    def __init__(self, what: str = "job") -> None:
        super().__init__("not_found", f"there is no such {what}")


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
