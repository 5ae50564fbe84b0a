"""The state of an account, and what each event changes in it."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

import msgspec

from trading.core import events, positions
from trading.core.amounts import NS_PER_SECOND, ONE, ZERO, money, part_of, percent, quantity, scaled
from trading.core.configuration import RiskConfig, Zone, latency_ns, zone_after
from trading.core.events import Event
from trading.core.ledger import (
    BORROWING,
    CAPITAL,
    CASH,
    DIVIDENDS,
    REALIZED,
    LedgerEntry,
    fill_entries,
    paid,
)
from trading.core.orders import Contingency, Leg, Order, OrderState
from trading.core.positions import ClosedTrade, ExDividend, Execution, Position
from trading.core.terms import AccountKind, Side, Terms, shared

STOPPED, RUNNING, STOPPING = "stopped", "running", "stopping"
# The reason of a halt by the drawdown zone.
DRAWDOWN = "drawdown"
_MINUTE_NS = 60 * NS_PER_SECOND


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A risk level that a person set."""

    risk_level: Decimal
    until_ns: int
    reason: str
    by: str


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """Why trading is halted. symbol: of a log that was restored."""

    reason: str
    at_ns: int
    symbol: str | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy that decides for an account. number, at_ns: of the event that assigned it.

    failure: why it failed; empty while it runs.
    """

    strategy: events.StrategyChoice
    number: int
    at_ns: int
    failure: str = ""


class AccountState(msgspec.Struct, kw_only=True):
    """An account after an event.

    number: of that event. traded: the number of the last event that changed what orders may fill, positions or cash.
    cash: in `currency`. balances: of the ledger, by `account currency symbol`. positions: by `position_key`; flat ones are
    left out. orders: those that can still fill, by id. status: stopped, running or stopping. covered: what a parent
    filled less what its legs filled, by the parent's id; of an oco its quantity less what both filled. equity: of the last
    mark. high_water, day_equity, start_equity: the largest equity, that at the day's start, and that of the beginning; a
    transfer scales all of them, so that it moves no percentage. day: the UTC date of `day_equity`. halts: those that a person has not
    released, oldest first. accepted_ns: the instants of the last minute's accepted opening orders. queued: positions
    that a stop closes once their markets open, with that instant. applied: the corporate actions that took effect, by
    symbol.
    """

    id: str
    number: int = 0
    traded: int = 0
    kind: AccountKind = AccountKind.CASH
    currency: str = "USD"
    cash: Decimal = ZERO
    balances: dict[str, Decimal] = {}
    positions: dict[str, Position] = {}
    orders: dict[str, Order] = {}
    covered: dict[str, Decimal] = {}
    config: RiskConfig = RiskConfig()
    risk_version: int = 0
    status: str = STOPPED
    zone: Zone = Zone.NORMAL
    halts: list[Halt] = []
    override: Override | None = None
    preferences: events.Preferences = events.Preferences()
    assignment: Assignment | None = None
    equity: Decimal = ZERO
    high_water: Decimal = ZERO
    day_equity: Decimal = ZERO
    start_equity: Decimal = ZERO
    day: str = ""
    marked_ns: int = 0
    accepted_ns: list[int] = []
    queued: dict[str, int | None] = {}
    applied: dict[str, list[str]] = {}
    is_margin_called: bool = False

    @property
    def halt(self) -> Halt | None:
        """The oldest halt, which is the next that a person releases; None if trading is not halted."""
        return self.halts[0] if self.halts else None

    @property
    def drawdown(self) -> Decimal:
        """Per cent below the high-water mark at the last mark; at least 0."""
        return loss_percent(self.high_water, self.equity)

    @property
    def paid_in(self) -> Decimal:
        """What was paid in less what was paid out, in `currency`."""
        return -self.balances.get(f"{CAPITAL} {self.currency}", ZERO)

    @property
    def exposure(self) -> Decimal:
        """The value of all positions at their last fills or marks, longs and shorts added up."""
        return sum((position.exposure for position in self.positions.values()), ZERO)

    @property
    def risk_level(self) -> Decimal:
        """Per cent of the equity that a trade may lose now."""
        level = self.config.risk_level
        if self.override is not None:
            level = min(self.override.risk_level, self.config.max_risk_level)
        return level * self.zone.factor

    def position(self, symbol: str, strategy: str = "") -> Position | None:
        return self.positions.get(position_key(symbol, strategy))

    def units_of(self, symbol: str) -> Decimal:
        """Return the units of a symbol that all strategies hold; below zero if they are short."""
        return sum((each.quantity for each in self.positions.values() if each.symbol == symbol), ZERO)

    def orders_of(self, symbol: str) -> list[Order]:
        """Return the orders of a symbol that can still fill, oldest first."""
        return [order for order in self.orders.values() if order.terms.symbol == symbol]

    def legs_of(self, parent_id: str) -> list[Order]:
        """Return the legs of an order that can still fill."""
        return [order for order in self.orders.values() if order.parent_id == parent_id]

    def fillable(self, order: Order) -> Decimal:
        """Return how much of an order may fill now.

        Of a leg it is what its parent filled, of an oco what the other one left, of a reducing order what is held.
        """
        left = order.remaining
        if order.covered_by is not None:
            left = min(left, self.covered.get(order.covered_by, ZERO))
        if order.terms.reduce_only:
            held = self.position(order.terms.symbol, order.terms.strategy)
            left = min(left, ZERO if held is None else -held.quantity * order.terms.side.sign)
        return max(left, ZERO)

    def most_fillable(self, order: Order) -> Decimal:
        """Return how much of a leg, or of an order of an oco, may still fill: `covered`, and what its parent may fill."""
        assert order.covered_by is not None  # noqa: S101 the caller has checked it
        covered = self.covered.get(order.covered_by, ZERO)
        parent = self.orders.get(order.covered_by)
        is_entry = parent is not None and parent.contingency is not Contingency.OCO
        return covered + (parent.remaining if parent is not None and is_entry else ZERO)

    def symbols(self) -> set[str]:
        """Return the symbols of positions and orders."""
        held = {position.symbol for position in self.positions.values()}
        return held | {order.terms.symbol for order in self.orders.values()}


def loss_percent(before: Decimal, equity: Decimal) -> Decimal:
    """Return how many per cent an equity is below an earlier one; 0 if it is not, or if the earlier one was nothing."""
    return percent(before - equity, before) if before > 0 and equity < before else ZERO


def position_key(symbol: str, strategy: str) -> str:
    """Return the key of a position."""
    return f"{symbol}|{strategy}" if strategy else symbol


@dataclass(slots=True)
class Effects:
    """What an event changed: entries of the ledger, orders, and trades that ended."""

    entries: list[LedgerEntry] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    closed: list[ClosedTrade] = field(default_factory=list)


_Handler = Callable[[AccountState, Any, int], Effects]
_HANDLERS: dict[type, _Handler] = {}


def _on(*kinds: type) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        _HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


# They change neither what orders may fill, nor positions or cash.
_OF_AN_ORDER_ALONE = (events.OrderWorking, events.OrderRejected)


def apply(state: AccountState, event: Event, *, at_ns: int) -> Effects:
    """Change the state by its next event, and return what changed."""
    state.number += 1
    effects = _HANDLERS[type(event)](state, event, at_ns)
    if effects.entries:
        effects.entries = [entry for entry in effects.entries if entry.amount]
    for entry in effects.entries:
        key = f"{entry.account} {entry.currency} {entry.symbol}".rstrip()
        balance = state.balances.get(key, ZERO) + entry.amount
        state.balances[key] = balance
        if not balance:
            del state.balances[key]
        if entry.account == CASH:
            state.cash += entry.amount
    # A future's last settlement may have no entries.
    is_change = effects.orders or effects.entries or effects.closed
    if is_change and not isinstance(event, _OF_AN_ORDER_ALONE):
        state.traded = state.number
        forget_actions(state)
    return effects


@_on(
    events.AccountOpened,
    events.RiskConfigured,
    events.RiskOverridden,
    events.OverrideEnded,
    events.Preferences,
)
def _configured(state: AccountState, event: Event, at_ns: int) -> Effects:
    match event:
        case events.AccountOpened():
            state.kind, state.currency = event.kind, event.currency
        case events.RiskConfigured():
            state.config, state.risk_version = event.config, event.version
        case events.RiskOverridden(risk_level, until_ns, reason, by):
            state.override = Override(risk_level=risk_level, until_ns=until_ns, reason=reason, by=by)
        case events.OverrideEnded():
            state.override = None
        case events.Preferences():
            state.preferences = event
    return Effects()


@_on(events.TradingStarted, events.StopRequested, events.CloseQueued, events.Stopped)
def _started_or_stopped(state: AccountState, event: Event, at_ns: int) -> Effects:
    match event:
        case events.TradingStarted():
            state.status = RUNNING
        case events.StopRequested():
            state.status = STOPPING
        case events.CloseQueued():
            state.queued[position_key(event.symbol, event.strategy)] = event.opens_ns
        case events.Stopped():
            state.status, state.queued = STOPPED, {}
    return Effects()


@_on(events.StrategyAssigned)
def _strategy_assigned(state: AccountState, event: events.StrategyAssigned, at_ns: int) -> Effects:
    chosen = event.strategy
    if event.failure and state.assignment is not None:
        state.assignment = msgspec.structs.replace(state.assignment, failure=event.failure)
    else:
        state.assignment = (
            None if chosen is None else Assignment(strategy=chosen, number=state.number, at_ns=at_ns)
        )
    return Effects()


@_on(events.Alert)
def _alert(state: AccountState, event: events.Alert, at_ns: int) -> Effects:
    if event.kind in {events.MARGIN_CALL, events.MARGIN_RESTORED}:
        state.is_margin_called = event.kind == events.MARGIN_CALL
    return Effects()


@_on(events.Transferred)
def _transferred(state: AccountState, event: events.Transferred, at_ns: int) -> Effects:
    after = event.equity + event.amount
    for name in ("high_water", "day_equity", "start_equity"):
        is_scaled = event.equity > 0 and after > 0
        before: Decimal = getattr(state, name)
        setattr(state, name, scaled(before, after, event.equity) if is_scaled else max(after, ZERO))
    state.equity = after
    entries = [
        LedgerEntry(CASH, state.currency, event.amount),
        LedgerEntry(CAPITAL, state.currency, -event.amount),
    ]
    return Effects(entries)


@_on(events.OrderAccepted)
def _accepted(state: AccountState, event: events.OrderAccepted, at_ns: int) -> Effects:
    order = Order(
        id=event.order_id,
        terms=event.order,
        instrument=shared(event.terms),
        state=OrderState.PENDING_NEW,
        states={OrderState.PENDING_NEW: event.submitted_ns},
        matches_after_ns=event.matches_after_ns,
        expires_ns=event.expires_ns,
        collar=event.collar,
        is_taking=event.is_taking,
        worth=event.worth,
        margin=event.margin,
        fee=event.fee,
        parent_id=event.leg_of,
        leg=None if event.leg is None else Leg(event.leg),
        contingency=event.contingency,
        is_held=event.leg_of is not None and event.contingency in {Contingency.OTO, Contingency.BRACKET},
        replaces=event.replaces,
        by=event.by,
        correlation_id=event.correlation_id,
        first_event=state.number,
    )
    order.move(OrderState.ACCEPTED, at_ns)
    state.orders[order.id] = order
    if order.covered_by == order.id:
        state.covered[order.id] = event.order.quantity
    changed = [order]
    if event.replaces is not None and event.replaces in state.orders:
        state.orders[event.replaces].replaced_by = order.id
        changed.append(state.orders[event.replaces])
    if not event.order.reduce_only:
        recent = [each for each in state.accepted_ns if each > at_ns - _MINUTE_NS]
        state.accepted_ns = [*recent, at_ns]
    return Effects(orders=changed)


@_on(events.OrderRejected)
def _rejected(state: AccountState, event: events.OrderRejected, at_ns: int) -> Effects:
    order = Order(
        id=event.order_id,
        terms=event.order,
        instrument=event.terms,
        state=OrderState.PENDING_NEW,
        states={OrderState.PENDING_NEW: event.submitted_ns},
        matches_after_ns=event.submitted_ns,
        reason=event.reason,
        by=event.by,
        first_event=state.number,
    )
    order.move(OrderState.REJECTED, at_ns)
    return Effects(orders=[order])


@_on(events.OrderWorking)
def _working(state: AccountState, event: events.OrderWorking, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    order.move(OrderState.WORKING, at_ns)
    if event.expires_ns is not None:
        order.expires_ns = event.expires_ns
    return Effects(orders=[order])


@_on(events.OrderRested)
def _rested(state: AccountState, event: events.OrderRested, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    order.is_taking = False
    return Effects(orders=[order])


@_on(events.CancelRequested)
def _cancel_requested(state: AccountState, event: events.CancelRequested, at_ns: int) -> Effects:
    orders = [state.orders[order_id] for order_id in event.order_ids]
    for order in orders:
        order.move(OrderState.PENDING_CANCEL, at_ns)
        order.reason = event.reason
    return Effects(orders=orders)


@_on(events.OrderEnded)
def _ended(state: AccountState, event: events.OrderEnded, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    order.move(OrderState(event.state), at_ns)
    order.reason = event.reason
    return Effects(orders=[order, *_remove(state, order)])


@_on(events.OrderReduced)
def _reduced(state: AccountState, event: events.OrderReduced, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    order.terms = msgspec.structs.replace(order.terms, quantity=event.quantity)
    return Effects(orders=[order])


@_on(events.OrderTriggered)
def _triggered(state: AccountState, event: events.OrderTriggered, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    order.is_triggered = order.is_taking = True
    order.matches_after_ns = event.matches_after_ns
    return Effects(orders=[order])


@_on(events.Executed)
def _executed(state: AccountState, event: events.Executed, at_ns: int) -> Effects:
    order = state.orders[event.order_id]
    terms = order.terms
    execution = Execution(
        event.execution_id,
        event.quantity * terms.side.sign,
        event.price,
        event.fee,
        event.rate,
        event.began_ns or at_ns,
        terms.stop_loss,
    )
    effects = _filled(state, Book(terms.symbol, terms.strategy, order.instrument), execution)
    order.filled += event.quantity
    order.filled_value += money(event.quantity, event.price, order.instrument.multiplier)
    order.fees += event.fee
    released = _cover(state, order, event, at_ns)
    if order.remaining:
        if order.state is not OrderState.PENDING_CANCEL:
            order.move(OrderState.PARTIALLY_FILLED, at_ns)
        effects.orders += released
    else:
        order.move(OrderState.FILLED, at_ns)
        effects.orders += _remove(state, order)
    effects.orders.append(order)
    return effects


def _cover(state: AccountState, order: Order, fill: events.Executed, at_ns: int) -> list[Order]:
    """Count a fill of an order with legs, or of a leg, and return the legs that it releases.

    A parent's fill covers its legs; a leg's, and one of an oco, reduces both orders at once. Legs are matched after the
    latency, but in the same bar: its prices after the entry are the position's. A target that is marketable
    then fills as a market order.
    """
    if order.covered_by is not None:
        state.covered[order.covered_by] -= fill.quantity
        return []
    if order.terms.contingency is None:
        return []
    released = [] if order.id in state.covered else state.legs_of(order.id)
    state.covered[order.id] = state.covered.get(order.id, ZERO) + fill.quantity
    if isinstance(fill.print, events.BarPrint):
        after_ns, market = fill.print.ref.timestamp_ns, fill.price - fill.slippage * order.terms.side.sign
    else:
        after_ns, market = at_ns + latency_ns(state.config), fill.print.price
    for leg in released:
        leg.is_held, leg.is_taking = False, leg.terms.is_marketable(market)
        leg.matches_after_ns = after_ns
    return released


def _remove(state: AccountState, order: Order) -> list[Order]:
    """Take an order that has ended out of the state, and return the orders that this changes.

    The legs of a bracket are then of what the parent filled, and the other one of an oco is over. Its replacement, and
    the replacement of that one, lose the quantity that it filled.
    """
    del state.orders[order.id]
    changed = []
    parent, legs = order.parent_id or order.id, state.legs_of(order.id)
    if order.contingency is Contingency.OCO and order.replaced_by not in state.orders:
        state.covered[parent] = ZERO
    elif order.filled:
        for leg in legs:
            leg.terms = msgspec.structs.replace(leg.terms, quantity=order.filled)
        changed += legs
    if parent not in state.orders and not state.legs_of(parent):
        state.covered.pop(parent, None)
    successor = state.orders.get(order.replaced_by or "")
    while successor is not None:
        left = max(successor.remaining - order.filled, ZERO)
        successor.terms = msgspec.structs.replace(successor.terms, quantity=left)
        if successor.covered_by == successor.id:
            state.covered[successor.id] = max(state.covered[successor.id] - order.filled, ZERO)
        changed.append(successor)
        successor = state.orders.get(successor.replaced_by or "")
    return changed


class Book(NamedTuple):
    """Where a fill is booked."""

    symbol: str
    strategy: str
    terms: Terms


def _filled(state: AccountState, book: Book, execution: Execution) -> Effects:
    """Change a position and the ledger by a fill."""
    symbol, strategy, terms = book
    key = position_key(symbol, strategy)
    position = state.positions.setdefault(key, Position(symbol=symbol, strategy=strategy, terms=terms))
    fills = positions.fill(position, execution)
    position.value_unit(execution.price, execution.rate)
    if not position.quantity:
        del state.positions[key]
        state.queued.pop(key, None)
    entries = fill_entries(
        sum((each.cost for each in fills), ZERO),
        sum((each.realized for each in fills), ZERO),
        execution.fee,
        symbol=symbol,
        is_margined=terms.is_margined,
        currency=terms.currency,
        base=state.currency,
        rate=execution.rate,
    )
    return Effects(entries, closed=[each.closed for each in fills if each.closed is not None])


@_on(events.SplitApplied)
def _split(state: AccountState, event: events.SplitApplied, at_ns: int) -> Effects:
    effects = Effects()
    for position in list(state.positions.values()):
        if position.symbol == event.symbol:
            _split_position(state, position, event, effects)
    orders = [order for order in state.orders_of(event.symbol) if order.submitted_ns < event.effective_ns]
    for order in orders:
        _split_order(order, event.ratio)
    _note_action(state, event.symbol, event.action)
    for parent in {order.parent_id or order.id for order in orders} & state.covered.keys():
        state.covered[parent] = quantity(state.covered[parent], event.ratio)
    effects.orders = orders
    return effects


def _split_position(
    state: AccountState, position: Position, event: events.SplitApplied, effects: Effects
) -> None:
    """Split a position. One of which nothing is left is closed at a price of nothing."""
    lots = positions.split_lots(position, event.ratio, event.effective_ns)
    if any(lots):
        positions.split(position, event.ratio, event.effective_ns)
        return
    book = Book(position.symbol, position.strategy, position.terms)
    name = f"split-{action_key(event.action)}"
    lost = _filled(state, book, Execution(name, -position.quantity, ZERO, ZERO, ONE, event.effective_ns))
    effects.entries += lost.entries
    effects.closed += lost.closed


def _split_order(order: Order, by: Decimal) -> None:
    terms = order.terms

    def price(value: Decimal | None, rounding: str = ROUND_HALF_EVEN) -> Decimal | None:
        if value is None:
            return None
        after = scaled(value, ONE, by)
        return order.instrument.on_tick(after, rounding)

    # No worse a limit than the client's.
    not_worse = ROUND_FLOOR if terms.side is Side.BUY else ROUND_CEILING
    order.terms = msgspec.structs.replace(
        terms,
        quantity=quantity(terms.quantity, by),
        limit_price=price(terms.limit_price, not_worse),
        stop_price=price(terms.stop_price),
        take_profit=price(terms.take_profit),
        stop_loss=price(terms.stop_loss),
    )
    units = order.units_filled
    order.filled = quantity(order.filled, by)
    order.filled_offset = units - order.filled
    order.collar = price(order.collar, not_worse)
    # More units cost at most so much more; its minimum stays.
    order.fee = money(order.fee, max(by, ONE))
    order.worth, order.margin = scaled(order.worth, ONE, by), scaled(order.margin, ONE, by)


@_on(events.DividendPaid)
def _dividend(state: AccountState, event: events.DividendPaid, at_ns: int) -> Effects:
    effects = Effects()
    for position in state.positions.values():
        if position.symbol == event.symbol:
            amount = money(positions.held_before(position, event.effective_ns), event.amount)
            positions.earn(
                position, in_instruments(amount, event, position.terms.currency), money(amount, event.rate)
            )
            of_unit = in_instruments(event.amount, event, position.terms.currency)
            positions.go_ex(position, ExDividend(event.effective_ns, event.date, of_unit))
            effects.entries += paid(
                DIVIDENDS,
                -amount,
                currency=event.currency,
                base=state.currency,
                rate=event.rate,
            )
    _note_action(state, event.symbol, event.action)
    return effects


def in_instruments(amount: Decimal, event: events.DividendPaid, currency: str) -> Decimal:
    """Return a dividend in the instrument's currency; zero if the rate is not known."""
    if event.currency == currency:
        return amount
    return part_of(amount, event.rate, event.instrument_rate) if event.instrument_rate else ZERO


