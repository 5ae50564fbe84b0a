"""The daily settlement of futures: at each session's end, their gains and losses since the last one become cash."""

from functools import lru_cache

from store.instruments import Instrument
from store.timestamps import format_timestamp
from trading.core.account import AccountState
from trading.core.events import Settled
from trading.core.matching import Record
from trading.core.positions import Position
from trading.engine.marks import MarkBook
from trading.market.hours import session_end_ns
from trading.market.market import Market


def settle(marks: MarkBook, now_ns: int, state: AccountState, record: Record) -> None:
    """Settle what is due, at the last mark. A symbol without a mark waits for one.

    If several sessions ended since, there is one settlement: no price is known for the others.
    """
    dues = {symbol: due for symbol, due in _dues(marks.market, state).items() if due <= now_ns}
    if not dues:
        return
    known = marks.marks(state, now_ns=now_ns)
    for symbol in sorted(dues.keys() & known.keys()):
        mark, date = known[symbol], format_timestamp(dues[symbol])[:10]
        record(Settled(symbol=symbol, price=mark.price, rate=mark.rate, date=date))


def next_settlement_ns(market: Market, state: AccountState) -> int | None:
    """Return when the next future of an account is settled; None if it holds none."""
    return min(_dues(market, state).values(), default=None)


def _dues(market: Market, state: AccountState) -> dict[str, int]:
    """Return when each future is settled. All positions in a symbol are settled at once."""
    dues: dict[str, int] = {}
    for position in state.positions.values():
        due = _due_ns(market, position) if position.terms.is_margined else None
        if due is not None:
            dues[position.symbol] = min(due, dues.get(position.symbol, due))
    return dues


def _due_ns(market: Market, position: Position) -> int | None:
    opened_ns = 0 if position.trade is None else position.trade.opened_ns
    return _end_after(market.instrument(position.symbol), max(opened_ns, position.settled_ns))


@lru_cache(maxsize=1_000)
def _end_after(instrument: Instrument, at_ns: int) -> int | None:
    return session_end_ns(instrument, at_ns)
