"""Errors of the read side.

StatsError
├── NoData                the symbol is known, but has no rows in the range
├── RangeTooLarge         the answer would be too long: ask for a shorter range, or for pages
├── WrongClass            the symbol has another class: use the path in the message
├── ResolutionUnavailable only coarser bars are stored: ask for a coarser resolution
├── NoContract            the option's underlying, expiry, strike or right is unknown: declare it
└── ResyncRequired        the cursor is no longer valid: start again at the first page

Sessions that are not known raise `calendars.exceptions.CalendarError`s. Invalid query parameters raise
`web.requests.exceptions.InvalidParameter` or `trades.exceptions.InvalidValue`.
Cursors of other installations or other queries raise `web.lists.cursors.InvalidCursor`.
"""

from typing import ClassVar

from calendars.exceptions import CalendarError
from store.exceptions import StorageError
from store.walk import Resync


class StatsError(Exception):
    """A query cannot be answered. `code` is stable; the message is for people."""

    code: ClassVar[str]


class NoData(StatsError):
    """The symbol has no rows in the range. Ask for another range."""

    code = "no_data"


class RangeTooLarge(StatsError):
    """The answer would be too long. Ask for a shorter range, or for pages."""

    code = "range_too_large"


class WrongClass(StatsError):
    """The symbol belongs to another class of instruments.

    Use the path in the message, or declare the symbol's class.
    """

    code = "wrong_class"


class ResolutionUnavailable(StatsError):
    """Only coarser bars of the symbol are stored. Ask for a coarser resolution."""

    code = "resolution_unavailable"


class NoContract(StatsError):
    """The option's underlying, expiry, strike or right is unknown.

    Declare it, or use an OCC option symbol.
    """

    code = "no_contract"


class ResyncRequired(StatsError):
    """The log was restored, or the rows' inputs changed, since the cursor was made. Start at the first page."""

    code = "resync"


# What a query raises that cannot be answered.
READ_ERRORS = (CalendarError, StatsError, StorageError, Resync)
