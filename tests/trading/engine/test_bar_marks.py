"""The engine marks what a bar fills by the same bar."""

import pytest

from store.datasets import BARS
from tests.trading.desks import FREE, TradingDesk, at_ns, coin, stored
from trading.core.configuration import Zone
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.terms import Side

pytestmark = pytest.mark.django_db


def minute(number: int, open_: float, close: float) -> None:
    """Store a bar of a minute after the beginning."""
    prices = {"open": open_, "high": max(open_, close), "low": min(open_, close), "close": close}
    row = {"timestamp": at_ns(60 * number), "resolution": "1m", "volume": 1e6, **prices}
    stored(BARS, "COIN", [row])


def test_the_minute_of_an_entry_halts(default_store):
    """The entry loses 12 % in its own minute, and a limit is cancelled before the next one."""
    coin()
    minute(-1, 100, 100)
    desk = TradingDesk(config=FREE)
    desk.run()
    desk.order("COIN", Side.BUY, 300, time_in_force=TimeInForce.GTC)
    limit = {"type": OrderType.LIMIT, "limit_price": 50, "time_in_force": TimeInForce.GTC}
    resting = desk.order("COIN", Side.BUY, 100, **limit)
    minute(1, 100, 60)
    desk.run()
    assert desk.state.positions["COIN"].quantity == 300
    assert (desk.state.zone, desk.state.drawdown > 12) == (Zone.HALT, True)
    assert desk.find(resting).state is OrderState.PENDING_CANCEL
    minute(2, 50, 40)
    desk.run()
    assert (desk.find(resting).state, desk.find(resting).reason) == (OrderState.CANCELLED, "halt")
    assert desk.state.positions["COIN"].quantity == 300
    desk.check()