def _note_action(state: AccountState, symbol: str, action: events.RowRef) -> None:
    state.applied.setdefault(symbol, []).append(action_key(action))


def action_key(action: events.RowRef) -> str:
    """Return the name of a corporate action in `applied`."""
    return f"{action.commit}.{action.ordinal}"


def forget_actions(state: AccountState) -> None:
    """Forget the actions of symbols that are neither held nor ordered."""
    if state.applied:
        for symbol in state.applied.keys() - state.symbols():
            del state.applied[symbol]


@_on(events.Settled)
def _settled(state: AccountState, event: events.Settled, at_ns: int) -> Effects:
    effects = Effects()
    for position in list(state.positions.values()):
        if position.symbol != event.symbol:
            continue
        if event.is_final:
            book = Book(position.symbol, position.strategy, position.terms)
            name = f"settlement-{state.number}"
            closing = Execution(name, -position.quantity, event.price, ZERO, event.rate, at_ns)
            closed = _filled(state, book, closing)
            effects.entries += closed.entries
            effects.closed += closed.closed
        else:
            gained = positions.settle(position, event.price, event.rate, at_ns)
            effects.entries += paid(
                REALIZED,
                -gained,
                currency=position.terms.currency,
                base=state.currency,
                rate=event.rate,
            )
    return effects


