"""The engine takes rows of the store and does for accounts what follows."""

from decimal import Decimal

import pytest

from tests.trading.desks import TradingDesk, coin, prints
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.terms import Side
from trading.models import ExecutionRow, TradeRow
from trading.services.control import trading_stop

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(default_store) -> TradingDesk:
    coin()
    prints("COIN", (0, 100.0, 10.0))
    desk = TradingDesk()
    desk.run()
    return desk


def test_a_market_order_fills_at_the_next_print(desk: TradingDesk):
    order_id = desk.order("COIN", Side.BUY, 2)
    prints("COIN", (1, 101.0, 10.0))
    desk.run()
    order = desk.find(order_id)
    assert order.state is OrderState.FILLED
    assert desk.state.positions["COIN"].quantity == 2
    desk.check()


def test_a_bracket_closes_the_trade_at_its_stop(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 2, take_profit=110, stop_loss=95)
    prints("COIN", (1, 100.0, 10.0), (2, 94.0, 10.0), (3, 93.0, 10.0))
    desk.run()
    assert desk.state.positions == {}
    assert desk.state.orders == {}
    assert desk.state.covered == {}
    (trade,) = TradeRow.objects.all()
    assert trade.direction == "LONG"
    assert ExecutionRow.objects.count() == 2
    desk.check()


def test_a_stop_cancels_orders_and_closes_positions(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 2)
    prints("COIN", (1, 100.0, 10.0))
    desk.run()
    resting = desk.order(
        "COIN", Side.BUY, 1, type=OrderType.LIMIT, limit_price=90, time_in_force=TimeInForce.GTC
    )
    trading_stop(account=desk.account, by="test")
    prints("COIN", (2, 99.0, 10.0), (3, 98.0, 10.0), (4, 97.0, 1.0))
    desk.run()
    assert desk.find(resting).state is OrderState.CANCELLED
    assert (desk.state.status, desk.state.positions) == ("stopped", {})
    assert desk.state.cash < Decimal(100_000)
    desk.check()
