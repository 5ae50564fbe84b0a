"""Documents of orders and rebalances, and the types of fields that many documents have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import msgspec

from store.timestamps import format_timestamp
from trading.core.amounts import ZERO
from trading.core.events import Check, Reference, RowRef
from trading.core.orders import Leg, Order, OrderState, OrderTerms, OrderType, TimeInForce
from trading.core.rebalance import PlannedTrade
from trading.core.terms import Side
from web.documents import AnswerDocument, Instant, Uuid, about, like, number, number_or_null

# Documents know no tables.
if TYPE_CHECKING:
    from trading.models import Account, TargetModel

EXAMPLE_ORDER = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
EXAMPLE_EXECUTION = "6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22"

AccountId = Annotated[str, like("main")]
Symbol = Annotated[str, like("AAPL")]
Currency = Annotated[str, like("USD")]
Strategy = Annotated[str | None, like("momentum")]
OrderId = Annotated[Uuid, like(EXAMPLE_ORDER)]
ExecutionId = Annotated[Uuid, like(EXAMPLE_EXECUTION)]
Direction = Literal["LONG", "SHORT"]
# When an order of the examples was placed, and when it filled.
Placed = Annotated[Instant, like("2025-01-02T14:30:00Z")]
Filled = Annotated[Instant, like("2025-01-02T14:30:01Z")]
Quantity = Annotated[float, like(100.0)]
Price = Annotated[float, like(189.98)]
Fee = Annotated[float, like(1.0)]
Rate = Annotated[float, like(1.0)]


# The words of an order's state have a name in the schema (ENUM_NAME_OVERRIDES).
ORDER_STATES = list(OrderState)


class OrderTermsDocument(AnswerDocument, kw_only=True):
    """What an order asks for."""

    client_order_id: Annotated[str | None, like("m-1")]
    symbol: Symbol
    side: Side
    type: Annotated[OrderType, like("limit")]
    time_in_force: TimeInForce
    quantity: Quantity
    limit_price: Annotated[float | None, like(190.0)]
    stop_price: float | None
    reduce_only: bool
    take_profit: Annotated[float | None, like(194.0)]
    stop_loss: Annotated[float | None, like(188.0)]
    strategy: Strategy

    @classmethod
    def of_terms(cls, terms: OrderTerms) -> Self:
        """Return the document of an order's terms."""
        return cls.of_attributes(terms, strategy=terms.strategy or None)


class _NamedTermsDocument(OrderTermsDocument):
    id: OrderId
    account: AccountId


class OrderDocument(_NamedTermsDocument, kw_only=True):
    """An order."""

    currency: Annotated[Currency, about("Of its prices.")]
    status: Annotated[OrderState, like("filled")]
    filled_quantity: Quantity
    remaining: Annotated[float, like(0.0)]
    average_price: Annotated[float | None, about("Of what was filled.", 189.98)]
    collar: Annotated[float | None, about("The worst price at which a market order fills.")]
    parent_id: Annotated[Uuid | None, about("Of a leg: the order that it protects.")]
    leg: Leg | None
    replaces: Uuid | None
    replaced_by: Uuid | None
    reason: Annotated[str | None, about("Why it ended.")]
    submitted_at: Placed
    expires_at: Annotated[Instant | None, like("2025-01-02T21:00:00Z")]
    states: Annotated[
        dict[str, Instant],
        about(
            "When it came into each state.",
            {"working": "2025-01-02T14:30:00.05Z", "filled": "2025-01-02T14:30:01Z"},
        ),
    ]
    event: Annotated[int, about("The number of the account's event that accepted it.", 5)]

    @classmethod
    def of(cls, order: Order, *, account: str) -> Self:
        """Return the document of an account's order."""
        return cls.of_attributes(
            order,
            account=account,
            **msgspec.structs.asdict(OrderTermsDocument.of_terms(order.terms)),
            currency=order.instrument.currency,
            status=order.state,
            filled_quantity=number(order.filled),
            states={str(state): format_timestamp(at_ns) for state, at_ns in order.states.items()},
            event=order.first_event,
        )


class CancelledOrdersDocument(AnswerDocument):
    """Orders whose cancel was asked for."""

    account: AccountId
    cancelled: Annotated[list[Uuid], like([EXAMPLE_ORDER])]


