"""The daily settlement of futures: at each session's end, their gains and losses since the last one become cash.

After a contract's last session its orders end, and its positions are closed at the last mark.
"""

from functools import lru_cache

from store.instruments import Instrument
from store.timestamps import format_timestamp
from trading.core.account import AccountState
from trading.core.due import SETTLE_NS
from trading.core.events import OrderEnded, Settled
from trading.core.matching import Record
from trading.core.orders import OrderState
from trading.core.positions import Position
from trading.market.followed import FollowedMarket
from trading.market.hours import last_end_ns, last_session_end_ns, session_end_ns
from trading.market.market import Market


def settle(market: FollowedMarket, now_ns: int, state: AccountState, record: Record) -> None:
    """Settle what is due, at the last mark. A symbol without a mark waits for one.

    If several sessions ended since, there is one settlement: no price is known for the others.
    """
    dues = {symbol: due for symbol, due in _dues(market, state, now_ns).items() if due <= now_ns}
    if not dues:
        return
    known = market.marks(state, now_ns=now_ns)
    held = {position.symbol for position in state.positions.values()}
    for symbol in sorted(dues.keys() - (held - known.keys())):
        over_ns = _over_ns(market, symbol, now_ns)
        is_final = over_ns is not None and over_ns <= now_ns
        if is_final:
            _end_orders(symbol, state, record)
        if symbol in held:
            last_ns = last_session_end_ns(market.instrument(symbol)) if is_final else None
            date = format_timestamp(dues[symbol] if last_ns is None else last_ns)[:10]
            mark = known[symbol]
            record(Settled(symbol=symbol, price=mark.price, rate=mark.rate, date=date, is_final=is_final))


def has_futures(state: AccountState) -> bool:
    """Return whether an account holds or orders a future."""
    for order in state.orders.values():
        if order.instrument.is_margined:
            return True
    return any(each.terms.is_margined for each in state.positions.values())


def next_settlement_ns(market: FollowedMarket, state: AccountState, now_ns: int) -> int | None:
    """Return when the next future of an account is settled, or its orders end; None if it has none."""
    return min(_dues(market, state, now_ns).values(), default=None) if has_futures(state) else None


def _end_orders(symbol: str, state: AccountState, record: Record) -> None:
    for order in state.orders_of(symbol):
        record(OrderEnded(order_id=order.id, state=OrderState.EXPIRED, reason="expired"))


def _dues(market: FollowedMarket, state: AccountState, now_ns: int) -> dict[str, int]:
    """Return when each future is settled, or its orders end. All positions in a symbol are settled at once."""
    terms = {order.terms.symbol: order.instrument for order in state.orders.values()}
    terms |= {position.symbol: position.terms for position in state.positions.values()}
    over = {symbol: _over_ns(market, symbol, now_ns) for symbol, each in terms.items() if each.is_margined}
    dues = {symbol: over_ns for symbol, over_ns in over.items() if over_ns is not None}
    for position in state.positions.values():
        due = _due_ns(market, position) if position.terms.is_margined else None
        if due is not None:
            dues[position.symbol] = min(due, dues.get(position.symbol, due))
    return dues


def _due_ns(market: Market, position: Position) -> int | None:
    """Return when the session after a position's last settlement ends; None for the contract's last session."""
    opened_ns = 0 if position.trade is None else position.trade.opened_ns
    instrument = market.instrument(position.symbol)
    end_ns, last_ns = (
        _end_after(instrument, max(opened_ns, position.settled_ns)),
        last_session_end_ns(instrument),
    )
    return end_ns if end_ns is None or last_ns is None or end_ns < last_ns else None


def _over_ns(market: FollowedMarket, symbol: str, now_ns: int) -> int | None:
    """Return when all prices of a contract's last session are known, as for day orders; None if it has no last one.

    Stored bars may end after the session that they begin in.
    """
    last_ns = last_session_end_ns(market.instrument(symbol))
    if last_ns is None:
        return None
    bar = market.last_bar(symbol, now_ns)
    end_ns = (
        last_ns
        if bar is None
        else last_end_ns(bar.ref.timestamp_ns, bar.at_ns - bar.ref.timestamp_ns, last_ns)
    )
    return end_ns + SETTLE_NS


@lru_cache(maxsize=1_000)
def _end_after(instrument: Instrument, at_ns: int) -> int | None:
    return session_end_ns(instrument, at_ns)
