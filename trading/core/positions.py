"""Positions: lots with their cost, and the trades that they make from flat to flat."""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from trading.core.amounts import (
    NS_PER_SECOND,
    ONE,
    ZERO,
    average,
    exact,
    money,
    part_of,
    quantity,
    ratio,
    scaled,
    unit_price,
)
from trading.core.terms import Terms

# A dividend is forgotten when another one comes so much later: a price from after it is known by then.
_OLDEST_PRICE_NS = 30 * 86_400 * NS_PER_SECOND


class Lot(msgspec.Struct, kw_only=True):
    """A part of a position that one execution opened. quantity, cost: below zero for a short."""

    execution_id: str
    opened_ns: int
    quantity: Decimal
    cost: Decimal


class ExDividend(msgspec.Struct, frozen=True):
    """A dividend that was booked: the prices from before it still contain it.

    date: the ex-date, days since 1970. amount: per unit, in the instrument's currency.
    """

    effective_ns: int
    date: int
    amount: Decimal


class OpenTrade(msgspec.Struct, kw_only=True):
    """A trade in progress: from the first execution after flat to the last one before it.

    id: of its first execution. Values are price * quantity * multiplier, below zero at negative prices. realized, fees:
    in the instrument's currency. income: dividends less those owed and fees for borrowing, likewise. cash: how
    the trade has changed the account's cash so far, in the account's currency; below zero for an open long, which was paid
    for. risk: the money between the entries and the protective stops that were known at entry; None if one was not known.
    """

    id: str
    opened_ns: int
    entry_quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    income: Decimal = ZERO
    cash: Decimal = ZERO
    risk: Decimal | None = ZERO


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that ended.

    income: dividends less those owed and fees for borrowing; pnl: realized and income less fees, both in the
    instrument's currency; pnl_base: what the trade changed the cash by, in the account's currency: with the gain or loss
    of the currency on the money invested; r: pnl in units of risk.
    """

    id: str
    symbol: str
    strategy: str
    direction: str
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_ns: int
    closed_ns: int
    fees: Decimal
    income: Decimal
    pnl: Decimal
    pnl_base: Decimal
    currency: str
    risk: Decimal | None
    r: Decimal | None


class Execution(NamedTuple):
    """What fills a position.

    signed: the quantity, below zero for a sell. fee: in the instrument's currency; rate: from it to the account's.
    stop: the protective stop that was known; None for none.
    """

    id: str
    signed: Decimal
    price: Decimal
    fee: Decimal
    rate: Decimal
    at_ns: int
    stop: Decimal | None = None


class Booking(NamedTuple):
    """What a fill changed, in the instrument's currency: the position's cost, and the realized gain or loss."""

    cost: Decimal
    realized: Decimal
    closed: ClosedTrade | None = None

    def paid(self, fee: Decimal, terms: Terms) -> Decimal:
        """Return what was paid; below zero for what was got. Of a future it is the fee less the gain."""
        return (ZERO if terms.is_margined else self.cost) - self.realized + fee


class Position(msgspec.Struct, kw_only=True):
    """The position of an account in a symbol, for one strategy.

    quantity: below zero for a short. cost: the sum of its lots'. settled_ns: when a future was settled last; 0 for
    never. unit_value: of a unit at the last fill or mark, in the account's currency, at least 0. ex_dividends: those
    from after which no price may be known yet.
    """

    symbol: str
    strategy: str
    terms: Terms
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    lots: list[Lot] = []
    trade: OpenTrade | None = None
    settled_ns: int = 0
    unit_value: Decimal = ZERO
    ex_dividends: tuple[ExDividend, ...] = ()

    @property
    def exposure(self) -> Decimal:
        """Its value at the last fill or mark, in the account's currency, at least 0."""
        return money(abs(self.quantity), self.unit_value)

    def value_unit(self, price: Decimal, rate: Decimal) -> None:
        """Note a price. rate: from the instrument's currency to the account's."""
        self.unit_value = average(exact(abs(price), self.terms.multiplier, rate), ONE)

    @property
    def direction(self) -> str:
        return "LONG" if self.quantity > 0 else "SHORT"

    @property
    def average_price(self) -> Decimal | None:
        """The cost of a unit; None if flat."""
        return unit_price(self.cost, exact(self.quantity, self.terms.multiplier)) if self.quantity else None

    def value(self, price: Decimal) -> Decimal:
        """Return the position's value at a price, in the instrument's currency; below zero for a short."""
        return money(self.quantity, price, self.terms.multiplier)

    def unrealized(self, price: Decimal) -> Decimal:
        """Return the gain or loss that closing at a price would realize."""
        return self.value(price) - self.cost

    def worth(self, price: Decimal) -> Decimal:
        """Return what the position adds to the equity at a price: its value, or what is not settled yet."""
        return self.unrealized(price) if self.terms.is_margined else self.value(price)


