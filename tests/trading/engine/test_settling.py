"""Futures are settled at each session's end; shorts pay for a day."""

from decimal import Decimal

import msgspec
import pytest

from store.instruments import Instrument
from store.timestamps import DAY_NS, SECOND_NS
from tests.trading.desks import BEGIN_NS, TradingDesk, prints
from trades.stores import market_store
from trading.account_store import account_verify
from trading.core.events import Settled, decoded
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.positions import ClosedTrade
from trading.core.terms import Side
from trading.engine.engine import Engine
from trading.engine.logs import DataClock
from trading.exceptions import NotTradable
from trading.lease import lease_end
from trading.models import EquityRow, EventRow, TradeRow

pytestmark = pytest.mark.django_db
DAY = DAY_NS // SECOND_NS
# Without a calendar a session is a UTC date.
MIDNIGHT = (DAY_NS - BEGIN_NS % DAY_NS) // SECOND_NS


@pytest.fixture
def desk(default_store) -> TradingDesk:
    store = market_store()
    store.set_instrument(Instrument("FUT", instrument_class="future", currency="USD", multiplier=50.0))
    store.set_instrument(Instrument("SHARE", instrument_class="equity", currency="USD"))
    prints("FUT", (0, 100.0, 10.0))
    prints("SHARE", (0, 100.0, 10.0))
    return TradingDesk()


def recorded(name: str) -> list[EventRow]:
    return list(EventRow.objects.filter(name=name).order_by("number"))


def settlements() -> list[Settled]:
    found = [decoded(row.body) for row in recorded("settled")]
    assert all(isinstance(each, Settled) for each in found)
    return found  # type: ignore[return-value]  # asserted


@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_a_future_is_settled_at_the_last_mark_before_the_sessions_end(
    desk: TradingDesk, side: Side, sign: int
):
    desk.order("FUT", side, 2)
    prints("FUT", (1, 100.0, 10.0), (2, 103.0, 10.0))
    desk.run()
    cash, cost = desk.state.cash, desk.state.positions["FUT"].cost
    assert settlements() == []
    prints("FUT", (MIDNIGHT + 1, 90.0, 10.0))
    desk.run()
    (settled,) = settlements()
    assert (settled.price, settled.date) == (Decimal(103), "2025-06-06")
    assert desk.state.cash - cash == sign * 2 * 103 * 50 - cost
    assert desk.state.positions["FUT"].average_price == 103
    desk.check()


def test_each_session_is_settled_once(desk: TradingDesk):
    desk.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0), (2, 101.0, 10.0))
    desk.run()
    for day, price in enumerate((102.0, 103.0, 104.0)):
        prints("FUT", (MIDNIGHT + day * DAY + 1, price, 1.0), (MIDNIGHT + day * DAY + 2, price, 1.0))
        desk.run()
    assert [(each.date, each.price) for each in settlements()] == [
        ("2025-06-06", Decimal(101)), ("2025-06-07", Decimal(102)), ("2025-06-08", Decimal(103))
    ]  # fmt: skip
    desk.check()


def test_sessions_without_a_price_are_settled_once_together(desk: TradingDesk):
    desk.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0))
    desk.run()
    prints("FUT", (MIDNIGHT + 3 * DAY, 110.0, 1.0), (MIDNIGHT + 3 * DAY + 1, 110.0, 1.0))
    desk.run()
    assert [each.price for each in settlements()] == [Decimal(100)]


def test_an_engine_that_begins_again_settles_nothing_twice(desk: TradingDesk):
    desk.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0), (2, 101.0, 10.0), (MIDNIGHT + 1, 102.0, 1.0))
    desk.run()
    lease_end(desk.engine._holder)
    desk.engine = Engine(DataClock())
    prints("FUT", (MIDNIGHT + 2, 102.0, 1.0))
    desk.run()
    assert [each.price for each in settlements()] == [Decimal(101)]
    desk.check()


def test_a_settlement_changes_no_trades_gain(desk: TradingDesk):
    desk.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0), (MIDNIGHT + 1, 105.0, 10.0))
    desk.run()
    # The clock is published at the beginning of a round.
    desk.run()
    desk.order("FUT", Side.SELL, 1)
    prints("FUT", (MIDNIGHT + 10, 107.0, 10.0))
    desk.run()
    assert desk.state.positions == {}
    entry, exit_ = (desk.execution(row) for row in desk.account.executions.order_by("number"))
    gained = (exit_[1] - entry[1]) * 50 - entry[2] - exit_[2]
    assert desk.state.cash == 100_000 + gained
    desk.check()


