"""Errors of requests with an Idempotency-Key.

IdempotencyError
├── IdempotencyKeyReused   the key was used for another body or query; use a new key
├── RequestStillRunning    the first request with the key is still running; retry in a moment
└── AlreadyMade            the request was carried out, but its answer cannot be decrypted; look up the result

A malformed key raises `web.requests.exceptions.InvalidParameter`.
"""

from typing import ClassVar


class IdempotencyError(Exception):
    """Base of these errors; `code` is stable, the message is for people."""

    code: ClassVar[str] = "idempotency_error"
    message: ClassVar[str] = "the Idempotency-Key cannot be used"

    def __init__(self) -> None:
        super().__init__(self.message)


class IdempotencyKeyReused(IdempotencyError):
    """The key was used for another body or query. Use a new key."""

    code = "idempotency_key_reused"
    message = "this Idempotency-Key was used for another body or query; use a new one"


class RequestStillRunning(IdempotencyError):
    """The first request with the key is still running. Retry in a moment."""

    code = "in_progress"
    message = "a request with this Idempotency-Key is still running; retry in a moment"


class AlreadyMade(IdempotencyError):
    """The request was carried out before, but its answer can no longer be decrypted. Look up the result."""

    code = "already_made"
    message = "this request was carried out before SECRET_KEY was changed; look up its result"
