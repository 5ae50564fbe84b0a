"""Errors in the form of a request.

RequestError            the caller must correct the request
├── InvalidParameter    a query parameter or header is unknown, repeated, empty or malformed
├── MalformedDocument   the body is not one document of its format
└── BodyTooLarge        the body is over the limit; the caller must send less

Apps raise their own errors, of the same shape, about its content.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# A refusal lists at most this many wrong fields, rows or corrections; the search for more stops there.
ERRORS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path (`trades[3].price`), a stable code, and a message."""

    path: str
    code: str
    message: str


class RequestError(Exception):
    """A request that is refused. `code` is stable, the message is for people, `errors` lists the wrong fields."""

    def __init__(self, code: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)


class InvalidParameter(RequestError):
    """A query parameter or header is unknown, repeated, empty or malformed. Correct it."""


class MalformedDocument(RequestError):
    """The body is not one document of its format, such as JSON in UTF-8 without repeated keys. Correct it."""


class BodyTooLarge(RequestError):
    """The body is over the limit. Send smaller batches."""

    def __init__(self, limit: int) -> None:
        super().__init__("body_too_large", f"a body has at most {limit:,} bytes; send less at a time")
