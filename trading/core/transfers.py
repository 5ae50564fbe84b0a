"""What may be paid in and out of an account."""

from decimal import Decimal

from trading.core.account import AccountState
from trading.core.amounts import ZERO
from trading.core.terms import AccountKind
from trading.core.valuation import committed, opening_orders


def withdrawable(state: AccountState, equity: Decimal) -> Decimal:
    """Return what may be paid out: the cash that pays for nothing. A margin account must be flat and without orders."""
    orders = state.orders.values()
    if state.kind is AccountKind.MARGIN and (state.positions or opening_orders(orders)):
        return ZERO
    return max(min(state.cash - committed(orders), equity), ZERO)


def refusal_of(state: AccountState, equity: Decimal, amount: Decimal) -> str | None:
    """Return why an amount cannot be paid in (above zero) or out, in words; None if it can."""
    if -amount > withdrawable(state, equity):
        return "the money is not there, or pays for positions and orders"
    # Marks are scaled by the transfer, which keeps every loss known; nothing scales to nothing, and so forgets.
    if -amount >= equity and equity < max(state.high_water, state.day_equity, state.start_equity):
        return "leave something in an account that has losses, so that they stay known"
    return None
