"""What an account is worth at given marks, and what its positions and working orders could become."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.core.account import AccountState
from trading.core.amounts import ZERO, exact, money, ratio
from trading.core.events import Reference
from trading.core.orders import Order
from trading.core.positions import Position
from trading.core.terms import Side, Terms, maintenance_rate, margin_rate

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


def mark_in(marks: Marks, symbol: str) -> Reference:
    """Return the mark of a symbol. Raises UnknownMark."""
    try:
        return marks[symbol]
    except KeyError:
        raise UnknownMark(symbol) from None


@dataclass(slots=True)
class Load:
    """What a symbol may come to, in the account's currency: what is held (below zero for shorts), and what orders may add.

    The first three are values, the others the money that must be paid in for them.
    """

    held: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    held_margin: Decimal = ZERO
    buys_margin: Decimal = ZERO
    sells_margin: Decimal = ZERO

    @property
    def exposure(self) -> Decimal:
        """The largest value, whichever orders fill."""
        return max(abs(self.held + self.buys), abs(self.held - self.sells))

    @property
    def margin(self) -> Decimal:
        """The most that must be paid in, whichever orders fill."""
        return max(abs(self.held_margin + self.buys_margin), abs(self.held_margin - self.sells_margin))

    def add_order(self, side: Side, quantity: Decimal, worth: Decimal, margin: Decimal) -> None:
        """Add an order that may open a position. worth, margin: of a unit."""
        if side is Side.BUY:
            self.buys += money(quantity, worth)
            self.buys_margin += money(quantity, margin)
        else:
            self.sells += money(quantity, worth)
            self.sells_margin += money(quantity, margin)


def loads_of(state: AccountState, marks: Marks) -> dict[str, Load]:
    """Return the load of each symbol that is held or ordered. Raises UnknownMark."""
    loads: dict[str, Load] = {}
    for position in state.positions.values():
        load, mark = loads.setdefault(position.symbol, Load()), mark_in(marks, position.symbol)
        load.held += money(position.value(mark.price), mark.rate)
        load.held_margin += _paid_in(state, position, mark)
    for order in opening_orders(state.orders.values()):
        load = loads.setdefault(order.terms.symbol, Load())
        load.add_order(order.terms.side, order.remaining, order.worth, order.margin)
    return loads


def opening_orders(orders: Iterable[Order]) -> list[Order]:
    """Return the orders that may open or enlarge a position."""
    return [order for order in orders if not order.terms.reduce_only]


def _paid_in(state: AccountState, position: Position, mark: Reference) -> Decimal:
    return money(position.quantity, margin_of_unit(state, position.terms, mark.price, mark.rate))


def margin_of_unit(state: AccountState, terms: Terms, price: Decimal, rate: Decimal) -> Decimal:
    """Return what must be paid in for a unit at a price, in the account's currency."""
    if terms.contract_margin is not None:
        return exact(terms.contract_margin, rate)
    return exact(margin_rate(state.kind, terms), abs(price), terms.multiplier, rate)


def maintenance_of(state: AccountState, marks: Marks) -> Decimal:
    """Return the equity that the positions need. Raises UnknownMark."""
    needed = ZERO
    for position in state.positions.values():
        mark = mark_in(marks, position.symbol)
        part = maintenance_rate(position.terms, is_long=position.quantity > 0)
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
    pnl = unrealized + trade.realized - trade.fees
    in_base = trade.realized_base + money(unrealized, mark.rate)
    return pnl, in_base, ratio(pnl, trade.risk) if trade.risk else None
