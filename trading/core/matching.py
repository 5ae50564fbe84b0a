"""Which orders of an account a print or a bar fills and triggers.

A print fills what was accepted before it was printed and known, with the latency. Its volume, times the participation,
serves the account's orders once: those that it trades furthest through first, then the oldest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from trading.core.account import AccountState
from trading.core.amounts import HUNDRED, ZERO, lots_below, money
from trading.core.configuration import FillRule, RiskConfig, latency_ns
from trading.core.events import (
    BarPrint,
    Event,
    Executed,
    OrderEnded,
    OrderReduced,
    OrderRested,
    OrderTriggered,
    OrderWorking,
    Print,
    RowRef,
)
from trading.core.orders import Contingency, Order, OrderState, OrderType, TimeInForce, id_in
from trading.core.terms import Side

Record = Callable[[Event], object]
"""Applies an event to the state, and keeps it."""
Rate = tuple[Decimal, RowRef | None]
"""The rate from the instrument's currency to the account's, and the row that it comes from."""


@dataclass(slots=True)
class _Match:
    """A print or bar that is matched with an account's orders.

    rate: returns the rate of the fills' instant. began_ns: see `match_bar`. capacity: what is left of its volume; None
    for a bar without a volume, which fills any quantity.
    """

    state: AccountState
    print: Print | BarPrint
    rate: Callable[[], Rate]
    record: Record
    began_ns: int = 0
    capacity: Decimal | None = ZERO
    is_ambiguous: bool = False

    def begin(self, orders: list[Order], session_end_ns: Callable[[], int | None]) -> None:
        """Take the orders to work, and compute the capacity. session_end_ns: see `match_bar`."""
        for order in orders:
            if order.state is OrderState.ACCEPTED:
                expires_ns = session_end_ns() if order.is_undated else None
                self.record(OrderWorking(order_id=order.id, expires_ns=expires_ns))
        self.capacity = self.print.volume
        if self.capacity is not None:
            volume = self.capacity * self.state.config.participation / HUNDRED
            self.capacity = lots_below(volume, orders[0].instrument.lot)

    def trigger(self, order: Order, price: Decimal) -> None:
        """Turn a stop into a market order, or a stop-limit into a limit order that is marketable."""
        if isinstance(self.print, BarPrint):
            matches_after_ns = self.print.end_ns
        else:
            matches_after_ns = self.print.known_ns + latency_ns(self.state.config)
        event = OrderTriggered(
            order_id=order.id, print=self.print, price=price, matches_after_ns=matches_after_ns
        )
        self.record(event)

    def fill(self, order: Order, price: Decimal | None, market: Decimal) -> None:
        """Fill an order at a price, as far as the capacity allows. An immediate order ends.

        market: the price before slippage.
        """
        quantity = ZERO if price is None else self.state.fillable(order)
        if self.capacity is not None:
            quantity = min(quantity, self.capacity)
        if order.terms.time_in_force is TimeInForce.FOK and quantity < order.remaining:
            quantity = ZERO
        if quantity > 0 and price is not None:
            self._end_entry(order)
            self.record(self._execution(order, price, quantity, market))
            if self.capacity is not None:
                self.capacity -= quantity
        if order.terms.time_in_force.is_immediate and not order.state.is_final:
            self.record(OrderEnded(order_id=order.id, state=OrderState.CANCELLED, reason="immediate"))

    def _end_entry(self, leg: Order) -> None:
        """End the rest of a bracket's entry, and the order that replaces it: the first exit is about to fill."""
        if leg.parent_id is None or leg.contingency is Contingency.OCO:
            return
        entries = {leg.parent_id}
        for order in self.state.orders_of(leg.terms.symbol):
            if order.id in entries or order.replaces in entries:
                entries.add(order.id)
                self.record(OrderEnded(order_id=order.id, state=OrderState.CANCELLED, reason="bracket"))

    def _execution(self, order: Order, price: Decimal, quantity: Decimal, market: Decimal) -> Executed:
        terms = order.instrument
        value = order.filled_value + money(quantity, price, terms.multiplier)
        held = self.state.units_of(order.terms.symbol)
        rate, rate_ref = self.rate()
        return Executed(
            execution_id=execution_id_of(order.id, self.print.ref),
            order_id=order.id,
            quantity=quantity,
            price=price,
            # The minimum is of the order, not of each of its fills.
            fee=max(terms.fee.of(order.units_filled + quantity, value) - order.fees, ZERO),
            slippage=(price - market) * order.terms.side.sign if order.is_taking else ZERO,
            rate=rate,
            rate_ref=rate_ref,
            print=self.print,
            capacity=self.capacity,
            is_ambiguous=self.is_ambiguous,
            began_ns=self.began_ns,
            position=held + quantity * order.terms.side.sign,
        )


