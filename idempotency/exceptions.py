"""Refusals of a request with an Idempotency-Key.

IdempotencyError
├── IdempotencyKeyReused   the key came with another body before; take a new one
├── RequestStillRunning    the first request with the key is still running; retry in a moment
└── AlreadyMade            the request was done, and its answer cannot be opened; look up what it made

A malformed key is an `InvalidParameter` of `http_requests.exceptions`.
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
    message = "this Idempotency-Key was used for another request body; take a new one"


class RequestStillRunning(IdempotencyError):
    """The first request with the key is still running. Retry in a moment."""

    code = "in_progress"
    message = "a request with this Idempotency-Key is still running; retry in a moment"


class AlreadyMade(IdempotencyError):
    """The request was done before, and its answer can no longer be opened. Look up what it made."""

    code = "already_made"
    message = "this request was done before SECRET_KEY was changed; look up what it made"
