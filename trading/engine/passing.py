"""What passing time does to an account: sessions end orders, futures are settled, days begin, a stop goes on.

Orders that end with a session by the calendar alone are day orders that no stored bar has dated yet, and all orders of a
symbol that has no rows any more. An order's session is that of the first bar that could fill it, as long as the newest one.

Futures are settled at each session's end: their gains and losses since the last one become cash. On stored bars that waits
for the last bar that begins in the session, because a bar is known at its end. After a contract's last session its orders
end, and its positions are closed at the last mark.
"""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument
from store.timestamps import DAY_NS, format_timestamp
from trading.core.acceptance import accept_closing
from trading.core.account import STOPPING, AccountState
from trading.core.due import SETTLE_NS, STOP, can_be_valued, charge_borrowing, revalue
from trading.core.events import (
    CLOSE_ALERT,
    Alert,
    BarPrint,
    CloseQueued,
    OrderEnded,
    Reference,
    Settled,
    Stopped,
)
from trading.core.matching import Record
from trading.core.orders import Order, OrderState
from trading.core.positions import Position
from trading.market.followed import FollowedMarket
from trading.market.hours import last_end_ns, last_session_end_ns, next_open_ns, session_end_ns
from trading.market.views import position_closing_view


class _SessionEnd(NamedTuple):
    """The end of the last bar that an order may fill by. bar_ns: the length of its bars; 0 for prints."""

    at_ns: int
    bar_ns: int


def next_expiry_ns(market: FollowedMarket, state: AccountState, now_ns: int, late_ns: int) -> int | None:
    """Return when the next of an account's orders ends; None if none does. late_ns: see `EngineClock.bars_late_ns`."""
    ends = (_expires_ns(market, order, now_ns, late_ns) for order in state.orders.values())
    return min((each for each in ends if each is not None), default=None)


def expire_due(
    market: FollowedMarket, now_ns: int, late_ns: int, state: AccountState, record: Record
) -> None:
    """End the orders that are due."""
    for order in list(state.orders.values()):
        due_ns = _expires_ns(market, order, now_ns, late_ns)
        if due_ns is not None and due_ns <= now_ns:
            _expire(order, state, record)


def expire_before(
    market: FollowedMarket, bar: BarPrint, now_ns: int, state: AccountState, record: Record
) -> None:
    """End the orders of a bar's symbol whose session was over when it began: their own bar did not come."""
    for order in state.orders_of(bar.ref.symbol):
        end = _expiry_of(market, order, now_ns)
        if end is not None and end.at_ns <= bar.ref.timestamp_ns:
            _expire(order, state, record)


def _expire(order: Order, state: AccountState, record: Record) -> None:
    if order.id in state.orders:
        record(OrderEnded(order_id=order.id, state=OrderState.EXPIRED, reason="session"))


def _expires_ns(market: FollowedMarket, order: Order, now_ns: int, late_ns: int) -> int | None:
    end = _expiry_of(market, order, now_ns)
    return None if end is None else end.at_ns + min(end.bar_ns, late_ns) + SETTLE_NS


def _expiry_of(market: FollowedMarket, order: Order, now_ns: int) -> _SessionEnd | None:
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


class _Due(NamedTuple):
    """When a future is settled, or its orders end. end_ns: of the session. is_final: whether it is the last one."""

    at_ns: int
    end_ns: int
    is_final: bool


def settle_futures(market: FollowedMarket, now_ns: int, state: AccountState, record: Record) -> None:
    """Settle what is due, at the last mark. A symbol without a mark waits for one.

    If several sessions ended since, there is one settlement: no price is known for the others.
    """
    dues = {symbol: due for symbol, due in _dues(market, state, now_ns).items() if due.at_ns <= now_ns}
    if not dues:
        return
    known = market.marks(state, now_ns=now_ns)
    held = {position.symbol for position in state.positions.values()}
    for symbol in sorted(dues.keys() - (held - known.keys())):
        over = _over(market, symbol, now_ns)
        due = over if over is not None and over.at_ns <= now_ns else dues[symbol]
        if due.is_final:
            _end_orders(symbol, state, record)
        if symbol in held:
            date, rate = format_timestamp(due.end_ns)[:10], _rate(market, state, known[symbol], due)
            price = known[symbol].price
            record(Settled(symbol=symbol, price=price, rate=rate, date=date, is_final=due.is_final))


def _rate(market: FollowedMarket, state: AccountState, mark: Reference, due: _Due) -> Decimal:
    """Return the rate at the session's end, also if its last bar was known later."""
    if due.at_ns - due.end_ns <= SETTLE_NS:
        return mark.rate
    rate = market.past_rate(market.currency(mark.symbol), state.currency, at_ns=due.end_ns)
    return mark.rate if rate is None else rate[0]


def has_futures(state: AccountState) -> bool:
    """Return whether an account holds or orders a future."""
    for order in state.orders.values():
        if order.instrument.is_margined:
            return True
    return any(each.terms.is_margined for each in state.positions.values())


def next_settlement_ns(market: FollowedMarket, state: AccountState, now_ns: int) -> int | None:
    """Return when the next future of an account is settled, or its orders end; None if it has none."""
    if not has_futures(state):
        return None
    return min((due.at_ns for due in _dues(market, state, now_ns).values()), default=None)