def execution_id_of(order_id: str, ref: RowRef) -> str:
    """Return the id of an execution: of its order and its print, so that the same print cannot fill an order twice."""
    namespace = bytes.fromhex(order_id.replace("-", ""))
    return id_in(namespace, f"{ref.dataset} {ref.symbol} {ref.commit} {ref.ordinal}")


def match_print(
    state: AccountState,
    print_: Print,
    rate: Rate,
    record: Record,
    *,
    session_end_ns: Callable[[], int | None] = lambda: None,
    is_first_of_session: Callable[[], bool] = lambda: False,
) -> None:
    """Match a print with the account's orders of its symbol.

    rate: of the fills. session_end_ns: see `match_bar`. is_first_of_session: returns whether the print has the opening price of its
    session.
    """
    orders = [order for order in state.orders_of(print_.ref.symbol) if _is_in_time(state, order, print_)]
    if not print_.is_eligible or not orders:
        return
    match = _Match(state, print_, lambda: rate, record)
    match.begin(orders, session_end_ns)
    for order in orders:
        if order.is_stop_waiting and state.fillable(order) and _is_reached(order, print_.price):
            match.trigger(order, print_.price)
    for order in sorted(orders, key=lambda each: _priority(each, print_.price)):
        # A fill may have begun the legs of a bracket, and a trigger waits for the latency.
        if _is_in_time(state, order, print_) and not order.is_stop_waiting:
            price = _price(order, print_.price, state.config)
            # A limit that rested before the open gets the opening price.
            if price not in {None, print_.price} and not order.is_taking and is_first_of_session():
                price = print_.price
            match.fill(order, price, print_.price)
            _rest(order, print_.price, record)
    end_unneeded(state, print_.ref.symbol, record)


def _rest(order: Order, price: Decimal, record: Record) -> None:
    """Let a limit rest that was marketable, once the market is beyond it."""
    if not order.is_taking or order.state.is_final or order.terms.limit_price is None:
        return
    if (price - order.terms.limit_price) * order.terms.side.sign > 0:
        record(OrderRested(order_id=order.id))


def _is_in_time(state: AccountState, order: Order, print_: Print) -> bool:
    """Return whether a print came after an order's acceptance, and before its end."""
    if min(print_.ref.timestamp_ns, print_.known_ns) <= order.matches_after_ns or order.state.is_final:
        return False
    return _is_alive(state, order, print_)


def _is_alive(state: AccountState, order: Order, print_: Print | BarPrint) -> bool:
    """Return whether the order that this one replaces has ended, and a print came before its own end."""
    if order.replaces in state.orders:
        return False
    if order.expires_ns is not None and print_.ref.timestamp_ns >= order.expires_ns:
        return False
    cancelled_ns = cancelled_from_ns(order, state.config)
    return cancelled_ns is None or print_.known_ns <= cancelled_ns