class SignalDocument(AnswerDocument):
    """An order by which a strategy opens a position."""

    id: OrderId
    strategy: Annotated[str, like("momentum")]
    symbol: Symbol
    direction: Direction
    entry: Annotated[float | None, about("null: at the market.", 190.0)]
    stop: Annotated[float | None, like(188.0)]
    target: Annotated[float | None, like(194.0)]
    at: Placed
    order_id: OrderId
    quantity: Quantity
    status: Annotated[OrderState, about("Of the order; `rejected`: risk refused it.", "filled")]
    average_price: Annotated[float | None, about("Of what was filled.", 189.98)]
    reason: Annotated[str | None, about("Why it was refused, or ended.")]

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return the document of a strategy's order."""
        terms = order.terms
        entry = terms.stop_price if terms.limit_price is None else terms.limit_price
        return cls.of_attributes(
            order,
            strategy=terms.strategy,
            symbol=terms.symbol,
            direction="LONG" if terms.side.sign > 0 else "SHORT",
            entry=number_or_null(entry),
            stop=number_or_null(terms.stop_loss),
            target=number_or_null(terms.take_profit),
            at=format_timestamp(order.submitted_ns),
            order_id=order.id,
            quantity=number(terms.quantity),
            status=order.state,
        )


class StoredRowDocument(AnswerDocument):
    """A row of the store."""

    dataset: Annotated[str, like("trades")]
    symbol: Symbol
    commit: Annotated[str, like("17-9f3a2c")]
    ordinal: Annotated[int, about("Of the row in its commit.", 4)]
    timestamp: Filled

    @classmethod
    def of(cls, ref: RowRef) -> Self:
        """Return the document of a row's place."""
        return cls.of_attributes(ref, timestamp=format_timestamp(ref.timestamp_ns))


class ReferenceDocument(AnswerDocument):
    """What the market looked like."""

    symbol: Symbol
    price: Annotated[Price, about("The ask for a buy, the bid for a sell, else the last price.")]
    rate: Annotated[Rate, about("From the instrument's currency to the account's.")]
    bid: float | None
    ask: float | None
    crossed: Annotated[bool, about("Whether the bid is above the ask.", False)]
    last: Annotated[float | None, like(189.98)]
    at: Placed
    rows: list[StoredRowDocument]

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Return the document of the prices by which an order was judged."""
        rows = [StoredRowDocument.of(ref) for ref in reference.refs]
        bid, ask = reference.bid, reference.ask
        is_crossed = bid is not None and ask is not None and bid > ask
        at = format_timestamp(reference.at_ns)
        return cls.of_attributes(reference, at=at, crossed=is_crossed, rows=rows)


class OrderCheckDocument(AnswerDocument):
    """A check of an order."""

    name: Annotated[str, like("symbol_exposure")]
    passed: Annotated[bool, like(True)]
    value: Annotated[float | None, about("null if there is no number, or it could not be computed.", 1.895)]
    limit: Annotated[float | None, like(25.0)]
    unit: Annotated[str, like("percent of equity")]
    message: Annotated[str, like("symbol exposure must be within its limit")]

    @classmethod
    def of(cls, check: Check) -> Self:
        """Return the document of a check."""
        return cls.of_attributes(check, passed=check.is_passed)


class PreviewDocument(AnswerDocument):
    """What an order would do. Sums are in the account's currency."""

    preview_id: Annotated[str, about("A token of at most 4,096 characters.", ".eJwljUsKgDAQQ-8ya5V…")]
    account: AccountId
    expires_at: Annotated[Instant, like("2025-01-02T14:30:30Z")]
    order: OrderTermsDocument
    reference: ReferenceDocument
    tick: Annotated[float | None, about("The step of the order's prices; null: any price may be had.", 0.01)]
    currency: Currency
    cost: Annotated[float, about("Its quantity times its limit or the market's price, with the fee.", 1896.0)]
    worst_cost: Annotated[
        float, about("What it costs at most, at its limit or collar, with the fee there.", 1990.75)
    ]
    fee: Annotated[Fee, about("At the price of `cost`.", 1.0)]
    margin: Annotated[float, about("What must be paid in for it.", 947.5)]
    exposure_after: Annotated[float | None, about("In the symbol, with all working orders.", 1895.0)]
    gross_after: Annotated[float | None, about("In all symbols.", 1895.0)]
    equity: Annotated[float | None, like(100_000.0)]
    checks: list[OrderCheckDocument]
    would_be_accepted: Annotated[bool, like(True)]
    event: Annotated[int, about("The number of the account's last event.", 4)]


class ItemFieldErrorDocument(AnswerDocument):
    """What is wrong with a field of an order."""

    path: Annotated[str, like("limit_price")]
    code: Annotated[str, like("required")]
    message: Annotated[str, like("is missing; an order of the type limit needs it")]


