"""The documents of orders."""

from typing import Annotated, Self

import msgspec

from store.timestamps import format_timestamp
from trading.core.orders import Leg, Order, OrderState, OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from web.documents import EXAMPLE_INSTANT, AnswerDocument, Instant, Uuid, about, number

ORDER_ID = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"


class OrderTermsDocument(AnswerDocument):
    """What an order asks for."""

    client_order_id: Annotated[str | None, about("", "m-1")]
    symbol: Annotated[str, about("", "AAPL")]
    side: Side
    type: Annotated[OrderType, about("", "limit")]
    time_in_force: TimeInForce
    quantity: Annotated[float, about("", 100.0)]
    limit_price: Annotated[float | None, about("", 190.0)]
    stop_price: float | None
    reduce_only: bool
    take_profit: Annotated[float | None, about("", 194.0)]
    stop_loss: Annotated[float | None, about("", 188.0)]
    strategy: Annotated[str | None, about("", "momentum")]

    @classmethod
    def of(cls, terms: OrderTerms) -> Self:
        """Return the document of an order's terms."""
        return cls.of_attributes(terms, strategy=terms.strategy or None)


class OrderDocument(AnswerDocument):
    """An order."""

    id: Annotated[Uuid, about("", ORDER_ID)]
    account: Annotated[str, about("", "main")]
    client_order_id: Annotated[str | None, about("", "m-1")]
    symbol: Annotated[str, about("", "AAPL")]
    side: Side
    type: Annotated[OrderType, about("", "limit")]
    time_in_force: TimeInForce
    quantity: Annotated[float, about("", 100.0)]
    limit_price: Annotated[float | None, about("", 190.0)]
    stop_price: float | None
    reduce_only: bool
    take_profit: Annotated[float | None, about("", 194.0)]
    stop_loss: Annotated[float | None, about("", 188.0)]
    strategy: Annotated[str | None, about("", "momentum")]
    currency: Annotated[str, about("Of its prices.", "USD")]
    status: Annotated[OrderState, about("", "filled")]
    filled_quantity: Annotated[float, about("", 100.0)]
    remaining: Annotated[float, about("", 0.0)]
    average_price: Annotated[float | None, about("Of what was filled.", 189.98)]
    collar: Annotated[float | None, about("The worst price at which a market order fills.")]
    parent_id: Annotated[Uuid | None, about("Of a leg: the order that it protects.")]
    leg: Leg | None
    replaces: Uuid | None
    replaced_by: Uuid | None
    reason: Annotated[str | None, about("Why it ended.")]
    submitted_at: Annotated[Instant, about("", EXAMPLE_INSTANT)]
    expires_at: Annotated[Instant | None, about("", "2025-01-02T21:00:00Z")]
    states: Annotated[
        dict[str, Instant],
        about(
            "When it came into each state.", {"working": EXAMPLE_INSTANT, "filled": "2025-01-02T14:30:01Z"}
        ),
    ]
    event: Annotated[int, about("The number of the account's event that accepted it.", 5)]

    @classmethod
    def of(cls, order: Order, *, account: str) -> Self:
        """Return the document of an account's order."""
        return cls.of_attributes(
            order,
            account=account,
            **msgspec.structs.asdict(OrderTermsDocument.of(order.terms)),
            currency=order.instrument.currency,
            status=order.state,
            filled_quantity=number(order.filled),
            states={str(state): format_timestamp(at_ns) for state, at_ns in order.states.items()},
            event=order.first_event,
        )
