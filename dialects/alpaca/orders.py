"""Alpaca's orders, made of ours, and the names that all its documents of accounts have."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID, uuid5

from dialects.alpaca.symbols import asset_symbol, label_of
from store.timestamps import format_timestamp
from trading.core.amounts import plain
from trading.core.orders import Order, OrderState
from web.documents import AnswerDocument, Instant, Uuid, about, instant_or_null, like

_IDS = UUID("5c0b5c1e-62d5-5d0c-9a57-1b7f3f1f2f4e")
# Alpaca's classes of assets by ours. Alpaca has neither futures nor currencies.
ASSET_CLASSES = {"equity": "us_equity", "option": "us_option", "crypto": "crypto"}
_STATUS_WORDS = {
    **{state: state.value for state in OrderState},
    OrderState.WORKING: "new",
    OrderState.CANCELLED: "canceled",
}
_TIMES = {
    "filled_at": OrderState.FILLED,
    "expired_at": OrderState.EXPIRED,
    "canceled_at": OrderState.CANCELLED,
    "failed_at": OrderState.REJECTED,
    "replaced_at": OrderState.REPLACED,
}

# What differs between an order's id and the client's id that is made of it. Version and variant of the UUID stay.
_CLIENT_ID_BITS = 0x00C11E47_0000_0000_0000_00C11E470000

ExampleId = Annotated[Uuid, like("0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11")]
Number = Annotated[str, like("100")]
_Submitted = Annotated[Instant, like("2025-01-02T14:30:00Z")]


class AlpacaDocument(AnswerDocument):
    """The base of documents whose numbers are texts."""

    @classmethod
    def of_amounts(cls, source: object, **given: Any) -> Self:
        """Return a document with the source's attributes, but for those that are given. Decimals become texts."""
        own = {name: getattr(source, name) for name in cls.__struct_fields__ if hasattr(source, name)}
        values = {**own, **given}
        return cls(
            **{name: plain(each) if isinstance(each, Decimal) else each for name, each in values.items()}
        )


class AlpacaOrder(AlpacaDocument, kw_only=True):
    """An order."""

    id: ExampleId
    client_order_id: Annotated[str, about("The client's; without one it is made of `id`.", "m-1")]
    created_at: _Submitted
    updated_at: _Submitted
    submitted_at: _Submitted
    filled_at: Instant | None
    expired_at: Instant | None
    expires_at: Instant | None
    canceled_at: Instant | None
    failed_at: Instant | None
    replaced_at: Instant | None
    replaced_by: Uuid | None
    replaces: Uuid | None
    asset_id: ExampleId
    symbol: Annotated[str, like("AAPL")]
    asset_class: Annotated[str, about("Empty for a class that Alpaca lacks.", "us_equity")]
    qty: Number
    filled_qty: Number
    filled_avg_price: str | None
    order_class: Annotated[str, about("simple, bracket, oto or oco.", "simple")]
    order_type: Annotated[str, like("limit")]
    type: Annotated[str, like("limit")]
    side: Annotated[str, like("buy")]
    time_in_force: Annotated[str, like("day")]
    limit_price: Annotated[str | None, like("189.98")]
    stop_price: str | None
    status: Annotated[str, like("new")]
    legs: Annotated[list["AlpacaOrder"] | None, about("If asked for nested.", None)]
    extended_hours: bool = False
    event: Annotated[int, about("The account's event that accepted it. Alpaca has none.", 5)]


def alpaca_order(order: Order, legs: Sequence[Order] = ()) -> AlpacaOrder:
    """Return Alpaca's document of an order. legs: those that the document has within it."""
    terms, instrument_class = order.terms, order.instrument.instrument_class
    submitted = format_timestamp(order.submitted_ns)
    return AlpacaOrder.of_amounts(
        terms,
        **{name: instant_or_null(order.states.get(state)) for name, state in _TIMES.items()},
        id=order.id,
        client_order_id=terms.client_order_id or other_id(order.id),
        created_at=submitted,
        updated_at=format_timestamp(max(order.states.values())),
        submitted_at=submitted,
        expires_at=instant_or_null(order.expires_ns),
        replaced_by=order.replaced_by,
        replaces=order.replaces,
        asset_id=id_of("asset", terms.symbol),
        symbol=label_of(terms.symbol, instrument_class),
        asset_class=ASSET_CLASSES.get(instrument_class, ""),
        qty=terms.quantity,
        filled_qty=order.filled,
        filled_avg_price=order.average_price,
        order_class=order.contingency or "simple",
        order_type=terms.type,
        status=_status(order),
        legs=[alpaca_order(leg) for leg in legs] or None,
        event=order.first_event,
    )


def _status(order: Order) -> str:
    if order.state is OrderState.PENDING_CANCEL and order.replaced_by is not None:
        return "pending_replace"
    return "held" if order.is_held and order.may_be_cancelled else _STATUS_WORDS[order.state]


def other_id(text: str) -> str:
    """Return the client's id of an order without one, a UUID, by the order's id; and of that id the order's.

    A text that is no UUID is returned as it is.
    """
    try:
        return str(UUID(int=UUID(text).int ^ _CLIENT_ID_BITS))
    except ValueError:
        return text


def id_of(kind: str, name: str) -> str:
    """Return a stable UUID of what has a name here, and no UUID."""
    return str(uuid5(_IDS, f"{kind} {name}"))


def named_symbol(text: str, known: Iterable[str]) -> str | None:
    """Return the symbol that a path names, by the symbol or by its asset's id; None for an id of no known symbol.

    Raises InvalidValue.
    """
    if len(text) != len(str(_IDS)):
        return asset_symbol(text)
    return next((symbol for symbol in known if id_of("asset", symbol) == text.lower()), None)
