"""The webhooks' events that follow from an account's: orders, executions, alerts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from store.timestamps import format_timestamp
from trading.core.account import Effects
from trading.core.events import Alert, Event, Executed
from trading.core.orders import Order, OrderState
from webhooks.events import events_write
from webhooks.models import WebhookEvent

# A state that an order comes into once; its partial fills are told one by one.
_ONCE = frozenset(
    {
        *(OrderState.ACCEPTED, OrderState.REJECTED, OrderState.FILLED),
        *(OrderState.CANCELLED, OrderState.REPLACED, OrderState.EXPIRED),
    }
)


class AccountNews(NamedTuple):
    """A kind of webhooks' events, the symbol that it is about, what it tells, and the order's correlation id."""

    kind: str
    symbol: str
    data: dict[str, Any]
    correlation_id: str = ""


def news_of(event: Event, effects: Effects, at_ns: int) -> Iterator[AccountNews]:
    """Yield what webhooks may be told of an account's event. effects: of the event."""
    if isinstance(event, Alert):
        data = {"kind": event.kind, "message": event.message, "symbol": event.symbol}
        yield AccountNews("account.alert", event.symbol or "", data)
    filled = event.order_id if isinstance(event, Executed) else None
    for order in effects.orders:
        is_new = order.state in _ONCE and order.states[order.state] == max(at_ns, order.submitted_ns)
        if is_new or (order.id == filled and order.state is OrderState.PARTIALLY_FILLED):
            yield AccountNews(f"order.{order.state}", order.terms.symbol, _order(order), order.correlation_id)
        if isinstance(event, Executed) and order.id == filled:
            data = _execution(event, order, at_ns)
            yield AccountNews("execution", order.terms.symbol, data, order.correlation_id)


def news_write(account: str, news: Sequence[tuple[int, AccountNews]]) -> None:
    """Write the webhooks' events of an account, each with the number of the account's event."""
    now = datetime.now(UTC)
    events_write(
        WebhookEvent(
            kind=each.kind,
            subject=f"account:{account}",
            account=account,
            symbol=each.symbol,
            correlation_id=each.correlation_id,
            data={"account": account, "number": number, **each.data},
            created_at=now,
        )
        for number, each in news
    )


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "client_order_id": order.terms.client_order_id,
        "symbol": order.terms.symbol,
        "side": order.terms.side,
        "status": order.state,
        "quantity": float(order.terms.quantity),
        "filled_quantity": float(order.filled),
        "reason": order.reason,
        "links": {"self": f"/api/v1/orders/{order.id}"},
    }


def _execution(event: Executed, order: Order, at_ns: int) -> dict[str, Any]:
    return {
        "id": event.execution_id,
        "order": order.id,
        "symbol": order.terms.symbol,
        "side": order.terms.side,
        "quantity": float(event.quantity),
        "price": float(event.price),
        "fee": float(event.fee),
        "timestamp": format_timestamp(at_ns),
    }
