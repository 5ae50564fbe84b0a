"""What the live feed reads of accounts: orders and alerts by event, and the portfolio."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.db.models import Q

from stats.live.accounts import ALERTS_KIND, ORDERS_KIND, EventRows
from trading.core.events import Alert, decoded
from trading.core.orders import Order
from trading.documents.orders import OrderDocument
from trading.models import Account, EventRow
from trading.reading.selectors import portfolio_document

_OF_KIND = {ORDERS_KIND: ~Q(orders=""), ALERTS_KIND: Q(name="alert")}


class LiveAccounts:
    """Reads the events in the database. See `stats.live.accounts.AccountFeeds`."""

    def head(self, account: str) -> int | None:
        """See `AccountFeeds`."""
        return Account.objects.filter(name=account).values_list("number", flat=True).first()

    def last(self, account: str, kind: str, upto: int) -> int:
        """See `AccountFeeds`."""
        numbers = EventRow.objects.filter(_OF_KIND[kind], account__name=account, number__lte=upto)
        return numbers.order_by("-number").values_list("number", flat=True).first() or 0

    def events(self, account: str, kind: str, *, after: int, upto: int, limit: int) -> Sequence[EventRows]:
        """See `AccountFeeds`."""
        found = EventRow.objects.filter(
            _OF_KIND[kind], account__name=account, number__gt=after, number__lte=upto
        )
        rows_of = _alerts if kind == ALERTS_KIND else _orders
        return [
            EventRows(row.number, row.at_ns, rows_of(row, account), row)
            for row in found.order_by("number")[:limit]
        ]

    def portfolio(self, account: str) -> tuple[int, Mapping[str, Any]]:
        """See `AccountFeeds`."""
        found = Account.objects.get(name=account)
        return found.number, portfolio_document(found).as_json()


def _orders(row: EventRow, account: str) -> list[Mapping[str, Any]]:
    """Return the orders that an event changed, as they were after it."""
    orders = msgspec.json.decode(row.orders, type=list[Order])
    return [OrderDocument.of(order, account=account).as_json() for order in orders]


def _alerts(row: EventRow, _account: str) -> list[Mapping[str, Any]]:
    alert = decoded(row.body)
    assert isinstance(alert, Alert)  # noqa: S101 its name says so
    return [{"kind": alert.kind, "message": alert.message, "symbol": alert.symbol}]
