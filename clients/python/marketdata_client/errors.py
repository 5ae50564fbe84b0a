"""What can go wrong.

MarketDataError
  Unreachable            no answer: retry later
  BadAnswer              the answer does not follow the API's contract: report it
    IncompleteStream     a stream without a matching trailer: read it again
  Refused                a problem document, with `code`, `message`, `correlation_id`, `errors`
    NotAuthenticated     401: the credential
    Forbidden            403: what the credential may do
    NotFound             404
    Conflict             409, 412: read the current state, then retry
    InvalidRequest       any other 4xx: correct the request
    RateLimited          429: retry after `retry_after` seconds
    ServerFailed         5xx: retry, or tell the operator
  JobFailed              a job ended as failed or cancelled
  ConfirmationNeeded     a job asks before it goes on: look at `preview`, then `confirm` it
  JournalConflict        the journal is of other rows, or in use
  BadSignature           a call to your webhook is not the server's: answer 400
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

_LONGEST_TEXT = 2_000
_MOST_FIELDS = 100


class MarketDataError(Exception):
    """Base of the client's errors."""


class Unreachable(MarketDataError):
    """There was no answer: no connection, a timeout, or a connection that broke.

    close_code: the WebSocket's close code, if it has one.
    """

    def __init__(self, message: str, *, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code


class BadAnswer(MarketDataError):
    """The answer is too large, is not the document that it should be, or is a redirect."""


class IncompleteStream(BadAnswer):
    """A stream ended without its trailer, or the trailer does not agree with the rows."""


class BadSignature(MarketDataError):
    """A call is not signed with the secret, or is too old."""


class JournalConflict(MarketDataError):
    """A journal was begun with other rows or for another server, or another process uses it."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """A wrong field: its path in the request, a code, and a text for people."""

    path: str
    code: str
    message: str


class Refused(MarketDataError):
    """The server answered with an error.

    status: the HTTP status. code: stable, for programs (docs/errors.md). correlation_id: for the operator. errors: the
    wrong fields. retry_after: seconds, if the server gave them.
    """

    statuses: ClassVar[frozenset[int]] = frozenset()

    def __init__(
        self,
        *,
        status: int,
        code: str,
        message: str,
        correlation_id: str = "",
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.correlation_id = correlation_id
        self.errors = errors
        self.retry_after = retry_after


class NotAuthenticated(Refused):
    statuses = frozenset({401})


class Forbidden(Refused):
    statuses = frozenset({403})


class NotFound(Refused):
    statuses = frozenset({404, 410})


class Conflict(Refused):
    statuses = frozenset({409, 412})


class RateLimited(Refused):
    statuses = frozenset({429})


class InvalidRequest(Refused):
    pass


class ServerFailed(Refused):
    pass


class JobFailed(MarketDataError):
    """A job ended, but not well. job: its document; `code` and `message` are those of its error."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        error = job.get("error")
        problem: Mapping[str, Any] = error if isinstance(error, dict) else {}
        self.job = job
        self.code = _text(problem.get("code")) or _text(job.get("state"))
        self.message = _text(problem.get("message"))
        super().__init__(f"the job {_text(job.get('id'))} ended: {self.code} {self.message}".rstrip())


class ConfirmationNeeded(MarketDataError):
    """A job asks before it goes on, and has stored nothing. job: its document.

    preview: what it would do (docs/uploads.md). `client.confirm(job_id)` lets it do this.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        preview = job.get("preview")
        self.job = job
        self.job_id = _text(job.get("id"))
        self.preview: Mapping[str, Any] = preview if isinstance(preview, dict) else {}
        super().__init__(f"the job {self.job_id} needs confirmation: look at preview, then call confirm")


_BY_STATUS = {
    status: kind
    for kind in (NotAuthenticated, Forbidden, NotFound, Conflict, RateLimited)
    for status in kind.statuses
}


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """Return the error that an answer of status 400 or more stands for, whatever its body is."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    problem = found if isinstance(found, dict) else {}
    return refusal(status, problem, retry_after=seconds_in(headers.get("retry-after", "")))


def refusal(status: int, problem: Mapping[str, Any], *, retry_after: float | None = None) -> Refused:
    """Return the error of a problem document."""
    kind = _BY_STATUS.get(status, InvalidRequest if status < 500 else ServerFailed)
    fields = problem.get("errors")
    return kind(
        status=status,
        code=_text(problem.get("code")) or "unknown",
        message=_text(problem.get("message")) or "the answer has no message",
        correlation_id=_text(problem.get("correlation_id")),
        errors=tuple(_field(each) for each in fields[:_MOST_FIELDS]) if isinstance(fields, list) else (),
        retry_after=retry_after,
    )


def seconds_in(text: str) -> float | None:
    """Return the seconds of a Retry-After; None if it is no whole number of at most nine digits."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _field(found: object) -> FieldError:
    known: dict[str, Any] = found if isinstance(found, dict) else {}
    return FieldError(*(_text(known.get(name)) for name in ("path", "code", "message")))


def _text(value: object) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