def fill(position: Position, execution: Execution) -> list[Booking]:
    """Booking a position, and return what changed: of a fill through zero first what it closes, then what it opens."""
    signed, fee = execution.signed, execution.fee
    closing = _closing_part(position.quantity, signed)
    if not closing:
        return [_open(position, execution)]
    if closing == signed:
        return [_close(position, execution)]
    closing_fee = part_of(fee, closing, signed)
    closed = _close(position, execution._replace(signed=closing, fee=closing_fee))
    opened = _open(position, execution._replace(signed=signed - closing, fee=fee - closing_fee))
    assert position.trade is not None  # noqa: S101 it was just opened
    # The cash is converted at once: the new trade has what rounding leaves.
    rate = execution.rate
    first, second = closed.paid(closing_fee, position.terms), opened.paid(fee - closing_fee, position.terms)
    position.trade.cash += money(first, rate) + money(second, rate) - money(first + second, rate)
    return [closed, opened]


def _closing_part(held: Decimal, signed: Decimal) -> Decimal:
    if held * signed >= 0:
        return ZERO
    return signed if abs(signed) <= abs(held) else -held


def _open(position: Position, execution: Execution) -> Booking:
    id_, signed, price, fee, rate, at_ns, stop = execution
    multiplier = position.terms.multiplier
    cost = money(signed, price, multiplier)
    position.lots.append(Lot(execution_id=id_, opened_ns=at_ns, quantity=signed, cost=cost))
    position.quantity, position.cost = quantity(position.quantity + signed), position.cost + cost
    trade = position.trade = position.trade or OpenTrade(id=id_, opened_ns=at_ns)
    trade.entry_quantity += abs(signed)
    trade.entry_value += money(abs(signed), price, multiplier)
    trade.fees += fee
    booking = Booking(cost, ZERO)
    trade.cash -= money(booking.paid(fee, position.terms), rate)
    # A stop that the price is beyond already protects nothing.
    at_risk = ZERO if stop is None else money(price - stop, signed, multiplier)
    trade.risk = None if trade.risk is None or at_risk <= 0 else trade.risk + at_risk
    return booking


def _close(position: Position, execution: Execution) -> Booking:
    _, signed, price, fee, rate, at_ns, _ = execution
    value = money(signed, price, position.terms.multiplier)
    released = _release(position, -signed)
    realized = -value - released
    direction = position.direction
    position.quantity, position.cost = quantity(position.quantity + signed), position.cost - released
    trade = position.trade
    assert trade is not None  # noqa: S101 a position that is not flat has a trade
    trade.exit_quantity += abs(signed)
    trade.exit_value += money(abs(signed), price, position.terms.multiplier)
    trade.fees += fee
    trade.realized += realized
    booking = Booking(-released, realized)
    trade.cash -= money(booking.paid(fee, position.terms), rate)
    if position.quantity:
        return booking
    position.trade = None
    return booking._replace(closed=_closed(position, trade, direction, at_ns))


