"""Why a request with an Idempotency-Key is refused, whatever keeps its answer.

IdempotencyError
├── IdempotencyKeyReused   the key came with another body before; take a new one
├── RequestInProgress      the first request with the key is still running; retry in a moment
└── AlreadyMade            the request was done, and its answer cannot be opened; look up what it made

A key of the wrong form is an `InvalidParameter` of `http_requests.exceptions`.
"""

from typing import ClassVar


class IdempotencyError(Exception):
    """Base of these refusals; `code` is stable, the message is for people."""

    code: ClassVar[str] = "idempotency_error"
    message: ClassVar[str] = "the Idempotency-Key cannot be used"

    def __init__(self) -> None:
        super().__init__(self.message)


class IdempotencyKeyReused(IdempotencyError):
    """The key came with another body before. Take a new one."""

    code = "idempotency_key_reused"
    message = "this Idempotency-Key was used for another request body"


class RequestInProgress(IdempotencyError):
    """The first request with the key is still running. Retry in a moment."""

    code = "in_progress"
    message = "a request with this Idempotency-Key is still running"


class AlreadyMade(IdempotencyError):
    """The request was done before, and its answer can no longer be opened. Look up what it made."""

    code = "already_made"
    message = "this request was done before, and SECRET_KEY is another one since; look up what it made"
