"""A broker's statement, and where an account's positions and cash differ from it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from trading.core.account import AccountState
from trading.core.amounts import HUNDRED, ZERO, exact, money, unit_price
from trading.core.positions import Position


class BreakKind(StrEnum):
    """How books and statement differ. missing_here: the account does not hold it; missing_there: the broker does not."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    QUANTITY = "quantity"
    PRICE = "price"
    CASH = "cash"


class StatedPosition(NamedTuple):
    """What a statement says of a symbol. quantity: below zero for a short. price: the average price that was paid."""

    quantity: Decimal
    price: Decimal | None = None


class Statement(NamedTuple):
    """A statement. positions: by canonical symbol, all that are held. cash: in the account's currency; None if it is not stated."""

    positions: Mapping[str, StatedPosition]
    cash: Decimal | None = None


class Tolerances(NamedTuple):
    """What is no break. price: per cent of the stated price. cash: money, also of the cost that a price makes."""

    price: Decimal = Decimal("0.01")
    cash: Decimal = Decimal("0.01")


class StatementBreak(NamedTuple):
    """A difference: of quantities, of prices or, without a symbol, of cash. held: the account's positions in the symbol."""

    kind: BreakKind
    ours: Decimal
    theirs: Decimal
    symbol: str = ""
    held: tuple[Position, ...] = ()
    price: Decimal | None = None

    @property
    def difference(self) -> Decimal:
        """What the account would have to add to agree."""
        return self.theirs - self.ours

    def value(self, price: Decimal, multiplier: Decimal) -> Decimal:
        """Return what a difference in a symbol is worth in its currency. price: the mark; it does not matter to a cost."""
        if self.kind is BreakKind.PRICE:
            return money(sum((each.quantity for each in self.held), ZERO), self.difference, multiplier)
        return money(self.difference, price, multiplier)


class StatementComparison(NamedTuple):
    """The breaks, by symbol, the cash last; agreed: how many symbols, and the cash, have none."""

    breaks: list[StatementBreak]
    agreed: int


def compare(state: AccountState, statement: Statement, tolerances: Tolerances) -> StatementComparison:
    """Compare an account with a statement. Positions of several strategies in a symbol are added up."""
    held: dict[str, list[Position]] = {}
    for position in state.positions.values():
        held.setdefault(position.symbol, []).append(position)
    breaks, agreed = [], 0
    for symbol in sorted(held.keys() | statement.positions.keys()):
        stated = statement.positions.get(symbol, StatedPosition(ZERO))
        found = list(_of_symbol(symbol, tuple(held.get(symbol, ())), stated, tolerances))
        breaks += found
        agreed += not found
    if statement.cash is not None:
        cash = StatementBreak(BreakKind.CASH, state.cash, statement.cash)
        is_equal = abs(cash.difference) <= tolerances.cash
        breaks += [] if is_equal else [cash]
        agreed += is_equal
    return StatementComparison(breaks, agreed)


def _of_symbol(
    symbol: str, held: tuple[Position, ...], stated: StatedPosition, tolerances: Tolerances
) -> Iterator[StatementBreak]:
    ours, theirs = sum((each.quantity for each in held), ZERO), stated.quantity
    if ours != theirs:
        kind = BreakKind.QUANTITY if held else BreakKind.MISSING_HERE
        kind = kind if theirs else BreakKind.MISSING_THERE
        yield StatementBreak(kind, ours, theirs, symbol, held, stated.price)
    ours_paid = _paid(held)
    if ours_paid is None or stated.price is None or ours * theirs <= 0:
        return
    found = StatementBreak(BreakKind.PRICE, ours_paid, stated.price, symbol, held, stated.price)
    is_far = abs(found.difference) * HUNDRED > tolerances.price * abs(stated.price)
    if is_far and abs(found.value(ZERO, held[0].terms.multiplier)) > tolerances.cash:
        yield found


def _paid(held: tuple[Position, ...]) -> Decimal | None:
    """Return the average price of positions in a symbol.

    None for positions of both sides, and for futures, whose cost is reset at each settlement.
    """
    if not held or held[0].terms.is_margined or len({each.quantity > 0 for each in held}) > 1:
        return None
    quantity = sum((each.quantity for each in held), ZERO)
    return unit_price(sum((each.cost for each in held), ZERO), exact(quantity, held[0].terms.multiplier))