def _release(position: Position, signed: Decimal) -> Decimal:
    """Take a quantity out of the oldest lots, and return its cost."""
    left, released, lots = signed, ZERO, []
    for lot in position.lots:
        taken = lot.quantity if abs(lot.quantity) <= abs(left) else left
        if not taken and lot.quantity:
            lots.append(lot)
            continue
        cost = lot.cost if taken == lot.quantity else part_of(lot.cost, taken, lot.quantity)
        left, released = left - taken, released + cost
        if taken != lot.quantity:
            rest = msgspec.structs.replace(lot, quantity=lot.quantity - taken, cost=lot.cost - cost)
            lots.append(rest)
    position.lots = lots
    return released


def _closed(position: Position, trade: OpenTrade, direction: str, at_ns: int) -> ClosedTrade:
    pnl = trade.realized + trade.income - trade.fees
    multiplier = position.terms.multiplier
    return ClosedTrade(
        id=trade.id,
        symbol=position.symbol,
        strategy=position.strategy,
        direction=direction,
        quantity=trade.entry_quantity,
        entry_price=unit_price(trade.entry_value, exact(trade.entry_quantity, multiplier)),
        exit_price=unit_price(trade.exit_value, exact(trade.exit_quantity, multiplier)),
        opened_ns=trade.opened_ns,
        closed_ns=at_ns,
        fees=trade.fees,
        income=trade.income,
        pnl=pnl,
        pnl_base=trade.cash,
        currency=position.terms.currency,
        risk=trade.risk,
        r=None if not trade.risk else ratio(pnl, trade.risk),
    )


def split_lots(position: Position, by: Decimal, before_ns: int) -> list[Decimal]:
    """Return the quantities of the lots after a split: those opened before an instant are multiplied."""
    return [
        quantity(lot.quantity, by) if lot.opened_ns < before_ns else lot.quantity for lot in position.lots
    ]


def split(position: Position, by: Decimal, before_ns: int) -> None:
    """Multiply the quantities of lots that were opened before an instant; costs and exposure stay."""
    before = exact(position.quantity, position.unit_value)
    for lot, after in zip(position.lots, split_lots(position, by, before_ns), strict=True):
        lot.quantity = after
    position.quantity = sum((lot.quantity for lot in position.lots), ZERO)
    position.unit_value = average(before, position.quantity)
    position.ex_dividends = tuple(
        msgspec.structs.replace(each, amount=scaled(each.amount, ONE, by)) for each in position.ex_dividends
    )
    trade = position.trade
    if trade is not None and trade.opened_ns < before_ns:
        trade.entry_quantity = quantity(trade.entry_quantity, by)
        trade.exit_quantity = quantity(trade.exit_quantity, by)


def held_before(position: Position, before_ns: int) -> Decimal:
    """Return the quantity of lots that were opened before an instant."""
    return sum((lot.quantity for lot in position.lots if lot.opened_ns < before_ns), ZERO)


def settle(position: Position, price: Decimal, rate: Decimal, at_ns: int) -> Decimal:
    """Realize what a future gained since its last settlement, and return it. Its lots begin again at this price."""
    before = position.cost
    for lot in position.lots:
        lot.cost = money(lot.quantity, price, position.terms.multiplier)
    position.cost = sum((lot.cost for lot in position.lots), ZERO)
    gained, position.settled_ns = position.cost - before, at_ns
    if position.trade is not None:
        position.trade.realized += gained
        position.trade.cash += money(gained, rate)
    return gained


def earn(position: Position, amount: Decimal, amount_base: Decimal) -> None:
    """Add a dividend to the income of the open trade, if there is one. A dividend owed and a fee are negative.

    amount: in the instrument's currency; amount_base: in the account's.
    """
    if position.trade is not None:
        position.trade.income += amount
        position.trade.cash += amount_base


def go_ex(position: Position, dividend: ExDividend) -> None:
    """Note a dividend that was booked: `Market.mark` takes it off prices from before it."""
    since_ns = dividend.effective_ns - _OLDEST_PRICE_NS
    known = (each for each in position.ex_dividends if each.effective_ns > since_ns)
    position.ex_dividends = (*known, dividend)
