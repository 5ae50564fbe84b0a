"""Between which prices a row of a symbol changes nothing for an account. Rows inside are passed over unread."""

from collections.abc import Callable
from decimal import Decimal
from math import inf, nextafter

from trading.core.account import AccountState
from trading.core.configuration import Zone
from trading.core.due import STEP, zone_at
from trading.core.orders import Order
from trading.core.terms import maintenance_rate
from trading.core.valuation import Marks, equity_of, maintenance_of
from trading.strategies.tape import EVERY_ELIGIBLE_ROW, Band

_STEP = float(STEP)
# Bands are floats, and a drawdown has six decimals of a per cent. Both errors are smaller parts of the equity.
_ROUNDING = 1e-8


def bands_of(state: AccountState, marks_now: Callable[[], Marks]) -> dict[str, Band]:
    """Return the band of each symbol that the account holds or orders. marks_now: is asked if they decide.

    Inside all of them no order fills or is triggered, and no mark is recorded: the equity moves by less than the step
    at which it is recorded and reaches no other zone, and no margin call begins or ends. A row inside has no effect;
    one outside may have. If the account would be marked already, the next row of any symbol does it.
    """
    if not state.positions and not state.orders:
        return {}
    bands = {symbol: _quiet_for_orders(state.orders_of(symbol)) for symbol in state.symbols()}
    if all(band is EVERY_ELIGIBLE_ROW for band in bands.values()):
        return bands
    marks = marks_now()
    worths = {position.symbol: 0.0 for position in state.positions.values()}
    # Each row of a symbol values all positions: also at a rate that has changed since.
    is_converted = any(position.terms.currency != state.currency for position in state.positions.values())
    room = 0.0 if is_converted or not worths.keys() <= marks.keys() else _room(state, marks)
    if room <= 0:
        return dict.fromkeys(bands, EVERY_ELIGIBLE_ROW)
    for each in state.positions.values():
        worths[each.symbol] += float(abs(each.quantity) * each.terms.multiplier * marks[each.symbol].rate)
    for symbol, worth in worths.items():
        own = _around(float(marks[symbol].price), room / len(worths) / worth)
        bands[symbol] = _narrower(bands[symbol], own)
    return bands


def _room(state: AccountState, marks: Marks) -> float:
    """Return by how much the equity may move before anything is recorded, at most; 0 or less if something would be now."""
    exact, needed = equity_of(state, marks), maintenance_of(state, marks)
    has_moved = exact != state.equity and abs(exact - state.equity) >= state.high_water * STEP
    is_called = bool(state.positions or state.is_margin_called) and exact < needed
    if has_moved or zone_at(state, exact) is not state.zone or is_called is not state.is_margin_called:
        return 0
    if not state.positions:
        return inf
    equity, last, high = float(exact), float(state.equity), float(state.high_water)
    edges = [high * (1 - percent / 100) for percent in _zone_edges(state)]
    room = min([high * _STEP - abs(equity - last), *(abs(equity - edge) for edge in edges)])
    # The maintenance margin moves with the price, too: at most as the value does.
    rates = [
        float(maintenance_rate(each.terms, is_long=each.quantity > 0))
        for each in state.positions.values()
        if each.terms.contract_margin is None
    ]
    room = min(room, abs(equity - float(needed)) / (1 + max(rates, default=0)))
    return room - _ROUNDING * (abs(equity) + abs(last) + abs(high))


def _zone_edges(state: AccountState) -> list[float]:
    """Return the drawdowns, in per cent, at which the zone may change."""
    if state.zone is Zone.HALT:
        return []
    edges = [float(begin) for begin in state.config.zone_begins.values()]
    hysteresis = float(state.config.hysteresis)
    return edges + [edge - hysteresis for edge in edges]


def _quiet_for_orders(orders: list[Order]) -> Band:
    """Return between which prices no order fills or is triggered."""
    low, high = -inf, inf
    for order in orders:
        price = order.terms.stop_price if order.is_stop_waiting else order.terms.limit_price
        # The next row ends an immediate order, and begins the session of an undated one.
        is_next = order.is_undated or order.terms.time_in_force.is_immediate
        if price is None or is_next or (order.is_taking and not order.is_stop_waiting):
            return EVERY_ELIGIBLE_ROW
        # A buy stop waits above the market, a buy limit below it.
        if (order.terms.side.sign > 0) is order.is_stop_waiting:
            high = min(high, _below(price))
        else:
            low = max(low, _above(price))
    return Band(low, high)


def _around(price: float, distance: float) -> Band:
    return Band(nextafter(price - distance, inf), nextafter(price + distance, -inf))


def _narrower(one: Band, other: Band) -> Band:
    return Band(max(one.low, other.low), min(one.high, other.high))


def _above(price: Decimal) -> float:
    return nextafter(float(price), inf)


def _below(price: Decimal) -> float:
    return nextafter(float(price), -inf)
