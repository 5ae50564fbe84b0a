"""How accounts are stopped: repeatedly, while a market is closed, by the file STOP, and by a heartbeat that stays away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import msgspec
import pytest

from audit.models import AuditRecord
from store.instruments import Instrument
from store.timestamps import DAY_NS, SECOND_NS
from tests.trading.desks import FREE, TradingDesk, at_ns, coin, prints
from trades.stores import market_store
from trading.core.due import STOP
from trading.core.events import CloseQueued, decoded
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.terms import Side
from trading.engine.engine import Engine
from trading.engine.logs import DataClock
from trading.exceptions import TradingHalted
from trading.lease import lease_end
from trading.market.market import Market
from trading.models import EventRow, Lease, OrderRow, TradeRow
from trading.services import accounts
from trading.services.accounts import heartbeat, preferences_change, trading_stop
from trading.services.orders import order_cancel

pytestmark = pytest.mark.django_db

FREE_AND_FAST = msgspec.structs.replace(FREE, orders_per_minute=1000)
RESTING = {"type": OrderType.LIMIT, "limit_price": 90, "time_in_force": TimeInForce.GTC}
# The markets of equities open at 13:30 UTC, half an hour before a desk's clock begins.
NEXT_OPEN_NS = at_ns(-1800) + DAY_NS
AFTER_CLOSE = 10 * 3600


@pytest.fixture
def desk(default_store: Any) -> Iterator[TradingDesk]:
    coin()
    market_store().set_instrument(Instrument("AAPL", exchange="XNAS", currency="USD"))
    prints("COIN", (0, 100.0, 10.0))
    prints("AAPL", (0, 100.0, 10.0))
    desk = TradingDesk(config=FREE_AND_FAST)
    desk.run()
    yield desk
    desk.check()


def hold(desk: TradingDesk, symbol: str) -> None:
    desk.order(symbol, Side.BUY, 1)
    prints(symbol, (1, 100.0, 10.0))
    desk.run()


def stop_orders() -> list[OrderRow]:
    return [row for row in OrderRow.objects.order_by("pk") if f'"by":"{STOP}"' in row.document]


def test_one_event_asks_for_a_hundred_cancels(desk: TradingDesk):
    Lease.objects.update(leased_until_ns=time.time_ns() + 10**12)
    orders = [desk.order("COIN", Side.BUY, 1, **RESTING) for _ in range(102)]
    order_cancel(account=desk.account, order_id=UUID(orders[0]), by="test")
    trading_stop(account=desk.account, by="test")
    assert {desk.find(order).state for order in orders} == {OrderState.PENDING_CANCEL}
    assert [desk.find(order).reason for order in orders[:2]] == ["client", STOP]
    bodies = (
        EventRow.objects.filter(name="cancel_requested").order_by("number").values_list("body", flat=True)
    )
    assert [len(decoded(body).order_ids) for body in bodies] == [1, 100, 1]  # type: ignore[union-attr]  # its name says so


def test_a_stop_that_is_repeated_leaves_its_closing_orders(desk: TradingDesk):
    hold(desk, "COIN")
    trading_stop(account=desk.account, by="test")
    desk.run()
    before = desk.state.number
    trading_stop(account=desk.account, by="test")
    assert desk.state.number == before
    (closing,) = stop_orders()
    assert closing.is_open
    prints("COIN", (5, 99.0, 10.0))
    desk.run()
    assert (desk.state.status, desk.state.positions) == ("stopped", {})


def test_a_stop_closes_at_the_marks_of_the_engine_without_reading_the_store(desk: TradingDesk):
    hold(desk, "COIN")
    hold(desk, "AAPL")
    trading_stop(account=desk.account, by="test")
    with mock.patch.object(Market, "reference", side_effect=AssertionError):
        desk.run()
    accepted = EventRow.objects.filter(name="order_accepted", body__contains=f'"by":"{STOP}"')
    bodies = accepted.values_list("body", flat=True)
    assert [decoded(body).reference.price for body in bodies] == [100, 100]  # type: ignore[union-attr]  # its name says so


def test_what_a_closed_market_keeps_from_closing_is_named_and_closed_in_its_next_session(desk: TradingDesk):
    hold(desk, "AAPL")
    hold(desk, "COIN")
    prints("AAPL", (AFTER_CLOSE, 101.0, 10.0))
    desk.run()
    trading_stop(account=desk.account, by="test")
    desk.run()
    prints("COIN", (AFTER_CLOSE + 5, 99.0, 10.0))
    prints("AAPL", (AFTER_CLOSE + 5, 101.0, 10.0))
    desk.run()
    assert (desk.state.status, set(desk.state.positions)) == ("stopping", {"AAPL"})
    assert desk.state.queued == {"AAPL": NEXT_OPEN_NS}
    (queued,) = EventRow.objects.filter(name="close_queued")
    assert decoded(queued.body) == CloseQueued(symbol="AAPL", strategy="", opens_ns=NEXT_OPEN_NS)
    lease_end(desk.engine._holder)
    desk.engine = Engine(DataClock())
    trading_stop(account=desk.account, by="test")
    desk.run()
    assert len(stop_orders()) == 2
    prints("AAPL", ((NEXT_OPEN_NS - at_ns(0)) / SECOND_NS + 1, 103.0, 10.0))
    desk.run()
    assert (desk.state.status, desk.state.positions, desk.state.queued) == ("stopped", {}, {})
    assert sorted(TradeRow.objects.values_list("symbol", flat=True)) == ["AAPL", "COIN"]


def test_the_file_stop_stops_all_accounts_also_if_one_cannot_be_stopped(
    desk: TradingDesk, tmp_path: Path, settings: Any
):
    settings.DATA_DIR = tmp_path
    second = TradingDesk(name="ANOTHER")
    hold(desk, "COIN")
    stop = accounts.trading_stop

    def failing(*, account: Any, **options: Any) -> Any:
        if account.name == "ANOTHER":
            raise ValueError("damaged")
        return stop(account=account, **options)

    (tmp_path / accounts.STOP_FILE).touch()
    with mock.patch("trading.engine.engine.trading_stop", failing):
        desk.run()
    assert (desk.state.status, second.state.status) == ("stopping", "running")
    record = AuditRecord.objects.get(event="trading.stopped")
    assert (record.caller, record.subject) == ("file", "account:ACC")
    desk.run()
    assert second.state.status == "stopped"
    with pytest.raises(TradingHalted, match="STOP"):
        accounts.trading_start(account=second.account, by="test")


def test_orders_are_cancelled_once_the_heartbeat_stays_away(desk: TradingDesk):
    hold(desk, "COIN")
    preferences_change(account=desk.account, changes={"heartbeat_seconds": 10})
    order = desk.order("COIN", Side.BUY, 1, **RESTING)
    protective = desk.order(
        "COIN",
        Side.SELL,
        1,
        type=OrderType.STOP,
        stop_price=80,
        reduce_only=True,
        time_in_force=TimeInForce.GTC,
    )
    for seconds in (8, 16):
        prints("COIN", (seconds, 100.0, 10.0))
        desk.run()
        desk.run()
        assert desk.find(order).state is OrderState.WORKING
        heartbeat(accounts=[desk.account])
    prints("COIN", (27, 100.0, 10.0))
    desk.run()
    desk.run()
    prints("COIN", (32, 100.0, 10.0))
    desk.run()
    assert {desk.find(each).state for each in (order, protective)} == {OrderState.CANCELLED}
    assert desk.find(order).reason == "heartbeat"
    assert set(desk.state.positions) == {"COIN"}
    assert EventRow.objects.filter(name="cancel_requested").count() == 1
    details = AuditRecord.objects.filter(caller="engine").values_list("detail", flat=True)
    assert any("cancel_requested" in str(detail) for detail in details)
