"""What the write side refuses before the store is asked.

TradesError
├── MalformedDocument     the body is not one JSON document; the caller must correct it
├── BodyTooLarge          the body is over the limit; the caller must split the batch
├── InvalidValue          a query parameter is well-formed and names nothing we have
└── BatchRefused          the document is well-formed and its content is wrong; the caller must correct it

A query parameter or header of the wrong form is `listing.exceptions.InvalidParameter`. The store's own
refusals are in `trades.storage.exceptions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

ERRORS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: where (`trades[3].price`), a stable code, and a sentence."""

    path: str
    code: str
    message: str


class TradesError(Exception):
    """A request that is refused; `code` is stable, the message is for people."""

    def __init__(self, code: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)


class MalformedDocument(TradesError):
    """The body is not one JSON document in UTF-8 without repeated keys. Correct it."""


class InvalidValue(TradesError):
    """A query parameter is well-formed, but its value is not one of those that exist. Correct it."""


class BatchRefused(TradesError):
    """The batch is well-formed, and at least one of its values is wrong. Nothing was stored. Correct it."""


class BodyTooLarge(TradesError):
    """The body is over the limit. Split the batch."""

    def __init__(self, limit: int) -> None:
        super().__init__("body_too_large", f"a body has at most {limit:,} bytes")
