"""What clients see of a rebalance: its plan, and what came of it."""

from trading.core.amounts import ZERO
from trading.core.orders import Order, OrderState
from trading.core.rebalance import PlannedTrade, RebalanceOptions, RebalancePlan
from trading.documents import Document
from trading.documents.rebalances import RebalancePlanDocument
from trading.exceptions import AccountNotValued
from trading.journal import state_of
from trading.models import Account
from trading.services.rebalancing import COMPLETE, Rebalancing, StartedRebalance, rebalance_plan
from web.documents import number, number_or_null

# Why a part was not traded, beside the reasons of plans, the states of orders, and why a rebalance ended.
REFUSED = "refused"


def plan_document(account: Account, model: str, version: int, plan: RebalancePlan) -> RebalancePlanDocument:
    """Return a plan. Weights are fractions of `investable`; sums are in the account's currency."""
    currency = state_of(account).currency
    return RebalancePlanDocument.of(
        plan, account=account.name, model=model, version=version, currency=currency
    )


def result_document(rebalancing: Rebalancing) -> Document:
    """Return what came of a rebalance: its plan, with what was filled, and cash and weights as they are now.

    They are null if a symbol that the account holds has no price any more.
    """
    started, account = rebalancing.started, rebalancing.account
    rebalancing.refresh()
    now = _plan_now(account, started)
    after = {} if now is None else {trade.symbol: trade.before for trade in now.trades}
    document = plan_document(account, started.model, started.version, started.plan).as_json()
    symbols = [
        {
            **each,
            **_filled_document(rebalancing, trade),
            "after": number_or_null(after.get(trade.symbol, None if now is None else ZERO)),
        }
        for each, trade in zip(document["symbols"], started.plan.trades, strict=True)
    ]
    cash = None if now is None else number(now.cash)
    return {**document, "ended": rebalancing.ended, "cash_after": cash, "symbols": symbols}


def _plan_now(account: Account, started: StartedRebalance) -> RebalancePlan | None:
    """Return the plan that would bring the model to the same weights now, for what it says of the present."""
    weights = {trade.symbol: trade.weight for trade in started.plan.trades if trade.weight}
    try:
        return rebalance_plan(
            account=account, model=started.model, weights=weights, options=RebalanceOptions()
        )
    except AccountNotValued:
        return None


def _filled_document(rebalancing: Rebalancing, trade: PlannedTrade) -> Document:
    orders = rebalancing.orders.get(trade.symbol, [])
    left = trade.quantity - sum((order.filled for order in orders), ZERO)
    return {
        "filled": number(trade.quantity - left),
        "left": number(left),
        "orders": [
            {
                "id": order.id,
                "quantity": number(order.terms.quantity),
                "filled": number(order.filled),
                "average_price": number_or_null(order.average_price),
                "status": order.state.value,
            }
            for order in orders
        ],
        **(_why_left(rebalancing, trade, orders) if left else {}),
    }


def _why_left(rebalancing: Rebalancing, trade: PlannedTrade, orders: list[Order]) -> Document:
    """Return why a part of a planned trade was not filled."""
    if orders and orders[-1].state is not OrderState.FILLED and rebalancing.ended == COMPLETE:
        order = orders[-1]
        return {"reason": order.state.value, "message": f"the order ended: {order.reason or order.state}"}
    if trade.symbol in rebalancing.refusals:
        return {"reason": REFUSED, "message": rebalancing.refusals[trade.symbol]}
    if rebalancing.ended == COMPLETE:
        return {"reason": "cash", "message": "the cash did not pay for all of it"}
    return {"reason": rebalancing.ended, "message": f"the rebalance ended before: {rebalancing.ended}"}
