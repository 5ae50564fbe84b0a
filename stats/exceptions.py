"""What the read side answers instead of data.

StatsError
├── NoData         the symbol is known, and nothing of it lies in the range
├── RangeTooLarge  the answer would be too long; ask for less, or page
├── WrongClass     the symbol is of another class; ask at the path that the message names
├── ResolutionUnavailable  nothing as fine as that is stored; ask for a coarser resolution
├── NoContract     the terms of an option are not known; tell them
├── NoExchange     the instrument names no exchange, so it has no sessions; tell its exchange, or ask in UTC
├── Resync         the log that the cursor belongs to was restored; begin anew
└── UnknownExchange  an exchange or calendar is named of which no hours are known

On both sides a wrong query parameter is `http_requests.exceptions.InvalidParameter` or
`trades.exceptions.InvalidValue`, and a cursor that was not made here, or for another query,
`listing.cursors.InvalidCursor`.
"""

from typing import ClassVar


class StatsError(Exception):
    """A read that has no answer; `code` is stable, the message is for people."""

    code: ClassVar[str]


class NoData(StatsError):
    """Nothing of the symbol lies in the range. Ask for another range."""

    code = "no_data"


class RangeTooLarge(StatsError):
    """The answer would be too long. Ask for a shorter range, or page."""

    code = "range_too_large"


class WrongClass(StatsError):
    """The symbol is of another class of instruments.

    Ask at the path that the message names, or tell its class.
    """

    code = "wrong_class"


class ResolutionUnavailable(StatsError):
    """Nothing as fine as that is stored of the symbol. Ask for a coarser resolution."""

    code = "resolution_unavailable"


class NoExchange(StatsError):
    """Sessions are asked for of an instrument that names no exchange.

    Tell its exchange, or ask in UTC and for all hours.
    """

    code = "no_exchange"


class NoContract(StatsError):
    """The option's underlying, expiry, strike or right is not known.

    Tell it, or name the option as the OCC does.
    """

    code = "no_contract"


class ResyncRequired(StatsError):
    """The log was restored since the cursor was made. Begin anew."""

    code = "resync"


class UnknownExchange(StatsError):
    """An exchange or a calendar is named of which no hours are known here. Name one that the message has."""

    code = "unknown_exchange"
