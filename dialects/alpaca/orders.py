"""Alpaca's orders, made of ours, and the ids and names that orders, positions and assets have in common."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid5

from dialects.alpaca.pages import label_of
from store.timestamps import format_timestamp
from trading.core.amounts import plain
from trading.core.orders import Order, OrderState
from web.documents import AnswerDocument, Instant, Uuid, about, instant_or_null, like

_IDS = UUID("5c0b5c1e-62d5-5d0c-9a57-1b7f3f1f2f4e")
_EXAMPLE_ID = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
_EXAMPLE_TIME = "2025-01-02T14:30:00Z"
# Alpaca's classes of assets by ours. Alpaca has neither futures nor currencies.
ASSET_CLASSES = {"equity": "us_equity", "option": "us_option", "crypto": "crypto"}
_STATUSES = {
    OrderState.PENDING_NEW: "pending_new",
    OrderState.ACCEPTED: "accepted",
    OrderState.WORKING: "new",
    OrderState.PARTIALLY_FILLED: "partially_filled",
    OrderState.FILLED: "filled",
    OrderState.PENDING_CANCEL: "pending_cancel",
    OrderState.CANCELLED: "canceled",
    OrderState.REPLACED: "replaced",
    OrderState.REJECTED: "rejected",
    OrderState.EXPIRED: "expired",
}
_TIMES = {
    "filled_at": OrderState.FILLED,
    "expired_at": OrderState.EXPIRED,
    "canceled_at": OrderState.CANCELLED,
    "failed_at": OrderState.REJECTED,
    "replaced_at": OrderState.REPLACED,
}

Number = Annotated[str, like("100")]
NumberOrNull = Annotated[str | None, like("189.98")]


class AlpacaOrder(AnswerDocument, kw_only=True):
    """An order. Numbers are texts."""

    id: Annotated[Uuid, like(_EXAMPLE_ID)]
    client_order_id: Annotated[str, about("That of the client; without one, the order's id.", "m-1")]
    created_at: Annotated[Instant, like(_EXAMPLE_TIME)]
    updated_at: Annotated[Instant, like(_EXAMPLE_TIME)]
    submitted_at: Annotated[Instant, like(_EXAMPLE_TIME)]
    filled_at: Instant | None
    expired_at: Instant | None
    expires_at: Instant | None
    canceled_at: Instant | None
    failed_at: Instant | None
    replaced_at: Instant | None
    replaced_by: Uuid | None
    replaces: Uuid | None
    asset_id: Annotated[Uuid, like(_EXAMPLE_ID)]
    symbol: Annotated[str, like("AAPL")]
    asset_class: Annotated[str, about("Empty for a class that Alpaca lacks.", "us_equity")]
    notional: Annotated[str | None, about("Always null.")]
    qty: Number
    filled_qty: Annotated[str, like("0")]
    filled_avg_price: str | None
    order_class: Annotated[str, about("simple, bracket or oto.", "simple")]
    order_type: Annotated[str, like("limit")]
    type: Annotated[str, like("limit")]
    side: Annotated[str, like("buy")]
    time_in_force: Annotated[str, like("day")]
    limit_price: NumberOrNull
    stop_price: str | None
    status: Annotated[str, like("new")]
    extended_hours: Annotated[bool, about("Always false.")]
    legs: Annotated[list["AlpacaOrder"] | None, about("Of a bracket, if it is asked for nested.", None)]
    trail_percent: Annotated[str | None, about("Always null.")]
    trail_price: Annotated[str | None, about("Always null.")]
    hwm: Annotated[str | None, about("Always null.")]


def alpaca_order(order: Order, legs: Sequence[Order] = ()) -> AlpacaOrder:
    """Return Alpaca's document of an order. legs: those of its bracket that the document has within it."""
    terms = order.terms
    instrument_class = order.instrument.instrument_class
    is_replaced = order.state is OrderState.PENDING_CANCEL and order.replaced_by is not None
    submitted = format_timestamp(order.submitted_ns)
    return AlpacaOrder(
        id=order.id,
        client_order_id=terms.client_order_id or order.id,
        created_at=submitted,
        updated_at=format_timestamp(max(order.states.values())),
        submitted_at=submitted,
        expires_at=instant_or_null(order.expires_ns),
        **{name: instant_or_null(order.states.get(state)) for name, state in _TIMES.items()},
        replaced_by=order.replaced_by,
        replaces=order.replaces,
        asset_id=asset_id(terms.symbol),
        symbol=label_of(terms.symbol, instrument_class),
        asset_class=ASSET_CLASSES.get(instrument_class, ""),
        notional=None,
        qty=plain(terms.quantity),
        filled_qty=plain(order.filled),
        filled_avg_price=plain_or_null(order.average_price),
        order_class=_order_class(order),
        order_type=terms.type,
        type=terms.type,
        side=terms.side,
        time_in_force=terms.time_in_force,
        limit_price=plain_or_null(terms.limit_price),
        stop_price=plain_or_null(terms.stop_price),
        status="pending_replace" if is_replaced else _STATUSES[order.state],
        extended_hours=False,
        legs=[alpaca_order(leg) for leg in legs] or None,
        trail_percent=None,
        trail_price=None,
        hwm=None,
    )


def _order_class(order: Order) -> str:
    prices = (order.terms.take_profit, order.terms.stop_loss)
    if order.parent_id is not None or None not in prices:
        return "bracket"
    return "oto" if order.terms.has_legs else "simple"


def asset_id(symbol: str) -> str:
    """Return the id of an asset."""
    return id_of("asset", symbol)


def id_of(kind: str, name: str) -> str:
    """Return the UUID of what has a name here, and no UUID: always the same."""
    return str(uuid5(_IDS, f"{kind} {name}"))


def plain_or_null(value: Decimal | None) -> str | None:
    """Return an amount as a text."""
    return None if value is None else plain(value)
