"""What accounts are worth, and what their events give a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from trading.core.account import AccountState, Effects
from trading.core.amounts import ZERO, exact, money, ratio
from trading.core.events import (
    Event,
    Executed,
    HaltReleased,
    Marked,
    Reference,
    Settled,
    Transferred,
)
from trading.core.orders import Order
from trading.core.positions import Position
from trading.core.terms import AccountKind, Side, Terms, maintenance_rate, margin_rate

Marks = Mapping[str, Reference]
"""A mark for each symbol that is held."""


class UnknownMark(Exception):
    """A symbol that is held has no mark, so that the account cannot be valued. Ask again when there is a price."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} has no price")
        self.symbol = symbol


def equity_of(state: AccountState, marks: Marks) -> Decimal:
    """Return cash and positions in the account's currency. Raises UnknownMark."""
    equity = state.cash
    for position in state.positions.values():
        mark = mark_in(marks, position.symbol)
        equity += money(position.worth(mark.price), mark.rate)
    return equity


def exposure_of(state: AccountState, marks: Marks) -> Decimal:
    """Return the value of longs plus shorts in the account's currency. Raises UnknownMark."""
    exposure = ZERO
    for position in state.positions.values():
        mark = mark_in(marks, position.symbol)
        exposure += abs(money(position.value(mark.price), mark.rate))
    return exposure


def mark_in(marks: Marks, symbol: str) -> Reference:
    """Return the mark of a symbol. Raises UnknownMark."""
    try:
        return marks[symbol]
    except KeyError:
        raise UnknownMark(symbol) from None


@dataclass(slots=True)
class Load:
    """What a symbol may come to, in the account's currency: what is bought and sold already, and what orders may add.

    longs, shorts: the values, at least 0. longs_margin, shorts_margin: the money that must be paid in for them. A long
    and a sell order do not offset each other, nor do a long and a short of two strategies: each may be closed at any
    time, and the other stays.
    """

    longs: Decimal = ZERO
    shorts: Decimal = ZERO
    longs_margin: Decimal = ZERO
    shorts_margin: Decimal = ZERO

    @property
    def exposure(self) -> Decimal:
        """The largest value, whichever orders fill and whichever positions are closed."""
        return max(self.longs, self.shorts)

    @property
    def margin(self) -> Decimal:
        """The most that must be paid in, whichever orders fill and whichever positions are closed."""
        return max(self.longs_margin, self.shorts_margin)

    def add(self, side: Side, value: Decimal, margin: Decimal) -> None:
        """Add an order that may open a position, or a position that such orders made."""
        if side is Side.BUY:
            self.longs += value
            self.longs_margin += margin
        else:
            self.shorts += value
            self.shorts_margin += margin


def loads_of(state: AccountState, marks: Marks) -> dict[str, Load]:
    """Return the load of each symbol that is held or ordered. Raises UnknownMark."""
    loads: dict[str, Load] = {}
    for position in state.positions.values():
        load, mark = loads.setdefault(position.symbol, Load()), mark_in(marks, position.symbol)
        margin = margin_of_unit(state, position.terms, mark.price, mark.rate)
        load.add(
            Side.BUY if position.quantity > 0 else Side.SELL,
            abs(money(position.value(mark.price), mark.rate)),
            money(abs(position.quantity), margin),
        )
    for order in opening_orders(state.orders.values()):
        load = loads.get(order.terms.symbol) or loads.setdefault(order.terms.symbol, Load())
        left, worth, margin = order.remaining, order.worth, order.margin
        value = money(left, worth)
        load.add(order.terms.side, value, value if margin == worth else money(left, margin))
    return loads


def opening_orders(orders: Iterable[Order]) -> list[Order]:
    """Return the orders that may open or enlarge a position."""
    return [order for order in orders if not order.terms.reduce_only]


def committed(orders: Iterable[Order]) -> Decimal:
    """Return the cash that orders may take, with their fees, in the account's currency."""
    return sum((money(each.remaining, each.worth) + each.fee for each in opening_orders(orders)), ZERO)


def refusal_of(state: AccountState, equity: Decimal, amount: Decimal) -> str | None:
    """Return why an amount cannot be paid in (above zero) or out, in words; None if it can.

    Cash that pays for nothing may be paid out. A margin account must be flat and without orders.
    """
    orders = state.orders.values()
    is_bound = state.kind is AccountKind.MARGIN and bool(state.positions or opening_orders(orders))
    free = ZERO if is_bound else max(min(state.cash - committed(orders), equity), ZERO)
    if -amount > free:
        return "the money is not there, or pays for positions and orders"
    # A transfer scales the marks that tell losses; scaling by zero would erase them.
    if -amount >= equity and equity < max(state.high_water, state.day_equity, state.start_equity):
        return "leave something in an account that has losses, so that they stay known"
    return None


def margin_of_unit(state: AccountState, terms: Terms, price: Decimal, rate: Decimal) -> Decimal:
    """Return what must be paid in for a unit at a price, in the account's currency."""
    if terms.contract_margin is not None:
        return exact(terms.contract_margin, rate)
    return exact(margin_rate(state.kind, terms), abs(price), terms.multiplier, rate)


def maintenance_of(state: AccountState, marks: Marks) -> Decimal:
    """Return the equity that the positions need. Raises UnknownMark."""
    needed = ZERO
    for position in state.positions.values():
        mark, terms = mark_in(marks, position.symbol), position.terms
        if terms.contract_margin is not None:
            needed += money(terms.contract_margin, abs(position.quantity), mark.rate)
        else:
            part = maintenance_rate(terms, is_long=position.quantity > 0)
            needed += money(part, abs(position.value(mark.price)), mark.rate)
    return needed


def risk_of(position: Position, mark: Reference) -> tuple[Decimal, Decimal, Decimal | None]:
    """Return an open position's gain or loss since its trade began: in its currency, in the account's, and in R.

    R is None if a protective stop was not known at entry.
    """
    trade = position.trade
    unrealized = position.unrealized(mark.price)
    if trade is None:
        return unrealized, money(unrealized, mark.rate), None
    pnl = unrealized + trade.realized + trade.income - trade.fees
    in_base = trade.cash + money(position.worth(mark.price), mark.rate)
    return pnl, in_base, ratio(pnl, trade.risk) if trade.risk else None


_CURVE_EVENTS = (Marked, Transferred, HaltReleased)


def is_of_curve(event: Event) -> bool:
    """Return whether the curve has a point after an event: it changed the equity, or the exposure without a fill."""
    return isinstance(event, _CURVE_EVENTS) or (isinstance(event, Settled) and event.is_final)


class Grouping(StrEnum):
    """What the rows of a report are of. A trade belongs to the UTC date on which it was closed."""

    DAY = "day"
    SYMBOL = "symbol"
    STRATEGY = "strategy"


class FillResult(NamedTuple):
    """What counts of an execution.

    value: quantity * price * multiplier; fee: as booked. Both are in the account's currency. exposure: of the account
    after it.
    """

    at_ns: int
    symbol: str
    strategy: str
    value: Decimal
    fee: Decimal
    exposure: Decimal


def fill_of(state: AccountState, event: Executed, effects: Effects, at_ns: int) -> FillResult:
    """Return the fill of an execution. state, effects: after it and of it."""
    (order,) = (each for each in effects.orders if each.id == event.order_id)
    return FillResult(
        at_ns,
        order.terms.symbol,
        order.terms.strategy,
        money(event.quantity, abs(event.price), order.instrument.multiplier, event.rate),
        money(event.fee, event.rate),
        state.exposure,
    )