def cancelled_from_ns(order: Order, config: RiskConfig) -> int | None:
    """Return the instant after which a cancel has taken effect; None without one."""
    if order.state is not OrderState.PENDING_CANCEL:
        return None
    return order.states[OrderState.PENDING_CANCEL] + latency_ns(config)


def _is_reached(order: Order, price: Decimal) -> bool:
    """Return whether a price triggers a stop."""
    stop = order.terms.stop_price
    assert stop is not None  # noqa: S101 an order whose stop waits has one
    return price >= stop if order.terms.side is Side.BUY else price <= stop


def _priority(order: Order, price: Decimal) -> tuple[int, Decimal, int]:
    """Return the sort key: market orders first, then by how far the price trades through the limit, then by age."""
    limit = order.worst_price
    if order.is_market or limit is None:
        return 0, ZERO, order.first_event
    return 1, (price - limit) * order.terms.side.sign, order.first_event


def _price(order: Order, price: Decimal, config: RiskConfig) -> Decimal | None:
    """Return the price at which an order fills if the market trades at `price`; None if it does not fill."""
    limit = order.worst_price
    if order.is_taking or limit is None:
        return _taking_price(order, price)
    through = (limit - price) * order.terms.side.sign
    return limit if through > 0 or (through == 0 and config.fill is FillRule.TOUCH) else None


def _taking_price(order: Order, market: Decimal) -> Decimal | None:
    """Return the market's price with slippage, up to the order's limit or collar; None if the market is beyond that."""
    sign, limit = order.terms.side.sign, order.worst_price
    slipped = order.instrument.slippage.price(order.terms.side, market, order.instrument.on_tick)
    if limit is None:
        return slipped
    return None if (market - limit) * sign > 0 else min(slipped * sign, limit * sign) * sign


def end_unneeded(state: AccountState, symbol: str, record: Record) -> None:
    """End brackets and ocos that are over, and reducing orders without a position; reduce the legs that are left."""
    for order in state.orders_of(symbol):
        is_oco = order.contingency is Contingency.OCO
        is_waiting = order.parent_id in state.orders and not is_oco
        if order.terms.reduce_only and not is_waiting and not state.fillable(order):
            is_over = order.covered_by is not None and state.covered.get(order.covered_by, ZERO) <= 0
            reason = ("oco" if is_oco else "bracket") if is_over else "position_closed"
            record(OrderEnded(order_id=order.id, state=OrderState.CANCELLED, reason=reason))
    _reduce_legs(state, symbol, record)


def _reduce_legs(state: AccountState, symbol: str, record: Record) -> None:
    """Let the quantities of legs and ocos follow the exits of the others, so that the one that closes the rest is filled.

    A replacement keeps its quantity until the order that it replaces has ended, because that takes off what it filled.
    """
    for order in state.orders_of(symbol):
        if order.covered_by is not None and order.replaces not in state.orders:
            most = state.most_fillable(order)
            if ZERO < most < order.remaining:
                record(OrderReduced(order_id=order.id, quantity=order.filled + most))


