"""What clients see of a rebalance: its plan, and what came of it."""

from decimal import Decimal

from trading.core.amounts import ZERO
from trading.core.orders import Order, OrderState
from trading.core.rebalance import PlannedTrade, RebalanceOptions, RebalancePlan
from trading.documents.rebalances import (
    PlannedTradeDocument,
    RebalancedSymbolDocument,
    RebalanceOrderDocument,
    RebalancePlanDocument,
    RebalanceResultDocument,
)
from trading.exceptions import AccountNotValued
from trading.journal import state_of
from trading.models import Account
from trading.services.rebalancing import COMPLETE, Rebalancing, StartedRebalance, rebalance_plan
from web.documents import number, number_or_null

# Why a part was not traded, beside the reasons of plans, the states of orders, and why a rebalance ended.
REFUSED = "refused"


def plan_document(account: Account, model: str, version: int, plan: RebalancePlan) -> RebalancePlanDocument:
    """Return a plan. Weights are fractions of `investable`; sums are in the account's currency."""
    return RebalancePlanDocument.of_attributes(
        plan,
        account=account.name,
        model=model,
        version=version,
        currency=state_of(account).currency,
        symbols=[PlannedTradeDocument.of(trade) for trade in plan.trades],
    )


def result_document(rebalancing: Rebalancing) -> RebalanceResultDocument:
    """Return what came of a rebalance: its plan, with what was filled, and cash and weights as they are now.

    They are null if a symbol that the account holds has no price any more.
    """
    started, account = rebalancing.started, rebalancing.account
    rebalancing.refresh()
    now = _plan_now(account, started)
    after = {} if now is None else {trade.symbol: trade.before for trade in now.trades}
    otherwise = None if now is None else ZERO
    return RebalanceResultDocument.of_attributes(
        started.plan,
        account=account.name,
        model=started.model,
        version=started.version,
        currency=state_of(account).currency,
        symbols=[
            _symbol_document(rebalancing, trade, after.get(trade.symbol, otherwise))
            for trade in started.plan.trades
        ],
        ended=rebalancing.ended,
        cash_after=None if now is None else number(now.cash),
    )


def _plan_now(account: Account, started: StartedRebalance) -> RebalancePlan | None:
    """Return the plan that would bring the model to the same weights now, for what it says of the present."""
    weights = {trade.symbol: trade.weight for trade in started.plan.trades if trade.weight}
    try:
        return rebalance_plan(
            account=account, model=started.model, weights=weights, options=RebalanceOptions()
        )
    except AccountNotValued:
        return None


def _symbol_document(
    rebalancing: Rebalancing, trade: PlannedTrade, after: Decimal | None
) -> RebalancedSymbolDocument:
    orders = rebalancing.orders.get(trade.symbol, [])
    left = trade.quantity - sum((order.filled for order in orders), ZERO)
    reason, message = _why_left(rebalancing, trade, orders) if left else (trade.reason, trade.message)
    return RebalancedSymbolDocument.of_attributes(
        trade,
        after=number_or_null(after),
        filled=number(trade.quantity - left),
        left=number(left),
        orders=[RebalanceOrderDocument.of(order) for order in orders],
        reason=reason or None,
        message=message or None,
    )


def _why_left(rebalancing: Rebalancing, trade: PlannedTrade, orders: list[Order]) -> tuple[str, str]:
    """Return why a part of a planned trade was not filled: a reason, and a message."""
    if orders and orders[-1].state is not OrderState.FILLED and rebalancing.ended == COMPLETE:
        order = orders[-1]
        return order.state.value, f"the order ended: {order.reason or order.state}"
    if trade.symbol in rebalancing.refusals:
        return REFUSED, rebalancing.refusals[trade.symbol]
    if rebalancing.ended == COMPLETE:
        return "cash", "the cash did not pay for all of it"
    return rebalancing.ended, f"the rebalance ended before: {rebalancing.ended}"
