"""What can be wrong with a call of a list.

ListingError            the caller must correct a query parameter
├── InvalidParameter    it is unknown, repeated, empty or of the wrong form
└── InvalidCursor       the cursor was not given here, or for another query; begin again without one
"""


class ListingError(Exception):
    """`code` is stable, the message is for people."""

    code = "invalid_parameter"


class InvalidParameter(ListingError):
    """A query parameter is unknown, repeated, empty or of the wrong form; correct it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidCursor(ListingError):
    """The cursor is forged, cut, or of another query; begin again without one."""

    code = "invalid_cursor"
