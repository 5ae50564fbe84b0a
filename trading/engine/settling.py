"""The daily settlement of futures: at each session's end, their gains and losses since the last one become cash.

On stored bars it waits for the last bar that begins in the session, because a bar is known at its end. After a
contract's last session its orders end, and its positions are closed at the last mark.
"""

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from store.instruments import Instrument
from store.timestamps import format_timestamp
from trading.core.account import AccountState
from trading.core.due import SETTLE_NS
from trading.core.events import OrderEnded, Reference, Settled
from trading.core.matching import Record
from trading.core.orders import OrderState
from trading.core.positions import Position
from trading.market.followed import FollowedMarket
from trading.market.hours import last_end_ns, last_session_end_ns, session_end_ns


class _Due(NamedTuple):
    """When a future is settled, or its orders end. end_ns: of the session. is_final: whether it is the last one."""

    at_ns: int
    end_ns: int
    is_final: bool


def settle(market: FollowedMarket, now_ns: int, state: AccountState, record: Record) -> None:
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
        _end_after(instrument, max(opened_ns, position.settled_ns)),
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


@lru_cache(maxsize=1_000)
def _end_after(instrument: Instrument, at_ns: int) -> int | None:
    return session_end_ns(instrument, at_ns)
