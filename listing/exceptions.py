"""What can be wrong with the query of a call: of a list, and of whatever else reads its parameters strictly.

ListingError            the caller must correct a query parameter
├── InvalidParameter    it, or a header, is unknown, repeated, empty or of the wrong form
└── InvalidCursor       the cursor was not given here, or for another query; begin again without one
"""

from collections.abc import Sequence


class ListingError(Exception):
    """`code` is stable, the message is for people."""

    code = "invalid_parameter"


class InvalidParameter(ListingError):
    """A query parameter or header is unknown, repeated, empty or of the wrong form; correct it.

    errors: all that is wrong, each as the caller tells it.
    """

    def __init__(self, code: str, message: str, errors: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.errors = tuple(errors)


class InvalidCursor(ListingError):
    """The cursor is forged, cut, or of another query; begin again without one."""

    code = "invalid_cursor"