class ItemErrorDocument(AnswerDocument):
    """Why an order of a batch was refused."""

    code: Annotated[str, about("As of the problem that the order alone would get.", "validation_failed")]
    message: Annotated[str, like("1 field is wrong")]
    errors: list[ItemFieldErrorDocument]


class OrderBatchItemDocument(AnswerDocument):
    """What became of one order of a batch."""

    index: Annotated[int, about("In the body, from 0.", 0)]
    status: Annotated[
        Literal["accepted", "repeated", "refused"],
        about("`repeated`: an earlier call did it. Of a cancel, `accepted` means that it is asked for."),
    ]
    order_id: Annotated[OrderId | None, about("null if it was refused.")]
    client_order_id: Annotated[str | None, like("m-1")]
    error: ItemErrorDocument | None


class OrderBatchDocument(AnswerDocument, kw_only=True):
    """What became of the orders of a batch, in the order of the body."""

    account: AccountId
    accepted: Annotated[int, like(1)]
    repeated: Annotated[int, like(0)]
    refused: Annotated[int, like(0)]
    items: list[OrderBatchItemDocument]
    event: Annotated[int, about("The number of the account's last event.", 7)]


class WeightDocument(AnswerDocument):
    """The target weight of a symbol."""

    symbol: Symbol
    weight: Annotated[float, about("A fraction: 0.05 is 5 per cent.", 0.6)]


class ModelDocument(AnswerDocument):
    """A model: named target weights."""

    account: AccountId
    name: Annotated[str, like("core")]
    weights: Annotated[list[WeightDocument], about("By symbol.")]
    cash: Annotated[float, about("The fraction that no symbol has.", 0.4)]
    changed_at: Placed

    @classmethod
    def of(cls, account: Account, model: TargetModel) -> Self:
        """Return the document of a model of an account."""
        weights = model.target_weights
        return cls(
            account=account.name,
            name=model.name,
            weights=[WeightDocument(symbol, number(weight)) for symbol, weight in sorted(weights.items())],
            cash=number(1 - sum(weights.values(), ZERO)),
            changed_at=format_timestamp(model.changed_ns),
        )


class PlannedTradeDocument(AnswerDocument, kw_only=True):
    """What is planned for a symbol."""

    symbol: Symbol
    weight: Annotated[float, about("In the model; 0 if it is not named.", 0.35)]
    held: Annotated[float, about("The model's position before.", 0.0)]
    before: Annotated[float | None, about("The weight before; null without a price.", 0.0)]
    after: Annotated[float | None, about("The weight after the trade, at the prices of the plan.", 0.3498)]
    side: Annotated[Side | None, about("null without an order.", "buy")]
    quantity: Annotated[float, like(83.0)]
    cost: Annotated[float, about("What it takes of the cash, with the fee; below zero for a sale.", 34_981.0)]
    reason: Annotated[str | None, about("Why nothing, or not all, is traded.")]
    message: Annotated[str | None, about("The reason for people.")]

    @classmethod
    def of(cls, trade: PlannedTrade) -> Self:
        """Return the document of a planned trade."""
        return cls.of_attributes(trade, reason=trade.reason or None, message=trade.message or None)


class RebalancedSymbolDocument(PlannedTradeDocument, kw_only=True):
    """What was planned for a symbol, and what came of it."""

    order_id: Annotated[OrderId | None, about("null if no order was accepted.")]
    filled: Annotated[float, like(83.0)]
    average_price: Annotated[float | None, about("Of what was filled.", 421.0)]


class _RebalanceDocument(AnswerDocument, kw_only=True):
    """Sums are in the account's currency; weights are fractions of `investable`."""

    account: AccountId
    model: Annotated[str, like("core")]
    currency: Currency
    equity: Annotated[float, like(100_000.0)]
    investable: Annotated[float, about("The equity without the positions of other strategies.", 100_000.0)]
    cash: Annotated[float, about("What of it is not in the model's positions.", 40_000.0)]


class RebalancePlanDocument(_RebalanceDocument, kw_only=True):
    """What a rebalance would do. Sums are in the account's currency; weights are fractions of `investable`."""

    symbols: Annotated[list[PlannedTradeDocument], about("Sales, purchases, then what is left alone.")]


class RebalanceResultDocument(_RebalanceDocument, kw_only=True):
    """What a rebalance did. `equity`, `investable` and `cash` are those before it."""

    symbols: Annotated[list[RebalancedSymbolDocument], about("Sales, purchases, then what was left alone.")]
    ended: Annotated[
        Literal["complete", "timeout"], about("`timeout`: what was open then is cancelled.", "complete")
    ]
