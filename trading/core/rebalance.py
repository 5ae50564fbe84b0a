"""What brings the positions of a model to its target weights: a plan of orders, computed from a state and prices.

A model's positions are those whose strategy is its name. Weights are parts of what the account is worth without the
positions of other strategies: of its cash and the model's own positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from trading.core.account import AccountState
from trading.core.amounts import HUNDRED, ONE, ZERO, exact, lots_below, money, ratio, scaled
from trading.core.events import Reference
from trading.core.terms import Side, Terms
from trading.core.valuation import Marks, equity_of, mark_in

# Why a symbol is not traded, or less of it than its weight asks for.
_MESSAGES = {
    "no_equity": "the account is worth nothing without the positions of other strategies",
    "open_orders": "orders of the model are open in it",
    "in_band": "the weight is within the drift band",
    "below_lot": "the difference is less than a lot",
    "below_minimum": "the trade would be below the minimum",
    "cash": "the cash does not pay for all of it",
}


class RebalanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebalance leaves alone.

    drift_band: per cent points by which a weight may be off. minimum_trade: money below which nothing is traded.
    cash_buffer: per cent that purchases leave as cash, but for fees and the spread. A position that the model does not name is sold whatever the first two say.
    """

    drift_band: Decimal = ZERO
    minimum_trade: Decimal = ZERO
    cash_buffer: Decimal = ZERO


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """The terms and the price of a symbol. reference: as for a sale, so that its price is the mark of a long."""

    terms: Terms
    reference: Reference

    @property
    def unit(self) -> Decimal:
        """What a unit is worth at the mark, in the account's currency."""
        return exact(self.reference.price, self.terms.multiplier, self.reference.rate)

    def unit_traded(self, side: Side) -> Decimal:
        """What a unit is bought or sold for now, with the slippage, in the account's currency."""
        return exact(self._price(side), self.terms.multiplier, self.reference.rate)

    def cost(self, side: Side, quantity: Decimal) -> Decimal:
        """What an order takes of the cash, with its fee; below zero for a sale."""
        value = money(quantity, self._price(side), self.terms.multiplier)
        return money(value * side.sign + self.terms.fee.of(quantity, value), self.reference.rate)

    def _price(self, side: Side) -> Decimal:
        price = self.reference.price
        if side is Side.BUY:
            price = max(price, self.reference.ask or ZERO)
        return self.terms.slippage.price(side, price, self.terms.tick_at)


class Unquoted(msgspec.Struct, frozen=True, kw_only=True):
    """Why a symbol has no weight: it cannot be traded, or has no price."""

    reason: str
    message: str


class PlannedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol of a plan.

    weight: in the model; 0 if it is not named. target: the weight that is aimed at, which leaves the cash buffer.
    before, after: weights, after if all fills at the mark; None without a price. held: the position's quantity. side,
    quantity: of the order; None and 0 without one. cost: what the order takes of the cash, with its fee; below zero for
    a sale. reason, message: why there is no order, or a smaller one; "" otherwise.
    """

    symbol: str
    weight: Decimal
    target: Decimal
    held: Decimal
    before: Decimal | None = None
    after: Decimal | None = None
    side: Side | None = None
    quantity: Decimal = ZERO
    lot: Decimal = ONE
    cost: Decimal = ZERO
    reason: str = ""
    message: str = ""


class RebalancePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, in the account's currency. Its trades are in order: sales, purchases by value, then what is not traded.

    investable: the equity without the positions of other strategies; cash: what of it is not in the model's positions
    now; cash_after: after all trades.
    """

    equity: Decimal
    investable: Decimal
    cash: Decimal
    cash_after: Decimal
    trades: tuple[PlannedTrade, ...]

    def of_side(self, side: Side) -> list[PlannedTrade]:
        """Return the trades of a side, in the order in which they are placed."""
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

    Sales are as large as needed; purchases, the largest first, as far as the cash pays for them at the ask, with fees.
    Raises UnknownMark.
    """
    equity, own, others = equity_of(state, market.marks), ZERO, ZERO
    held: dict[str, Decimal] = {}
    for position in state.positions.values():
        mark = mark_in(market.marks, position.symbol)
        worth = money(position.worth(mark.price), mark.rate)
        if position.strategy == model:
            own, held[position.symbol] = own + worth, position.quantity
        else:
            # What a short brought in pays for buying it back.
            others += abs(worth)
    quotes = {symbol: quote for symbol, quote in market.quotes.items() if isinstance(quote, Quoted)}
    planner = _Planner(state, model, quotes, max(equity - others, ZERO), options)
    total, most = sum(weights.values(), ZERO), ONE - options.cash_buffer / HUNDRED
    scale = scaled(ONE, most, total) if total > most else ONE
    trades = []
    for symbol in sorted({*weights, *held}):
        weight = weights.get(symbol, ZERO)
        trade = PlannedTrade(symbol=symbol, weight=weight, target=weight * scale, held=held.get(symbol, ZERO))
        quote = market.quotes[symbol]
        if isinstance(quote, Unquoted):
            trades.append(msgspec.structs.replace(trade, reason=quote.reason, message=quote.message))
        else:
            trades.append(planner.planned(trade))
    sales = [trade for trade in trades if trade.side is Side.SELL]
    purchases, cash_after = planner.paid(trades, planner.investable - own)
    left = [trade for trade in trades if trade.side is None]
    return RebalancePlan(
        equity=equity,
        investable=planner.investable,
        cash=planner.investable - own,
        cash_after=cash_after,
        trades=(*sales, *purchases, *left),
    )


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans the trades of symbols that have a quote."""

    state: AccountState
    model: str
    quotes: Mapping[str, Quoted]
    investable: Decimal
    options: RebalanceOptions

    def planned(self, trade: PlannedTrade) -> PlannedTrade:
        """Return a trade with what brings the symbol to its target, whatever the cash is."""
        quote = self.quotes[trade.symbol]
        missing = trade.target * self.investable / quote.unit - trade.held
        before = ratio(trade.held * quote.unit, self.investable)
        quantity = lots_below(abs(missing), quote.terms.lot) if trade.weight else abs(trade.held)
        trade = msgspec.structs.replace(trade, before=before, after=before, lot=quote.terms.lot)
        reason = self._why_not(trade, quote, missing, quantity)
        if reason:
            return _without(trade, reason)
        return self._ordered(trade, quote, Side.BUY if missing > 0 else Side.SELL, quantity)

    def _why_not(self, trade: PlannedTrade, quote: Quoted, missing: Decimal, quantity: Decimal) -> str:
        orders = self.state.orders_of(trade.symbol)
        if not self.investable:
            return "no_equity"
        if any(order.terms.strategy == self.model for order in orders):
            return "open_orders"
        if not trade.weight:
            return ""
        drift = abs(missing) * quote.unit * HUNDRED / self.investable
        if self.options.drift_band and drift <= self.options.drift_band:
            return "in_band"
        if not quantity:
            return "below_lot"
        return "below_minimum" if money(quantity, quote.unit) < self.options.minimum_trade else ""

    def _ordered(self, trade: PlannedTrade, quote: Quoted, side: Side, quantity: Decimal) -> PlannedTrade:
        return msgspec.structs.replace(
            trade,
            side=side,
            quantity=quantity,
            cost=quote.cost(side, quantity),
            after=ratio((trade.held + quantity * side.sign) * quote.unit, self.investable),
        )

    def paid(self, trades: list[PlannedTrade], cash: Decimal) -> tuple[list[PlannedTrade], Decimal]:
        """Return the purchases as far as the cash pays for them, the largest first, and the cash after all trades.

        Their value leaves the buffer, from which fees and the spread are paid.
        """
        sales = [trade for trade in trades if trade.side is Side.SELL]
        room = cash + sum((self._value(trade) for trade in sales), ZERO)
        room -= money(self.investable, self.options.cash_buffer / HUNDRED)
        cash -= sum((trade.cost for trade in sales), ZERO)
        purchases = []
        wanted = [trade for trade in trades if trade.side is Side.BUY]
        for trade in sorted(wanted, key=lambda each: (-each.cost, each.symbol)):
            purchases.append(self._afforded(trade, cash, room))
            cash, room = cash - purchases[-1].cost, room - self._value(purchases[-1])
        return purchases, cash

    def _value(self, trade: PlannedTrade) -> Decimal:
        return money(trade.quantity, self.quotes[trade.symbol].unit)

    def _afforded(self, trade: PlannedTrade, cash: Decimal, room: Decimal) -> PlannedTrade:
        """Return a purchase that the cash pays for: the whole, fewer lots, or none."""
        quote = self.quotes[trade.symbol]
        if trade.cost <= cash and self._value(trade) <= room:
            return trade
        unit = quote.unit_traded(Side.BUY)
        fee = trade.cost - money(trade.quantity, unit)
        paid = min((cash - fee) / unit, room / quote.unit)
        quantity = min(lots_below(max(paid, ZERO), trade.lot), trade.quantity)
        if not quantity or money(quantity, quote.unit) < self.options.minimum_trade:
            return _without(trade, "cash")
        fewer = self._ordered(trade, quote, Side.BUY, quantity)
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
