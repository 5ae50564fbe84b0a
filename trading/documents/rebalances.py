"""The documents of models and rebalances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from store.timestamps import format_timestamp
from trading.core.amounts import ZERO
from trading.core.rebalance import PlannedTrade
from trading.core.terms import Side
from trading.documents.fields import AccountId, Currency, OrderId, Placed, Symbol
from web.documents import AnswerDocument, about, like, number

# Documents know no tables.
if TYPE_CHECKING:
    from trading.models import Account, TargetModel


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