@_on(events.BorrowCharged)
def _borrow(state: AccountState, event: events.BorrowCharged, at_ns: int) -> Effects:
    position = state.position(event.symbol, event.strategy)
    if position is not None:
        positions.earn(position, -part_of(event.amount, ONE, event.rate), -event.amount)
    return Effects(paid(BORROWING, event.amount, currency=state.currency, base=state.currency, rate=ONE))


@_on(events.Marked)
def _marked(state: AccountState, event: events.Marked, at_ns: int) -> Effects:
    state.equity, state.zone, state.marked_ns = event.equity, event.zone, at_ns
    state.high_water = max(state.high_water, event.equity)
    marks = {mark.symbol: mark for mark in event.marks}
    for position in state.positions.values():
        if position.symbol in marks:
            mark = marks[position.symbol]
            position.value_unit(mark.price, mark.rate)
    if event.day is not None:
        state.day, state.day_equity = event.day, event.equity
    return Effects()


@_on(events.HaltLatched)
def _halted(state: AccountState, event: events.HaltLatched, at_ns: int) -> Effects:
    if all((each.reason, each.symbol) != (event.reason, event.symbol) for each in state.halts):
        state.halts.append(Halt(reason=event.reason, at_ns=at_ns, symbol=event.symbol))
    state.zone = Zone.HALT
    return Effects()


