"""What the live feed reads of accounts. A higher package provides it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ops.needs import Need

ORDERS_KIND, ALERTS_KIND, PORTFOLIO_KIND = "orders", "alerts", "portfolio"
ACCOUNT_KINDS = (ORDERS_KIND, ALERTS_KIND, PORTFOLIO_KIND)
# Notifications name an account with this prefix, which no symbol has.
ACCOUNT_PREFIX = "@"


class EventRows(NamedTuple):
    """The rows of an account's event for one kind of channel: JSON objects.

    source: what is stored of the event, for wires that have it in another form.
    """

    number: int
    at_ns: int
    rows: Sequence[Mapping[str, Any]]
    source: Any = None


class AccountFeeds(Protocol):
    """Reads accounts and their events, whose numbers are 1, 2, 3, ….

    Who sees an event sees all events before it. Which events concern orders, and which alerts, follows from the event
    alone, for instance from its name; `last` and `events` must agree. Everything here blocks. Raises DatabaseError.
    """

    def head(self, account: str) -> int | None:
        """Return the number of an account's newest event; None for an unknown account."""
        ...

    def last(self, account: str, kind: str, upto: int) -> int:
        """Return the number of the last event up to `upto` that concerns a kind; 0 if none does."""
        ...

    def events(self, account: str, kind: str, *, after: int, upto: int, limit: int) -> Sequence[EventRows]:
        """Return the first `limit` events that concern a kind. kind: orders or alerts.

        The rows of orders are the orders that the event changed, as they were after it; there may be none.
        """
        ...

    def portfolio(self, account: str) -> tuple[int, Mapping[str, Any]]:
        """Return an account's portfolio, a JSON object, and the number of the newest event in it."""
        ...


ACCOUNT_FEEDS: Need[AccountFeeds] = Need("stats.live.accounts.ACCOUNT_FEEDS")
