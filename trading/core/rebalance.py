"""What brings the positions of a model to its target weights: a plan of orders, computed from a state and prices.

A model's positions are those whose strategy is its name. Weights are fractions of the equity without the positions of
other strategies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

import msgspec

from trading.core.account import AccountState
from trading.core.amounts import HUNDRED, ZERO, exact, lots_below, money, ratio, to_step
from trading.core.events import Reference
from trading.core.orders import OrderTerms
from trading.core.risk import Proposal, expected_cost, propose, worst_cost
from trading.core.terms import Side, Terms
from trading.core.valuation import Marks, committed, equity_of, mark_in

# Why a symbol is not traded, or less of it than its weight asks for.
_MESSAGES = {
    "no_equity": "the account is worth nothing without the positions of other strategies",
    "open_orders": "orders of the model are open in it",
    "below_lot": "the difference is less than a lot",
    "below_minimum": "the trade would be below the minimum",
    "cash": "the cash does not pay for all of it at the collar",
}


class RebalanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """minimum_trade: money below which nothing is traded. cash_buffer: per cent of `investable` that purchases leave.

    A position that the model does not name is sold, whatever the minimum is.
    """

    minimum_trade: Decimal = ZERO
    cash_buffer: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Quoted:
    """What the market says for a symbol. bid: as for a sale, the mark of a long. ask: as for a purchase."""

    terms: Terms
    bid: Reference
    ask: Reference

    @property
    def unit(self) -> Decimal:
        """What a unit is worth at the mark, in the account's currency."""
        return exact(self.bid.price, self.terms.multiplier, self.bid.rate)


@dataclass(frozen=True, slots=True)
class Unquoted:
    """Why a symbol has no weight: it cannot be traded, or has no price."""

    reason: str
    message: str


class PlannedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol of a plan.

    weight: in the model; 0 if it is not named. held: the position's quantity. before, after: weights, after if all fills
    at the mark; None without a price. side, quantity: of the order; None and 0 without one. cost: what the order takes
    of the cash, with its fee; below zero for a sale. reason, message: why there is no order, or a smaller one.
    """

    symbol: str
    weight: Decimal
    held: Decimal
    before: Decimal | None = None
    after: Decimal | None = None
    side: Side | None = None
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    reason: str = ""
    message: str = ""


class RebalancePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, in the account's currency. Its trades are in order: sales, purchases, what is not traded.

    investable: the equity without the positions of other strategies. cash: what of it is not in the model's positions.
    """

    equity: Decimal
    investable: Decimal
    cash: Decimal
    trades: tuple[PlannedTrade, ...]

    def of_side(self, side: Side | None) -> list[PlannedTrade]:
        """Return the trades of a side; with None those without an order."""
        return [trade for trade in self.trades if trade.side is side]


@dataclass(frozen=True, slots=True)
class RebalanceMarket:
    """Prices. quotes: of each symbol that is named or held by the model. marks: of all that is held."""

    quotes: Mapping[str, Quoted | Unquoted]
    marks: Marks


def plan_for_weights(
    state: AccountState,
    model: str,
    weights: Mapping[str, Decimal],
    market: RebalanceMarket,
    options: RebalanceOptions,
) -> RebalancePlan:
    """Return the orders that bring a model's positions to its weights. Quantities are rounded to lots towards zero.

    If the cash, with what the sales bring, does not pay for all purchases at their collars, all are lowered in
    proportion. Raises UnknownMark.
    """
    equity, own, others = equity_of(state, market.marks), ZERO, ZERO
    held: dict[str, Decimal] = {}
    for position in state.positions.values():
        mark = mark_in(market.marks, position.symbol)
        value = money(position.worth(mark.price), mark.rate)
        if position.strategy == model:
            own, held[position.symbol] = own + value, position.quantity
        else:
            # What a short brought in pays for buying it back.
            others += abs(value)
    planner = _Planner(state, model, max(equity - others, ZERO), options)
    trades = [
        planner.planned(symbol, weights.get(symbol, ZERO), held.get(symbol, ZERO), market.quotes[symbol])
        for symbol in sorted({*weights, *held})
    ]
    sales = [trade for trade in trades if trade.side is Side.SELL]
    cash = min(planner.investable - own, state.cash - committed(state.orders.values()))
    free = cash - sum(trade.cost for trade in sales)
    free -= money(planner.investable, options.cash_buffer / HUNDRED)
    bought = planner.paid([trade for trade in trades if trade.side is Side.BUY], free)
    purchases = [trade for trade in bought if trade.side]
    left = [trade for trade in trades if trade.side is None] + [trade for trade in bought if not trade.side]
    return RebalancePlan(
        equity=equity,
        investable=planner.investable,
        cash=planner.investable - own,
        trades=(*sales, *purchases, *left),
    )


