"""How much of a position no open order closes: Alpaca's `qty_available`."""

from decimal import Decimal

from dialects.alpaca.symbols import label_of
from trading.core.account import AccountState
from trading.core.amounts import ZERO, plain
from trading.core.orders import Order, OrderTerms
from trading.core.terms import Side
from trading.exceptions import RiskRefused
from trading.market.symbols import market


def quantity_available(state: AccountState, symbol: str) -> Decimal:
    """Return the units of a symbol, without a sign, that no open order closes."""
    held = sum(_held_by_orders(state, symbol).values(), ZERO)
    return max(abs(state.units_of(symbol)) - held, ZERO)


def require_available(state: AccountState, order: OrderTerms, *, replaces: Order | None = None) -> None:
    """Refuse to sell more of a long position than other orders leave. Raises RiskRefused.

    A sell without a position opens a short. replaces: the order in whose place this one comes. The quantity includes
    what that order filled.
    """
    units = state.units_of(order.symbol)
    if order.side is not Side.SELL or units <= 0:
        return
    by_orders, requested = _held_by_orders(state, order.symbol), order.quantity
    if replaces is not None:
        by_orders.pop(_group_of(replaces), None)
        requested -= replaces.filled
    held = sum(by_orders.values(), ZERO)
    available = max(units - held, ZERO)
    if requested > available:
        raise RiskRefused(
            f"insufficient qty available for order (requested: {plain(requested)}, available: {plain(available)})",
            available=plain(available),
            existing_qty=plain(units),
            held_for_orders=plain(held),
            related_orders=sorted(by_orders),
            symbol=label_of(order.symbol, market().instrument(order.symbol).instrument_class),
        )


def _held_by_orders(state: AccountState, symbol: str) -> dict[str, Decimal]:
    """Return what open orders close of a position, by the order's id; of legs and ocos by their parent's."""
    sign = 1 if state.units_of(symbol) >= 0 else -1
    held: dict[str, Decimal] = {}
    for order in state.orders_of(symbol):
        # The two legs of a bracket, and those of an oco, close the same units, and so does an order's replacement.
        if order.terms.side.sign == -sign and order.replaced_by not in state.orders:
            group = _group_of(order)
            held[group] = max(held.get(group, ZERO), state.fillable(order))
    return {group: units for group, units in held.items() if units}


def _group_of(order: Order) -> str:
    return order.parent_id or order.id
