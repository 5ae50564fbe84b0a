"""A rebalance: its plan at the prices of now, and the orders that carry it out, each once."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import msgspec

from trading.core.account import RUNNING, AccountState
from trading.core.amounts import HUNDRED, ZERO, lots_below
from trading.core.configuration import Zone
from trading.core.orders import Order, OrderState, OrderTerms
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
from trading.core.valuation import UnknownMark, committed
from trading.exceptions import (
    AccountNotValued,
    ClientOrderIdReused,
    EngineUnavailable,
    NoModel,
    NoRate,
    NoReferencePrice,
    NotTradable,
    OrderNotOpen,
    RiskRefused,
    TradingHalted,
    TradingStopped,
)
from trading.journal import state_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, OrderRow, TargetModel
from trading.services.order_batches import orders_accept, orders_decide
from trading.services.orders import order_cancel, order_in
from trading.services.target_models import model_find

# Why a rebalance ended.
COMPLETE, TIMEOUT, STOPPED, HALTED = "complete", "timeout", "stopped", "halted"
# So long the end waits until orders are cancelled.
_CANCEL_SECONDS = 30
# A part of a purchase is at least so much of it.
_LEAST_PART = Decimal("0.001")


class StartedRebalance(msgspec.Struct, frozen=True, kw_only=True):
    """A rebalance with its plan: all that another attempt needs to go on.

    until_seconds: when it times out, since 1970. after_row: the last order of the account before it.
    """

    model: str
    version: int
    plan: RebalancePlan
    until_seconds: float
    after_row: int


def model_assigned(account: Account) -> TargetModel:
    """Return the model that is assigned to an account. Raises NoModel, UnknownModel."""
    name = state_of(account).preferences.model
    if name is None:
        raise NoModel('no model is assigned to the account: PATCH it with {"model": …}')
    return model_find(account=account, name=name)


def require_trading(state: AccountState) -> None:
    """Raise TradingHalted or TradingStopped if an account may not open positions."""
    ended = _ended_by(state)
    if ended == HALTED:
        raise TradingHalted
    if ended:
        raise TradingStopped(f"trading is {state.status}; start it to open positions")


def _ended_by(state: AccountState) -> str:
    if state.halt is not None or state.zone is Zone.HALT:
        return HALTED
    return "" if state.status == RUNNING else STOPPED


def rebalance_plan(
    *, account: Account, model: str, weights: Mapping[str, Decimal], options: RebalanceOptions
) -> RebalancePlan:
    """Return what brings a model's positions to its weights, at the prices of now. It only reads.

    Raises AccountNotValued, the errors of the store.
    """
    state, now_ns = state_of(account), engine_status().now_ns
    held = {position.symbol for position in state.positions.values() if position.strategy == model}
    quotes = {symbol: _quoted(symbol, state.currency, now_ns) for symbol in {*weights, *held}}
    prices = RebalanceMarket(quotes, market().marks(state, now_ns=now_ns))
    try:
        return plan_for_weights(state, model, weights, prices, options)
    except UnknownMark as error:
        raise AccountNotValued(f"the account cannot be valued: {error}") from None


def _quoted(symbol: str, currency: str, now_ns: int) -> Quoted | Unquoted:
    try:
        reference = market().reference(symbol, currency, side=Side.SELL, now_ns=now_ns)
        quote = Quoted(terms=market().terms(symbol), reference=reference)
    except (NotTradable, NoReferencePrice, NoRate) as error:
        return Unquoted(reason=error.code, message=str(error))
    if quote.terms.is_margined:
        return Unquoted(
            reason=NotTradable.code, message="the value of a future is not paid, so that it has no weight"
        )
    if quote.unit <= 0:
        return Unquoted(reason=NoReferencePrice.code, message="the price is not above zero")
    return quote


def rebalance_begin(
    *, account: Account, model: TargetModel, options: RebalanceOptions, until_seconds: float
) -> StartedRebalance:
    """Return a rebalance with its plan. Nothing is stored. Raises as `rebalance_plan`."""
    last = OrderRow.objects.filter(account=account).order_by("-pk").values_list("pk", flat=True).first()
    plan = rebalance_plan(account=account, model=model.name, weights=model.target_weights, options=options)
    return StartedRebalance(
        model=model.name, version=model.version, plan=plan, until_seconds=until_seconds, after_row=last or 0
    )


@dataclass(slots=True)
class Rebalancing:
    """Carries out a plan, step by step. Its orders are found by their `client_order_id`, so that any attempt goes on.

    job: whose id the orders' ids begin with. check: called before orders are placed; what it raises ends the step. ended: why
    it ended; "" until it begins to end. refusals: why trades were refused, by symbol; they are not tried again.
    """

    account: Account
    job: UUID
    started: StartedRebalance
    check: Callable[[], None]
    ended: str = ""
    orders: dict[str, list[Order]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def trades(self) -> list[PlannedTrade]:
        """The planned trades that have an order."""
        return [trade for trade in self.started.plan.trades if trade.side is not None]

    @property
    def done(self) -> int:
        """How many trades are filled or over."""
        return sum(
            bool(orders) and all(order.state.is_final for order in orders) for orders in self.orders.values()
        )

    def step(self, now: float) -> bool:
        """Do what can be done now; return whether it has ended. now: seconds since 1970.

        Sales come first; a purchase comes when the cash is there, or in parts. What is refused is not tried again.
        Raises the errors of store and database.
        """
        self.refresh()
        state = state_of(self.account)
        self.ended = self.ended or _ended_by(state) or (TIMEOUT if now >= self.started.until_seconds else "")
        if self.ended:
            self.cancel()
            return not self._open() or now >= self.started.until_seconds + _CANCEL_SECONDS
        try:
            if not self._place() or self._open():
                return False
        except EngineUnavailable:
            return False
        self.ended = COMPLETE
        return True

    def refresh(self) -> None:
        """Read the account and the orders that were placed."""
        self.account.refresh_from_db()
        rows = OrderRow.objects.filter(
            account=self.account, strategy=self.started.model, pk__gt=self.started.after_row
        )
        self.orders = {}
        for row in rows.order_by("pk"):
            if row.client_order_id.startswith(self._prefix):
                self.orders.setdefault(row.symbol, []).append(order_in(row))

    def cancel(self) -> None:
        """Ask for the cancel of all orders that are open."""
        for order in self._open():
            if order.may_be_cancelled:
                with suppress(OrderNotOpen):
                    order_cancel(account=self.account, order_id=UUID(order.id), by=self._by)

    @property
    def _prefix(self) -> str:
        return f"rebalance:{self.job}:"

    @property
    def _by(self) -> str:
        return f"job:{self.job}"

    def _open(self) -> list[Order]:
        return [order for orders in self.orders.values() for order in orders if not order.state.is_final]

    def _place(self) -> bool:
        """Place what can be placed now, in one transaction. Return whether nothing is left to place."""
        due, is_all = self._due()
        if not due:
            return is_all
        self.check()
        terms = [self._terms(trade, quantity) for trade, quantity in due]
        batch = orders_accept(orders_decide(account=self.account, orders=terms, by=self._by))
        for (trade, _), item in zip(due, batch.items, strict=True):
            if item.order is not None:
                self.orders.setdefault(trade.symbol, []).append(item.order)
            elif isinstance(item.error, RiskRefused) and item.error.failed == ("order_rate",):
                is_all = False
            elif not isinstance(item.error, ClientOrderIdReused):
                self.refusals[trade.symbol] = str(item.error)
        if any(isinstance(item.error, ClientOrderIdReused) for item in batch.items):
            # Another attempt, which slept past its lease, has placed it with another quantity.
            self.refresh()
        return is_all

    def _due(self) -> tuple[list[tuple[PlannedTrade, Decimal]], bool]:
        """Return the quantities that can be ordered now: all sales, and what the free cash pays. And whether that is all."""
        due: list[tuple[PlannedTrade, Decimal]] = []
        self.account.refresh_from_db()
        state = state_of(self.account)
        free = max(state.cash - committed(state.orders.values()), ZERO)
        for trade in (*self.started.plan.of_side(Side.SELL), *self.started.plan.of_side(Side.BUY)):
            quantity = left = self._left(trade)
            if trade.side is Side.BUY:
                at_most = trade.cost * (HUNDRED + state.config.collar) / HUNDRED
                quantity = min(lots_below(trade.quantity * free / at_most, trade.lot), left)
                free -= at_most * quantity / trade.quantity
            if quantity < left and (due or self._open()):
                # What is open may bring cash, and takes less of it once it has filled.
                return due, False
            if quantity > trade.quantity * _LEAST_PART:
                due.append((trade, quantity))
        return due, True

    def _left(self, trade: PlannedTrade) -> Decimal:
        """Return how much may be ordered: nothing while an order is open, after one that was ended, or after a refusal."""
        orders = self.orders.get(trade.symbol, [])
        if trade.symbol in self.refusals or (orders and orders[-1].state is not OrderState.FILLED):
            return ZERO
        return trade.quantity - sum((order.filled for order in orders), ZERO)

    def _terms(self, trade: PlannedTrade, quantity: Decimal) -> OrderTerms:
        assert trade.side is not None  # noqa: S101 only such trades are placed
        return OrderTerms(
            symbol=trade.symbol,
            side=trade.side,
            quantity=quantity,
            reduce_only=trade.side is Side.SELL,
            client_order_id=f"{self._prefix}{len(self.orders.get(trade.symbol, ()))}:{trade.symbol}",
            strategy=self.started.model,
        )
