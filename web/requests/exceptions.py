"""Errors in a request's syntax.

RequestError            the caller must correct the request
├── InvalidParameter    a query parameter or header is unknown, repeated, empty or malformed
├── MalformedDocument   the body is not exactly one valid document in its format
└── BodyTooLarge        the body is over the limit; the caller must send less

Apps define their own errors about a request's content, with the same attributes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# An error lists at most this many wrong fields, rows or corrections. The check stops at this number.
ERRORS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path (`trades[3].price`), a stable code, and a message."""

    path: str
    code: str
    message: str


class RequestError(Exception):
    """Base of these errors. `code` is stable, the message is for people, `errors` lists the wrong fields."""

    def __init__(self, code: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)


class InvalidParameter(RequestError):
    """A query parameter or header is unknown, repeated, empty or malformed. Correct it."""


class MalformedDocument(RequestError):
    """The body is not exactly one valid document in its format (JSON: UTF-8, no repeated keys). Correct it."""


class BodyTooLarge(RequestError):
    """The body is over the limit. Send smaller batches."""

    def __init__(self, limit: int, instead: str = "less") -> None:
        super().__init__("body_too_large", f"at most {limit:,} bytes are taken here; send {instead}")
