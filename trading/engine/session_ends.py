"""Orders that end with a session by the calendar alone.

They are day orders that no stored bar has dated yet, and all orders of a symbol that has no rows any more. An order's
session is that of the first bar that could fill it, as long as the newest one.
"""

from functools import lru_cache
from typing import NamedTuple

from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument
from store.timestamps import DAY_NS
from trading.core.account import AccountState
from trading.core.due import SETTLE_NS
from trading.core.events import BarPrint, OrderEnded
from trading.core.matching import Record
from trading.core.orders import Order, OrderState
from trading.market.followed import FollowedMarket
from trading.market.hours import last_end_ns, session_end_ns


class _SessionEnd(NamedTuple):
    """The end of the last bar that an order may fill by. bar_ns: the length of its bars; 0 for prints."""

    at_ns: int
    bar_ns: int


def next_end_ns(market: FollowedMarket, state: AccountState, now_ns: int, late_ns: int) -> int | None:
    """Return when the next of an account's orders ends; None if none does. late_ns: see `EngineClock.bars_late_ns`."""
    ends = (_due_ns(market, order, now_ns, late_ns) for order in state.orders.values())
    return min((each for each in ends if each is not None), default=None)


def end_due(market: FollowedMarket, now_ns: int, late_ns: int, state: AccountState, record: Record) -> None:
    """End the orders that are due."""
    for order in list(state.orders.values()):
        due_ns = _due_ns(market, order, now_ns, late_ns)
        if due_ns is not None and due_ns <= now_ns:
            _end(order, state, record)


def end_before(
    market: FollowedMarket, bar: BarPrint, now_ns: int, state: AccountState, record: Record
) -> None:
    """End the orders of a bar's symbol whose session was over when it began: their own bar did not come."""
    for order in state.orders_of(bar.ref.symbol):
        end = _end_of(market, order, now_ns)
        if end is not None and end.at_ns <= bar.ref.timestamp_ns:
            _end(order, state, record)


def _end(order: Order, state: AccountState, record: Record) -> None:
    if order.id in state.orders:
        record(OrderEnded(order_id=order.id, state=OrderState.EXPIRED, reason="session"))


def _due_ns(market: FollowedMarket, order: Order, now_ns: int, late_ns: int) -> int | None:
    end = _end_of(market, order, now_ns)
    return None if end is None else end.at_ns + min(end.bar_ns, late_ns) + SETTLE_NS


def _end_of(market: FollowedMarket, order: Order, now_ns: int) -> _SessionEnd | None:
    """Return the end of an order's session; None for an order that does not end by the calendar alone."""
    symbol = order.terms.symbol
    ended_ns = market.ended_ns(symbol)
    # Each row asks for this for each order: most are neither.
    if ended_ns is None and not order.is_undated:
        return None
    instrument, bar = market.instrument(symbol), market.last_bar(symbol, now_ns)
    # Without a calendar nobody knows whether a bar is missing: stocks without an exchange have none on weekends.
    has_session = order.is_undated and bar is not None and calendar_if_known(instrument) is not None
    if ended_ns is None and not has_session:
        return None
    # A day order ends with its own session, also if prices go on after it and end later.
    begin_ns = order.matches_after_ns if has_session else max(order.matches_after_ns, ended_ns or 0)
    if bar is None:
        end_ns = _session_end_ns(instrument, begin_ns)
        return None if end_ns is None else _SessionEnd(end_ns, 0)
    bar_ns = bar.at_ns - bar.ref.timestamp_ns
    if bar_ns >= DAY_NS:
        begin_ns = last_end_ns(bar.ref.timestamp_ns, bar_ns, begin_ns)
    end_ns = _session_end_ns(instrument, begin_ns)
    return None if end_ns is None else _SessionEnd(last_end_ns(bar.ref.timestamp_ns, bar_ns, end_ns), bar_ns)


@lru_cache(maxsize=1_000)
def _session_end_ns(instrument: Instrument, at_ns: int) -> int | None:
    return session_end_ns(instrument, at_ns)
