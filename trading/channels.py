"""What the live feed reads of accounts: orders and alerts by event, and the portfolio."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from live.accounts import ALERTS_KIND, ORDERS_KIND, EventRows
from trading.core.account import AccountState, apply
from trading.core.events import Alert, decoded
from trading.documents import Document, order_document
from trading.journal import replayed
from trading.models import Account, EventRow
from trading.selectors import portfolio_document

# The names of the events that change orders, and of those that are alerts.
_NAMES = {
    ORDERS_KIND: (
        *("order_accepted", "order_working", "order_triggered", "order_ended"),
        *("cancel_requested", "executed", "split_applied"),
    ),
    ALERTS_KIND: ("alert",),
}
# So many accounts' states are kept between two reads of orders.
MAX_STATES = 100


class LiveAccounts:
    """Reads the events in the database. See `live.accounts.AccountFeeds`. Thread-safe."""

    def __init__(self) -> None:
        # Who uses a state takes it out: states change while they are used.
        self._states: OrderedDict[str, AccountState] = OrderedDict()

    def head(self, account: str) -> int | None:
        """See `AccountFeeds`."""
        return Account.objects.filter(name=account).values_list("number", flat=True).first()

    def last(self, account: str, kind: str, upto: int) -> int:
        """See `AccountFeeds`."""
        numbers = EventRow.objects.filter(account__name=account, number__lte=upto).order_by("-number")
        newest = (numbers.filter(name=name).values_list("number", flat=True).first() for name in _NAMES[kind])
        return max(number or 0 for number in newest)

    def events(self, account: str, kind: str, *, after: int, upto: int, limit: int) -> Sequence[EventRows]:
        """See `AccountFeeds`."""
        found = EventRow.objects.filter(account__name=account, number__gt=after, number__lte=upto)
        rows = [*found.filter(name__in=_NAMES[kind]).order_by("number")[:limit]]
        if kind == ALERTS_KIND:
            return [EventRows(row.number, row.at_ns, [_alert_document(row)]) for row in rows]
        documents = dict(self._orders(account, rows[0].number, rows[-1].number)) if rows else {}
        return [EventRows(row.number, row.at_ns, documents[row.number]) for row in rows]

    def portfolio(self, account: str) -> tuple[int, Document]:
        """See `AccountFeeds`."""
        found = Account.objects.get(name=account)
        return found.number, portfolio_document(found)

    def _orders(self, name: str, first: int, last: int) -> Iterator[tuple[int, list[Document]]]:
        """Yield the numbers of events, and the orders that each changed, as they were after it."""
        account = Account.objects.get(name=name)
        state = self._states.pop(name, None)
        if state is None or state.number >= first:
            state = replayed(account, first - 1)
        rows = account.events.filter(number__gt=state.number, number__lte=last).order_by("number")
        for row in rows.iterator():
            effects = apply(state, decoded(row.body), at_ns=row.at_ns)
            if row.number >= first:
                yield row.number, [order_document(order, account=name) for order in effects.orders]
        self._states[name] = state
        if len(self._states) > MAX_STATES:
            self._states.popitem(last=False)


def _alert_document(row: EventRow) -> Mapping[str, Any]:
    alert = decoded(row.body)
    assert isinstance(alert, Alert)  # noqa: S101 its name says so
    return {"kind": alert.kind, "message": alert.message, "symbol": alert.symbol}