@_on(events.HaltReleased)
def _released(state: AccountState, event: events.HaltReleased, at_ns: int) -> Effects:
    released = state.halts.pop(0)
    zone = zone_after(Zone.NORMAL, state.drawdown, state.config)
    if zone is Zone.HALT and released.reason == DRAWDOWN:
        # Otherwise the next mark would halt it again.
        zone, state.high_water = Zone.NORMAL, state.equity
    elif zone is Zone.HALT and all(each.reason != DRAWDOWN for each in state.halts):
        # A halt for another reason hid that the drawdown came to its limit.
        state.halts.append(Halt(reason=DRAWDOWN, at_ns=at_ns))
    state.zone = Zone.HALT if state.halts else zone
    return Effects()


def copied(state: AccountState) -> AccountState:
    """Return a state that `apply` may change while the first one stays. Both share what never changes."""
    return msgspec.structs.replace(
        state,
        balances=dict(state.balances),
        positions={key: _position_copied(position) for key, position in state.positions.items()},
        orders={
            key: msgspec.structs.replace(order, states=dict(order.states))
            for key, order in state.orders.items()
        },
        covered=dict(state.covered),
        halts=list(state.halts),
        queued=dict(state.queued),
        applied={symbol: list(actions) for symbol, actions in state.applied.items()},
    )


def _position_copied(position: Position) -> Position:
    lots, trade = [copy(lot) for lot in position.lots], copy(position.trade)
    return msgspec.structs.replace(position, lots=lots, trade=trade)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AccountState] = msgspec.json.Decoder(AccountState)


def encoded_state(state: AccountState) -> bytes:
    """Return a state as JSON. The same events give the same bytes, and orders keep their order, the oldest first."""
    return _encoder.encode(state)


def decoded_state(data: bytes) -> AccountState:
    """Return the state of `encoded_state`."""
    state = _decoder.decode(data)
    for order in state.orders.values():
        order.instrument = shared(order.instrument)
    return state