def match_bar(
    state: AccountState,
    bar: BarPrint,
    rate: Callable[[], Rate],
    record: Record,
    *,
    began_ns: int = 0,
    session_end_ns: Callable[[], int | None] = lambda: None,
) -> None:
    """Match a stored bar, for a symbol that had no trades yet: first what fills at its open, then stops, then limits.

    At its open orders fill in the order of `match_print`; the stops that the open triggers come last.
    A bar does not tell the order of its prices: if several orders fill within it, each is marked ambiguous. The legs
    of a bracket fill by the bar of their entry, too. A stop-limit order that it triggers fills by a later bar.
    rate: returns the rate of the fills; called only if an order fills. began_ns: when the bar began by its exchange; its
    fills count from then on. session_end_ns: returns when day orders end whose first bar this is.
    """
    orders = [order for order in state.orders_of(bar.ref.symbol) if _is_before(state, order, bar)]
    if not bar.is_eligible or not orders:
        return
    waiting = {order.id for order in orders if order.parent_id is not None and not state.fillable(order)}
    prices, inside = _bar_prices(state, orders, waiting, bar)
    match = _Match(state, bar, rate, record, began_ns)
    match.begin(orders, session_end_ns)

    def place(order: Order) -> tuple[bool, bool, bool, tuple[int, Decimal, int]]:
        is_inside = order.id in inside
        priority = (0, ZERO, order.first_event) if is_inside else _priority(order, bar.open)
        # By prints a stop fills after the opening print, which triggers it.
        return is_inside, order.id in waiting, order.is_stop_waiting is not is_inside, priority

    for order in sorted(orders, key=place):
        # A fill may have ended the order, or begun the legs of a bracket.
        if _is_before(state, order, bar):
            match.is_ambiguous = order.id in inside and len(inside) > 1
            _match_in_bar(match, order, prices[order.id], bar)
            end_unneeded(state, bar.ref.symbol, record)


def _bar_prices(
    state: AccountState, orders: list[Order], waiting: set[str], bar: BarPrint
) -> tuple[dict[str, Decimal | None], set[str]]:
    """Return the price at which a bar reaches each order, before slippage, and which may fill after its open.

    The price is None if the bar does not reach the order. waiting: legs whose parents have not filled. If a parent
    fills after the open, the worse is assumed of its legs: the stop was reached after it, the target before.
    """
    prices: dict[str, Decimal | None] = {}
    inside = set[str]()
    for order in orders:
        price, may_fill = _bar_price(order, bar, state.config), state.fillable(order) > 0
        if order.id in waiting:
            entry = prices.get(order.parent_id or "")
            may_fill = entry is not None
            if entry == bar.open and order.terms.is_marketable(bar.open):
                price = bar.open
            elif may_fill and entry != bar.open:
                price = order.terms.stop_price if price is not None and order.is_stop_waiting else None
                inside.add(order.id)
        prices[order.id] = price
        if may_fill and price != bar.open:
            inside.add(order.id)
    return prices, {order_id for order_id in inside if prices[order_id] is not None}


def _match_in_bar(match: _Match, order: Order, market: Decimal | None, bar: BarPrint) -> None:
    """Trigger and fill an order. market: the price at which the bar reaches it, before slippage; None if it does not."""
    if order.is_stop_waiting:
        if market is None or not match.state.fillable(order):
            return
        match.trigger(order, market)
        if order.terms.type is OrderType.STOP_LIMIT:
            return
    price = market if market is None or not order.is_taking else _taking_price(order, market)
    match.fill(order, price, bar.open if market is None else market)
    _rest(order, bar.open, match.record)


def _is_before(state: AccountState, order: Order, bar: BarPrint) -> bool:
    """Return whether an order was accepted before a bar begins, and has not ended then."""
    if order.matches_after_ns > bar.ref.timestamp_ns or order.state.is_final:
        return False
    return _is_alive(state, order, bar)


def _bar_price(order: Order, bar: BarPrint, config: RiskConfig) -> Decimal | None:
    """Return the price at which a bar reaches an order, before slippage; None if it does not."""
    sign = order.terms.side.sign
    best, worst = (bar.low, bar.high) if order.terms.side is Side.BUY else (bar.high, bar.low)
    if order.is_stop_waiting:
        assert order.terms.stop_price is not None  # noqa: S101 an order whose stop waits has one
        if not _is_reached(order, worst):
            return None
        # A gap: the first price beyond the stop is the open.
        return max(bar.open * sign, order.terms.stop_price * sign) * sign
    limit = order.worst_price
    if limit is None or (order.is_taking and (bar.open - limit) * sign <= 0):
        return bar.open
    through = (limit - best) * sign
    if through > 0 or (through == 0 and config.fill is FillRule.TOUCH):
        return min(bar.open * sign, limit * sign) * sign
    return None
