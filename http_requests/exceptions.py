"""What can be wrong with the form of a request, whatever it is for.

RequestError            the caller must correct the request
├── InvalidParameter    a query parameter, or a header, is unknown, repeated, empty or of the wrong form
├── MalformedDocument   the body is not one document of its format
└── BodyTooLarge        the body is over the limit; the caller must send less

What is wrong with its content is for the apps to say, by errors of the same shape.
"""

from collections.abc import Sequence

from refusals.field_error import FieldError


class RequestError(Exception):
    """A request that is refused; `code` is stable, the message is for people.

    errors: all that is wrong, field by field.
    """

    def __init__(self, code: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)


class InvalidParameter(RequestError):
    """A query parameter or header is unknown, repeated, empty or of the wrong form. Correct it."""


class MalformedDocument(RequestError):
    """The body is not one document of its format, as JSON in UTF-8 without repeated keys. Correct it."""


class BodyTooLarge(RequestError):
    """The body is over the limit. Send less at a time."""

    def __init__(self, limit: int) -> None:
        super().__init__("body_too_large", f"a body has at most {limit:,} bytes")
