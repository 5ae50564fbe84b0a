"""A stop cancels all orders, waits for each, and closes all positions. Also the file STOP, and missing heartbeats."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from trades.stores import market_store
from trading.core.account import STOPPED, STOPPING, AccountState
from trading.core.amounts import NS_PER_SECOND
from trading.core.events import CLOSE_ALERT, Alert, CloseQueued, Stopped
from trading.core.matching import Record
from trading.core.positions import Position
from trading.engine.marks import MarkBook
from trading.market.hours import next_open_ns
from trading.models import Account
from trading.services.acceptance import closing_view
from trading.services.control import STOP, is_stop_file_there, trading_stop
from trading.services.orders import accept_closing, orders_cancel

logger = logging.getLogger(__name__)


def close_positions(book: MarkBook, now_ns: int, state: AccountState, record: Record) -> None:
    """Go on with a stop: close each position whose orders have ended, and say when the account is flat."""
    if state.status != STOPPING:
        return
    if not state.positions and not state.orders:
        record(Stopped())
        return
    for position in list(state.positions.values()):
        orders = state.orders_of(position.symbol)
        if not any(each.terms.strategy == position.strategy for each in orders):
            _close(position, book, now_ns, state, record)


def _close(position: Position, book: MarkBook, now_ns: int, state: AccountState, record: Record) -> None:
    # The database is locked: prices that the engine has need no read of the store.
    mark = book.mark(position, state.currency, now_ns=now_ns)
    view = closing_view(state, position, mark, book.marks(state, now_ns=now_ns))
    accept_closing(state, record, position, view, now_ns=now_ns, by=STOP)
    opens_ns = next_open_ns(market_store().instrument(position.symbol), now_ns)
    if opens_ns != now_ns:
        record(CloseQueued(symbol=position.symbol, strategy=position.strategy, opens_ns=opens_ns))
        message = f"{position.symbol} is closed in its next session"
        record(Alert(kind=CLOSE_ALERT, message=message, symbol=position.symbol))


def obey_file(states: Mapping[str, AccountState]) -> None:
    """Stop all accounts if DATA_DIR has a file STOP."""
    if not is_stop_file_there():
        return
    for name, state in list(states.items()):
        if state.status != STOPPING and (state.status != STOPPED or state.positions or state.orders):
            with _failing_alone(name):
                trading_stop(
                    account=Account.objects.get(name=name), by="file", reason="the file STOP is there"
                )


def miss_heartbeats(states: Mapping[str, AccountState], now_ns: int) -> None:
    """Cancel the orders of accounts whose clients promised heartbeats and have stayed away."""
    for name, state in list(states.items()):
        seconds = state.preferences.heartbeat_seconds
        if seconds is None or not state.orders:
            continue
        with _failing_alone(name):
            account = Account.objects.get(name=name)
            if now_ns - (account.heartbeat_ns or account.created_ns) > seconds * NS_PER_SECOND:
                orders_cancel(account=account, by="engine", reason="heartbeat")


@contextmanager
def _failing_alone(name: str) -> Iterator[None]:
    """Log what fails for an account. It is tried again in a second, and holds up no other account."""
    try:
        yield
    except Exception:
        logger.exception("the engine cannot cancel the orders of %s", name)
