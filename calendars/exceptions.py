"""Errors of calendars.

CalendarError
├── NoExchange       the instrument has no exchange: declare it, or ask for UTC days and all hours
└── UnknownExchange  no trading hours are known for the exchange or calendar
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

# The least similarity (0 to 1) of a suggested name. With a lower one, every short name would be similar to another.
_SIMILARITY = 0.75


class CalendarError(Exception):
    """Sessions are not known. `code` is stable; the message is for people."""

    code: ClassVar[str]


class NoExchange(CalendarError):
    """Trading sessions are needed, but the instrument has no exchange.

    Declare its exchange, or ask with session=utc and hours=all.
    """

    code = "no_exchange"


class UnknownExchange(CalendarError):
    """No trading hours are known for the exchange or calendar. Use a name from the message."""

    code = "unknown_exchange"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean NAME?` with the most similar known name; "" if no name is similar."""
    folded = {each.casefold(): each for each in known}
    nearest = get_close_matches(name[:64].casefold(), folded, n=1, cutoff=_SIMILARITY)
    return f"; did you mean {folded[nearest[0]]}?" if nearest else ""