def _end_orders(symbol: str, state: AccountState, record: Record) -> None:
    for order in state.orders_of(symbol):
        record(OrderEnded(order_id=order.id, state=OrderState.EXPIRED, reason="expired"))


def _dues(market: FollowedMarket, state: AccountState, now_ns: int) -> dict[str, _Due]:
    """Return when each future is settled, or its orders end. All positions in a symbol are settled at once."""
    terms = {order.terms.symbol: order.instrument for order in state.orders.values()}
    terms |= {position.symbol: position.terms for position in state.positions.values()}
    over = {symbol: _over(market, symbol, now_ns) for symbol, each in terms.items() if each.is_margined}
    dues = {symbol: due for symbol, due in over.items() if due is not None}
    for position in state.positions.values():
        due = _due(market, position, now_ns) if position.terms.is_margined else None
        if due is not None:
            dues[position.symbol] = min(due, dues.get(position.symbol, due))
    return dues


def _due(market: FollowedMarket, position: Position, now_ns: int) -> _Due | None:
    """Return when the session after a position's last settlement is settled; None for the contract's last session."""
    opened_ns = 0 if position.trade is None else position.trade.opened_ns
    instrument = market.instrument(position.symbol)
    end_ns, last_ns = (
        _session_end_ns(instrument, max(opened_ns, position.settled_ns)),
        last_session_end_ns(instrument),
    )
    if end_ns is None or (last_ns is not None and end_ns >= last_ns):
        return None
    bars_end_ns = _bars_end_ns(market, position.symbol, end_ns, now_ns)
    return _Due(end_ns if bars_end_ns is None else bars_end_ns + SETTLE_NS, end_ns, is_final=False)


def _over(market: FollowedMarket, symbol: str, now_ns: int) -> _Due | None:
    """Return when all prices of a contract's last session are known, as for day orders; None if it has no last one."""
    last_ns = last_session_end_ns(market.instrument(symbol))
    if last_ns is None:
        return None
    bars_end_ns = _bars_end_ns(market, symbol, last_ns, now_ns)
    return _Due((last_ns if bars_end_ns is None else bars_end_ns) + SETTLE_NS, last_ns, is_final=True)


def _bars_end_ns(market: FollowedMarket, symbol: str, end_ns: int, now_ns: int) -> int | None:
    """Return the end of the last stored bar that begins in a session, which may be after it; None without bars."""
    bar = market.last_bar(symbol, now_ns)
    if bar is None:
        return None
    return last_end_ns(bar.ref.timestamp_ns, bar.at_ns - bar.ref.timestamp_ns, end_ns)


def date_at(now_ns: int) -> str:
    """Return the UTC date of an instant. Each row asks for it."""
    return _date_of(now_ns // DAY_NS)


@lru_cache(maxsize=16)
def _date_of(day: int) -> str:
    return format_timestamp(day * DAY_NS)[:10]


def day_at(market: FollowedMarket, state: AccountState, now_ns: int, *, has_rows: bool = False) -> str:
    """Return the UTC date that an instant is of for an account.

    At midnight it is still the date before if the account holds or orders a symbol whose price is of stored bars,
    because bars that end at midnight may still come. has_rows: whether all rows that are known at this instant were
    taken.
    """
    may_have_bars = (
        now_ns % DAY_NS == 0
        and not has_rows
        and any(market.last_bar(symbol, now_ns) is not None for symbol in state.symbols())
    )
    return max(date_at(now_ns - 1 if may_have_bars else now_ns), state.day)


def begin_day(market: FollowedMarket, now_ns: int, day: str, state: AccountState, record: Record) -> None:
    """Begin a UTC date: charge for shorts, and mark the account."""
    if day == state.day:
        return
    marks = market.marks(state, now_ns=now_ns)
    if not can_be_valued(state, marks):
        return
    for passed in _days_from(state.day, day):
        charge_borrowing(state, marks, passed, record)
    revalue(state, marks, now_ns, day, record)


def _days_from(first: str, end: str) -> Iterator[str]:
    """Yield the UTC dates from one until another; none if the first is not known."""
    if first:
        begin = dt.date.fromisoformat(first)
        for number in range((dt.date.fromisoformat(end) - begin).days):
            yield (begin + dt.timedelta(number)).isoformat()


def close_positions(market: FollowedMarket, now_ns: int, state: AccountState, record: Record) -> None:
    """Go on with a stop: close each position whose orders have ended, and say when the account is flat."""
    if state.status != STOPPING:
        return
    if not state.positions and not state.orders:
        record(Stopped())
        return
    for position in list(state.positions.values()):
        orders = state.orders_of(position.symbol)
        if not any(each.terms.strategy == position.strategy for each in orders):
            _close(position, market, now_ns, state, record)


def _close(
    position: Position, market: FollowedMarket, now_ns: int, state: AccountState, record: Record
) -> None:
    view = position_closing_view(market, position, state.currency, now_ns=now_ns)
    accept_closing(state, record, position, view, now_ns=now_ns, by=STOP)
    opens_ns = next_open_ns(market.instrument(position.symbol), now_ns)
    if opens_ns != now_ns:
        record(CloseQueued(symbol=position.symbol, strategy=position.strategy, opens_ns=opens_ns))
        message = f"{position.symbol} is closed in its next session"
        record(Alert(kind=CLOSE_ALERT, message=message, symbol=position.symbol))
