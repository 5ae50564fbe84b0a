"""A rebalance: an account's models, the plan at the prices of now, and its batches of orders, each placed once."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from trading.core.account import RUNNING, AccountState
from trading.core.configuration import Zone
from trading.core.orders import Order, OrderTerms
from trading.core.rebalance import (
    PlannedTrade,
    Quoted,
    RebalanceMarket,
    RebalanceOptions,
    RebalancePlan,
    Unquoted,
    plan_for_weights,
)
from trading.core.terms import Side
from trading.core.valuation import UnknownMark
from trading.exceptions import (
    AccountNotValued,
    ModelInUse,
    NoModel,
    NoRate,
    NoReferencePrice,
    NotTradable,
    OrderNotOpen,
    TradingHalted,
    TradingStopped,
    UnknownModel,
)
from trading.journal import state_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, OrderRow, TargetModel
from trading.services.order_batches import BatchItem, orders_submit
from trading.services.orders import order_cancel, order_in, order_view

MODEL_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def models_of(account: Account) -> QuerySet[TargetModel]:
    """Return the models of an account by name, as a query."""
    return TargetModel.objects.filter(account=account).order_by("name")


def model_find(*, account: Account, name: str) -> TargetModel:
    """Return a model of an account. Raises UnknownModel."""
    model = models_of(account).filter(name=name).first() if MODEL_NAME.fullmatch(name) else None
    if model is None:
        raise UnknownModel(name)
    return model


def model_assigned(account: Account) -> TargetModel:
    """Return the model that is assigned to an account. Raises NoModel."""
    name = state_of(account).preferences.model
    if name is None:
        raise NoModel('no model is assigned to the account: PATCH it with {"model": …}')
    return model_find(account=account, name=name)


def model_set(*, account: Account, name: str, weights: Mapping[str, Decimal]) -> TargetModel:
    """Store a model's weights, and return it. weights: by canonical symbol, above 0, together at most 1."""
    texts = {symbol: str(weight) for symbol, weight in sorted(weights.items())}
    values = {"weights": texts, "changed_ns": engine_status().now_ns}
    return TargetModel.objects.update_or_create(account=account, name=name, defaults=values)[0]


def model_delete(*, account: Account, name: str) -> None:
    """Delete a model that is not assigned. Positions that it opened stay. Raises UnknownModel, ModelInUse."""
    with transaction.atomic():
        locked = Account.objects.select_for_update().get(pk=account.pk)
        model = model_find(account=account, name=name)
        if state_of(locked).preferences.model == name:
            raise ModelInUse("the model is assigned to the account; assign another one, or null")
        model.delete()


def require_trading(state: AccountState) -> None:
    """Raise TradingHalted or TradingStopped if an account may not open positions."""
    if state.halt is not None or state.zone is Zone.HALT:
        raise TradingHalted
    if state.status != RUNNING:
        raise TradingStopped(f"trading is {state.status}; start it to open positions")


def rebalance_plan(*, account: Account, model: TargetModel, options: RebalanceOptions) -> RebalancePlan:
    """Return what brings a model's positions to its weights, at the prices of now. It only reads.

    Raises AccountNotValued, the errors of the store.
    """
    account.refresh_from_db()
    state, now_ns, weights = state_of(account), engine_status().now_ns, model.target_weights
    held = {position.symbol for position in state.positions.values() if position.strategy == model.name}
    quotes = {symbol: _quoted(state, symbol, now_ns) for symbol in {*weights, *held}}
    prices = RebalanceMarket(quotes, market().marks(state, now_ns=now_ns))
    try:
        return plan_for_weights(state, model.name, weights, prices, options)
    except UnknownMark as error:
        raise AccountNotValued(f"the account cannot be valued: {error}") from None


def _quoted(state: AccountState, symbol: str, now_ns: int) -> Quoted | Unquoted:
    bought = OrderTerms(symbol=symbol, side=Side.BUY, quantity=Decimal(1))
    try:
        view = order_view(state, bought, now_ns=now_ns)
        bid = market().reference(symbol, state.currency, side=Side.SELL, now_ns=now_ns)
    except (NotTradable, NoReferencePrice, NoRate) as error:
        return Unquoted(error.code, str(error))
    quote = Quoted(view.terms, bid, view.reference)
    if quote.terms.is_margined:
        return Unquoted(NotTradable.code, "the value of a future is not paid, so that it has no weight")
    if quote.unit <= 0:
        return Unquoted(NoReferencePrice.code, "the price is not above zero")
    return quote


@dataclass(slots=True)
class RebalanceOrders:
    """The orders of a rebalance. job: whose id their client_order_ids begin with. items: what became of each, by symbol."""

    account: Account
    model: str
    job: UUID
    items: dict[str, BatchItem] = field(default_factory=dict)

    def place(self, trades: Sequence[PlannedTrade]) -> None:
        """Place the trades that have an order as one batch. Another attempt of the job finds these orders.

        Raises EngineUnavailable, the errors of the store.
        """
        ordered = [trade for trade in trades if trade.side is not None]
        orders = [self._terms(trade) for trade in ordered]
        batch = orders_submit(account=self.account, orders=orders, by=self._by)
        self.items |= {trade.symbol: item for trade, item in zip(ordered, batch.items, strict=True)}

    def placed(self) -> dict[str, Order]:
        """Return the orders that were accepted, as they are now, by symbol."""
        ids = [item.order.id for item in self.items.values() if item.order is not None]
        rows = OrderRow.objects.filter(account=self.account, uuid__in=ids)
        return {row.symbol: order_in(row) for row in rows}

    def open_orders(self) -> list[Order]:
        """Return the orders that have not ended."""
        return [order for order in self.placed().values() if not order.state.is_final]

    def cancel(self) -> None:
        """Ask for the cancel of all orders that are open."""
        for order in self.open_orders():
            if order.may_be_cancelled:
                with suppress(OrderNotOpen):
                    order_cancel(account=self.account, order_id=UUID(order.id), by=self._by)

    def why_left(self, symbol: str, order: Order | None) -> tuple[str, str]:
        """Return why a planned trade was not filled, or not all of it: a reason, and a message. order: as it is now."""
        if order is not None:
            return order.state.value, f"the order ended: {order.reason or order.state}"
        if symbol in self.items:
            return "refused", str(self.items[symbol].error)
        return "timeout", "the time was over before it was placed"

    @property
    def _by(self) -> str:
        return f"job:{self.job}"

    def _terms(self, trade: PlannedTrade) -> OrderTerms:
        assert trade.side is not None  # noqa: S101 only such trades are placed
        return OrderTerms(
            symbol=trade.symbol,
            side=trade.side,
            quantity=trade.quantity,
            reduce_only=trade.side is Side.SELL,
            client_order_id=f"rebalance:{self.job}:{trade.symbol}",
            strategy=self.model,
        )
