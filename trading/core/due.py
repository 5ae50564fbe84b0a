"""What time alone does to an account: orders expire, cancels take effect, overrides end, zones and days change."""

from collections.abc import Iterable
from decimal import Decimal

from trading.core.account import DRAWDOWN, STOPPED, STOPPING, AccountState, loss_percent
from trading.core.amounts import NS_PER_SECOND, ZERO, part_of
from trading.core.configuration import Zone, zone_after
from trading.core.events import (
    HALT_ALERT,
    MARGIN_CALL,
    MARGIN_RESTORED,
    ZONE_ALERT,
    Alert,
    BorrowCharged,
    CancelRequested,
    HaltLatched,
    Marked,
    OrderEnded,
    OrderWorking,
    OverrideEnded,
    Reference,
    StopRequested,
)
from trading.core.matching import Record, cancelled_from_ns, end_unneeded
from trading.core.orders import Order, OrderState
from trading.core.valuation import Marks, equity_of, maintenance_of, mark_in, opening_orders

# What is printed before an order's end may be known a little later.
SETTLE_NS = 2 * NS_PER_SECOND
# While it changes the equity is recorded in each minute.
EQUITY_NS = 60 * NS_PER_SECOND
_DAYS_A_YEAR = Decimal(365)
# An event's orders are one message of the live feed.
_CANCELS_AT_ONCE = 100
ENGINE = "engine"
# By whom closing orders of a stop are, and the reason of its cancels.
STOP = "stop"


def next_due_ns(state: AccountState) -> int | None:
    """Return the first instant at which `time_passed` has something to do; None for never."""
    due_ns = None if state.override is None else state.override.until_ns
    for order in state.orders.values():
        end_ns = _end_ns(state, order)
        if end_ns is not None and (due_ns is None or end_ns < due_ns):
            due_ns = end_ns
    return due_ns


def _end_ns(state: AccountState, order: Order) -> int | None:
    """Return when an order ends by itself; None for never."""
    if not order.remaining or (order.state is OrderState.ACCEPTED and not order.is_undated):
        return 0
    cancelled_ns = cancelled_from_ns(order, state.config)
    if cancelled_ns is not None:
        return cancelled_ns + 1
    return None if order.expires_ns is None else order.expires_ns + SETTLE_NS


def time_passed(state: AccountState, now_ns: int, record: Record) -> None:
    """Do all that is due."""
    for order in list(state.orders.values()):
        if order.id in state.orders:
            _order_due(state, order, now_ns, record)
    for symbol in dict.fromkeys([order.terms.symbol for order in state.orders.values()]):
        end_unneeded(state, symbol, record)
    if state.override is not None and state.override.until_ns <= now_ns:
        record(OverrideEnded())


def _order_due(state: AccountState, order: Order, now_ns: int, record: Record) -> None:
    end_ns = _end_ns(state, order)
    if end_ns is None or end_ns > now_ns:
        return
    if not order.remaining:
        # If it filled itself it is a leg, whose rest ended with its parent.
        reason = "bracket" if order.filled else "replaced_order_filled"
        record(OrderEnded(order_id=order.id, state=OrderState.CANCELLED, reason=reason))
    elif order.state is OrderState.ACCEPTED:
        record(OrderWorking(order_id=order.id))
    elif order.state is OrderState.PENDING_CANCEL:
        ended = OrderState.CANCELLED if order.replaced_by is None else OrderState.REPLACED
        record(OrderEnded(order_id=order.id, state=ended, reason=order.reason or ""))
    else:
        is_immediate = order.terms.time_in_force.is_immediate
        ended = OrderState.CANCELLED if is_immediate else OrderState.EXPIRED
        record(OrderEnded(order_id=order.id, state=ended, reason="no_print" if is_immediate else "session"))


def revalue(
    state: AccountState,
    marks: Marks,
    now_ns: int,
    day: str,
    record: Record,
    *,
    is_filled: bool = False,
    every_ns: int = EQUITY_NS,
) -> None:
    """Value the account. Its equity is recorded after a fill, once a minute while it changes, and at a day's first mark.

    It is recorded if the zone changes, too. The equity of an account without positions is its cash. Old marks change
    no zone. every_ns: replaces the minute.
    """
    if not can_be_valued(state, marks):
        return
    equity = equity_of(state, marks)
    is_fresh = not any(_is_stale(state, marks, symbol, now_ns) for symbol in _held(state))
    zone = zone_at(state, equity) if is_fresh else state.zone
    is_due = is_filled or now_ns // every_ns > state.marked_ns // every_ns
    if day != state.day or (is_due and equity != state.equity) or zone is not state.zone:
        before = state.zone
        used = _used(state, marks)
        record(Marked(equity=equity, marks=used, zone=zone, day=None if day == state.day else day))
        if zone is not before:
            _zone_changed(state, before, record)
    if state.positions or state.is_margin_called:
        _margin(state, marks, equity, record)


