"""A stop cancels all orders, waits for each, and closes all positions. Also the file STOP, and missing heartbeats."""

import logging
from collections.abc import Iterator, Mapping

from trades.stores import market_store
from trading.core.account import STOPPED, STOPPING, AccountState
from trading.core.amounts import NS_PER_SECOND
from trading.core.due import ENGINE, request_cancels
from trading.core.events import CLOSE_ALERT, Alert, CloseQueued, Stopped
from trading.core.matching import Record
from trading.core.positions import Position
from trading.engine.marks import MarkBook
from trading.market.hours import next_open_ns
from trading.models import Account
from trading.services.acceptance import closing_view
from trading.services.control import STOP, audit_stop, is_stop_file_there, trading_stop
from trading.services.orders import accept_closing

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
            try:
                account = Account.objects.get(name=name)
                trading_stop(account=account, by="file", reason="the file STOP is there")
                audit_stop([name], actor="file", reason="the file STOP is there")
            except (
                Exception
            ):  # the other accounts are stopped all the same, and this one is tried again in a second
                logger.exception("the file STOP does not stop %s", name)


def silent_accounts(states: Mapping[str, AccountState], now_ns: int) -> Iterator[str]:
    """Yield the accounts with orders whose clients promised heartbeats and have stayed away."""
    for name, state in states.items():
        seconds = state.preferences.heartbeat_seconds
        if seconds is None or not any(order.may_be_cancelled for order in state.orders.values()):
            continue
        heard_ns = Account.objects.values_list("heartbeat_ns", flat=True).get(name=name)
        if heard_ns is None or now_ns - heard_ns > seconds * NS_PER_SECOND:
            yield name


def cancel_all(state: AccountState, record: Record) -> None:
    """Ask for the cancel of all orders of an account whose client has stayed away."""
    request_cancels(state.orders.values(), record, reason="heartbeat", by=ENGINE)
