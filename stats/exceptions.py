"""The read side's refusals.

StatsError
├── NoData         the symbol is known, but has no rows in the range
├── RangeTooLarge  the answer would be too long: ask for less, or page
├── WrongClass     the symbol is of another class: ask at the path that the message names
├── ResolutionUnavailable  only coarser bars are stored: ask for a coarser resolution
├── NoContract     the option's terms are not known: declare them
├── NoExchange     the instrument names no exchange: declare it, or ask in UTC
├── ResyncRequired  the cursor's log was restored: begin the walk anew
└── UnknownExchange  no hours are known for the exchange or calendar

A wrong query parameter is `http_requests.exceptions.InvalidParameter` or `trades.exceptions.InvalidValue`; a
cursor that was not made here, or for another query, is `listing.cursors.InvalidCursor`.
"""

from typing import ClassVar


class StatsError(Exception):
    """A read without an answer. `code` is stable; the message is for people."""

    code: ClassVar[str]


class NoData(StatsError):
    """The symbol has no rows in the range. Ask for another range."""

    code = "no_data"


class RangeTooLarge(StatsError):
    """The answer would be too long. Ask for a shorter range, or page."""

    code = "range_too_large"


class WrongClass(StatsError):
    """The symbol is of another class of instruments.

    Ask at the path that the message names, or declare the symbol's class.
    """

    code = "wrong_class"


class ResolutionUnavailable(StatsError):
    """Only coarser bars of the symbol are stored. Ask for a coarser resolution."""

    code = "resolution_unavailable"


class NoExchange(StatsError):
    """The query needs sessions, but the instrument names no exchange.

    Declare its exchange, or ask in UTC and for all hours.
    """

    code = "no_exchange"


class NoContract(StatsError):
    """The option's underlying, expiry, strike or right is not known.

    Declare it, or use an OCC option symbol.
    """

    code = "no_contract"


class ResyncRequired(StatsError):
    """The log was restored since the cursor was made. Begin the walk anew."""

    code = "resync"


class UnknownExchange(StatsError):
    """No hours are known for the exchange or calendar. Use a name from the message."""

    code = "unknown_exchange"
