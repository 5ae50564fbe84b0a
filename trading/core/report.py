"""What the performance of an account is computed of: after which events it changed, and its fills."""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from trading.core.account import AccountState, Effects
from trading.core.amounts import money
from trading.core.events import (
    Event,
    Executed,
    HaltReleased,
    Marked,
    Settled,
    Transferred,
)

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
