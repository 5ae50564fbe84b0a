"""What the read side answers instead of data.

StatsError
├── NoData         the symbol is known, and nothing of it lies in the range
├── RangeTooLarge  the answer would be too long; ask for less, or page
├── InvalidCursor  the cursor was not made here, or for another query
└── Resync         the log that the cursor belongs to was restored; begin anew

Wrong query parameters are `trades.exceptions.InvalidParameter` and `InvalidValue`, on both sides.
"""


class StatsError(Exception):
    """A read that has no answer; `code` is stable, the message is for people."""

    code = "stats_error"


class NoData(StatsError):
    """Nothing of the symbol lies in the range. Ask for another range."""

    code = "no_data"


class RangeTooLarge(StatsError):
    """The answer would be too long. Ask for a shorter range, or page."""

    code = "range_too_large"


class InvalidCursor(StatsError):
    """The cursor was not made here, was cut, or belongs to another query. Begin anew."""

    code = "invalid_cursor"


class Resync(StatsError):
    """The log was restored since the cursor was made. Begin anew."""

    code = "resync"