@dataclass(slots=True)
class _Planner:
    """Plans the trades of symbols. quotes: of those that were planned."""

    state: AccountState
    model: str
    investable: Decimal
    options: RebalanceOptions
    quotes: dict[str, Quoted] = field(default_factory=dict)

    def planned(self, symbol: str, weight: Decimal, held: Decimal, quote: Quoted | Unquoted) -> PlannedTrade:
        """Return what brings a symbol to its weight, whatever the cash is."""
        if isinstance(quote, Unquoted):
            return PlannedTrade(
                symbol=symbol, weight=weight, held=held, reason=quote.reason, message=quote.message
            )
        self.quotes[symbol] = quote
        before = ratio(held * quote.unit, self.investable)
        trade = PlannedTrade(symbol=symbol, weight=weight, held=held, before=before, after=before)
        missing = weight * self.investable / quote.unit - held
        quantity = lots_below(abs(missing), quote.terms.lot) if weight else abs(held)
        reason = self._why_not(trade, quantity)
        if reason:
            return _without(trade, reason)
        return self._ordered(trade, Side.BUY if missing > 0 else Side.SELL, quantity)

    def _why_not(self, trade: PlannedTrade, quantity: Decimal) -> str:
        if not self.investable:
            return "no_equity"
        if any(order.terms.strategy == self.model for order in self.state.orders_of(trade.symbol)):
            return "open_orders"
        if not trade.weight:
            return ""
        if not quantity:
            return "below_lot"
        return "below_minimum" if self._is_small(trade, quantity) else ""

    def _is_small(self, trade: PlannedTrade, quantity: Decimal) -> bool:
        return money(quantity, self.quotes[trade.symbol].unit) < self.options.minimum_trade

    def _ordered(self, trade: PlannedTrade, side: Side, quantity: Decimal) -> PlannedTrade:
        cost, fee = expected_cost(self._proposal(trade, side, quantity))
        return msgspec.structs.replace(
            trade,
            side=side,
            quantity=quantity,
            cost=cost if side is Side.BUY else 2 * fee - cost,
            after=ratio(
                (trade.held + quantity * side.sign) * self.quotes[trade.symbol].unit, self.investable
            ),
        )

    def _proposal(self, trade: PlannedTrade, side: Side, quantity: Decimal) -> Proposal:
        quote = self.quotes[trade.symbol]
        order = OrderTerms(symbol=trade.symbol, side=side, quantity=quantity, strategy=self.model)
        return propose(self.state, order, quote.terms, quote.ask if side is Side.BUY else quote.bid)

    def paid(self, purchases: Sequence[PlannedTrade], free: Decimal) -> list[PlannedTrade]:
        """Return the purchases, all lowered in proportion if `free` does not pay for them at their collars."""
        proposals = [self._proposal(trade, Side.BUY, trade.quantity) for trade in purchases]
        fees = sum((each.fee for each in proposals), ZERO)
        value = sum((worst_cost(each) for each in proposals), ZERO) - fees
        if not purchases or value + fees <= free:
            return list(purchases)
        # Of a smaller order the fee is not larger.
        part = to_step(max(free - fees, ZERO) / value, Decimal("1e-12"), ROUND_DOWN)
        return [self._lowered(trade, part) for trade in purchases]

    def _lowered(self, trade: PlannedTrade, part: Decimal) -> PlannedTrade:
        quantity = lots_below(trade.quantity * part, self.quotes[trade.symbol].terms.lot)
        if not quantity or self._is_small(trade, quantity):
            return _without(trade, "cash")
        fewer = self._ordered(trade, Side.BUY, quantity)
        return msgspec.structs.replace(fewer, reason="cash", message=_MESSAGES["cash"])


def _without(trade: PlannedTrade, reason: str) -> PlannedTrade:
    return msgspec.structs.replace(
        trade,
        side=None,
        quantity=ZERO,
        cost=ZERO,
        after=trade.before,
        reason=reason,
        message=_MESSAGES[reason],
    )