def may_have_changed(state: AccountState) -> bool:
    """Return whether the equity may differ from the last recorded one."""
    return bool(state.positions) or state.is_margin_called or state.equity != state.cash


def value_at_end(state: AccountState, marks: Marks, record: Record) -> None:
    """Value the account at the end of a period, and record it if it has moved at all."""
    if can_be_valued(state, marks) and (equity := equity_of(state, marks)) != state.equity:
        record(Marked(equity=equity, marks=_used(state, marks), zone=state.zone))


def can_be_valued(state: AccountState, marks: Marks) -> bool:
    """Return whether each position has a mark."""
    return _held(state) <= marks.keys()


def _held(state: AccountState) -> set[str]:
    return {position.symbol for position in state.positions.values()}


def _used(state: AccountState, marks: Marks) -> tuple[Reference, ...]:
    return tuple(mark_in(marks, symbol) for symbol in sorted(_held(state)))


def _is_stale(state: AccountState, marks: Marks, symbol: str, now_ns: int) -> bool:
    return now_ns - marks[symbol].at_ns > state.config.stale_after_seconds * NS_PER_SECOND


def zone_at(state: AccountState, equity: Decimal) -> Zone:
    """Return the zone of an account with this equity."""
    return zone_after(state.zone, loss_percent(max(state.high_water, equity), equity), state.config)


def _zone_changed(state: AccountState, before: Zone, record: Record) -> None:
    if state.zone is Zone.HALT:
        halt(state, DRAWDOWN, record)
    else:
        message = f"the drawdown zone was {before} and is {state.zone}"
        record(Alert(kind=ZONE_ALERT, message=message))


def halt(state: AccountState, reason: str, record: Record, symbol: str | None = None) -> None:
    """Latch a halt: opening orders are cancelled, protective stops stay."""
    record(HaltLatched(reason=reason, symbol=symbol))
    request_cancels(opening_orders(list(state.orders.values())), record, reason="halt", by=ENGINE)
    record(Alert(kind=HALT_ALERT, message=f"trading is halted: {reason}", symbol=symbol))


def request_cancels(orders: Iterable[Order], record: Record, *, reason: str, by: str) -> list[str]:
    """Ask for the cancel of those orders that are not being cancelled, and return their ids."""
    ids = [order.id for order in orders if order.may_be_cancelled]
    for first in range(0, len(ids), _CANCELS_AT_ONCE):
        some = tuple(ids[first : first + _CANCELS_AT_ONCE])
        record(CancelRequested(order_ids=some, reason=reason, by=by))
    return ids


def request_stop(state: AccountState, record: Record, *, by: str, reason: str) -> None:
    """Ask that all orders are cancelled and all positions closed.

    It may be asked again at any time. The orders that close positions for a stop are not cancelled by the next one.
    """
    is_needed = bool(state.positions or state.orders) if state.status == STOPPED else True
    if state.status != STOPPING and is_needed:
        record(StopRequested(by=by, reason=reason))
    orders = [order for order in state.orders.values() if order.by != STOP]
    request_cancels(orders, record, reason=STOP, by=by)


def _margin(state: AccountState, marks: Marks, equity: Decimal, record: Record) -> None:
    is_short_of = equity < maintenance_of(state, marks)
    if is_short_of and not state.is_margin_called:
        record(Alert(kind=MARGIN_CALL, message="the equity is below the maintenance margin"))
    elif state.is_margin_called and not is_short_of:
        record(Alert(kind=MARGIN_RESTORED, message="the equity covers the maintenance margin again"))


def charge_borrowing(state: AccountState, marks: Marks, day: str, record: Record) -> None:
    """Charge a day's fee for what is sold short."""
    for position in list(state.positions.values()):
        mark = marks.get(position.symbol)
        if position.quantity < 0 and position.terms.borrow_rate and mark is not None:
            value = abs(position.value(mark.price)) * mark.rate
            amount = part_of(value, position.terms.borrow_rate, _DAYS_A_YEAR)
            if amount > ZERO:
                record(
                    BorrowCharged(
                        symbol=position.symbol,
                        amount=amount,
                        date=day,
                        strategy=position.strategy,
                        rate=mark.rate,
                    )
                )
