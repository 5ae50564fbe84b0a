"""Errors of the read side.

StatsError
├── NoData                the symbol is known, but has no rows in the range
├── RangeTooLarge         the answer would be too long: ask for a shorter range, or for pages
├── WrongClass            the symbol has another class: use the path in the message
├── ResolutionUnavailable only coarser bars are stored: ask for a coarser resolution
├── NoContract            the option's underlying, expiry, strike or right is unknown: declare it
├── NoExchange            the instrument has no exchange: declare it, or ask for UTC days and all hours
├── ResyncRequired        the cursor is no longer valid: start again at the first page
└── UnknownExchange       no trading hours are known for the exchange or calendar

Invalid query parameters raise `http_requests.exceptions.InvalidParameter` or `trades.exceptions.InvalidValue`.
Cursors of other installations or other queries raise `listing.cursors.InvalidCursor`.
"""

from typing import ClassVar


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


class NoExchange(StatsError):
    """The query needs trading sessions, but the instrument has no exchange.

    Declare its exchange, or ask with session=utc and hours=all.
    """

    code = "no_exchange"


class NoContract(StatsError):
    """The option's underlying, expiry, strike or right is unknown.

    Declare it, or use an OCC option symbol.
    """

    code = "no_contract"


class ResyncRequired(StatsError):
    """The log was restored, or the rows' inputs changed, since the cursor was made. Start at the first page."""

    code = "resync"


class UnknownExchange(StatsError):
    """No trading hours are known for the exchange or calendar. Use a name from the message."""

    code = "unknown_exchange"