@pytest.fixture
def expiring(desk: TradingDesk) -> TradingDesk:
    """A desk on the last day of FUT."""
    market_store().set_instrument(
        Instrument("FUT", instrument_class="future", currency="USD", multiplier=50.0, expiry="2025-06-05")
    )
    return desk


@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_a_future_is_closed_without_cost_after_its_last_session(expiring: TradingDesk, side: Side, sign: int):
    entry = expiring.order("FUT", side, 2)
    resting = expiring.order(
        "FUT", side, 1, type=OrderType.LIMIT, limit_price=100 - sign * 50, time_in_force=TimeInForce.GTC
    )
    prints("FUT", (1, 100.0, 10.0), (2, 103.0, 10.0), (MIDNIGHT - 1, 104.0, 10.0))
    expiring.run()
    assert expiring.state.positions["FUT"].quantity == sign * 2
    prints("FUT", (MIDNIGHT + 1, 105.0, 10.0), (MIDNIGHT + 3, 90.0, 10.0), (MIDNIGHT + 2 * DAY, 80.0, 10.0))
    expiring.run()
    (settled,) = settlements()
    # What was printed within two seconds counts, as for day orders.
    assert (settled.price, settled.date, settled.is_final) == (Decimal(105), "2025-06-06", True)
    state, filled = expiring.state, expiring.find(entry)
    assert not state.positions
    assert not state.orders
    gained = sign * (2 * 105 * 50 - filled.filled_value) - filled.fees
    assert state.cash == 100_000 + gained
    assert (expiring.find(resting).state, expiring.find(resting).reason) == (OrderState.EXPIRED, "expired")
    (trade,) = TradeRow.objects.all()
    document = msgspec.json.decode(trade.document, type=ClosedTrade)
    assert (document.exit_price, document.pnl, document.fees) == (Decimal(105), gained, filled.fees)
    assert EquityRow.objects.get(number=trade.number).exposure == "0"
    expiring.check()
    assert account_verify(account=expiring.account) is None


def test_an_engine_that_begins_again_closes_a_future_once(expiring: TradingDesk):
    expiring.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0), (2, 101.0, 10.0))
    expiring.run()
    for day in range(3):
        lease_end(expiring.engine._holder)
        expiring.engine = Engine(DataClock())
        prints("FUT", (MIDNIGHT + day * DAY + 5, 50.0, 1.0))
        expiring.run()
    assert [(each.price, each.is_final) for each in settlements()] == [(Decimal(101), True)]
    assert TradeRow.objects.count() == 1
    expiring.check()
    assert account_verify(account=expiring.account) is None


def test_a_last_settlement_that_gains_nothing_closes_too(expiring: TradingDesk):
    expiring.order("FUT", Side.BUY, 1)
    prints("FUT", (1, 100.0, 10.0), (2, 101.0, 10.0))
    expiring.run()
    price = expiring.state.positions["FUT"].average_price
    assert price is not None
    prints("FUT", (MIDNIGHT - 1, float(price), 10.0), (MIDNIGHT + 5, 90.0, 1.0))
    expiring.run()
    assert (expiring.state.positions, expiring.state.traded) == ({}, TradeRow.objects.get().number)
    expiring.check()


def test_an_order_without_a_position_ends_with_the_last_session(expiring: TradingDesk):
    order = expiring.order(
        "FUT", Side.BUY, 1, type=OrderType.LIMIT, limit_price=60, time_in_force=TimeInForce.GTC
    )
    prints("FUT", (1, 100.0, 10.0), (MIDNIGHT + 3, 50.0, 10.0))
    expiring.run()
    assert (expiring.find(order).state, expiring.find(order).filled) == (OrderState.EXPIRED, Decimal(0))
    assert settlements() == []


def test_an_order_after_the_last_session_is_refused(expiring: TradingDesk):
    prints("FUT", (1, 100.0, 10.0), (MIDNIGHT, 100.0, 10.0))
    expiring.order("FUT", Side.BUY, 1)
    prints("FUT", (MIDNIGHT + 1, 100.0, 10.0))
    expiring.run()
    expiring.run()
    with pytest.raises(NotTradable, match="FUT has expired: its last session ended at 2025-06-06T00:00:00"):
        expiring.order("FUT", Side.BUY, 1)
