"""What a stop does until the account is flat: once an order has ended, its position is closed."""

from trading.core.acceptance import accept_closing
from trading.core.account import STOPPING, AccountState
from trading.core.due import STOP
from trading.core.events import CLOSE_ALERT, Alert, CloseQueued, Stopped
from trading.core.matching import Record
from trading.core.positions import Position
from trading.market.followed import FollowedMarket
from trading.market.hours import next_open_ns
from trading.market.views import position_closing_view


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
