"""What the engine does if something fails: an account, the database, its lease, or the print of an execution."""

from decimal import Decimal
from threading import Event as Ending
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from store.datasets import TRADES
from store.protocol import Action, Amendment, Correction
from store.timestamps import DAY_NS
from tests.trading.desks import FREE, TradingDesk, at_ns, coin, prints
from trades.stores import market_store
from trading.core.account import AccountState
from trading.core.matching import Record
from trading.core.orders import OrderState, OrderTerms, OrderType, TimeInForce
from trading.core.terms import AccountKind, Side
from trading.engine.engine import Engine
from trading.engine.engine_store import EngineReplaced
from trading.engine.floor import Floor
from trading.engine.logs import DataClock
from trading.engine.passing import date_at
from trading.exceptions import EngineUnavailable
from trading.journal import state_of
from trading.lease import lease_end
from trading.models import Account, EventRow, ExecutionRow, Lease
from trading.services.accounts import account_create, account_transfer, trading_start, trading_stop
from trading.services.orders import order_cancel, order_submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(default_store: Any) -> TradingDesk:
    coin()
    prints("COIN", (0, 100.0, 10.0))
    return TradingDesk()


def other(desk: TradingDesk) -> Account:
    """Open a second account, which orders COIN."""
    account = account_create(name="ZED", kind=AccountKind.MARGIN, currency="USD", by="test", config=FREE)
    account_transfer(name="ZED", transfer="first", amount=Decimal(1_000_000))
    trading_start(account=account, by="test")
    order = OrderTerms(symbol="COIN", side=Side.BUY, quantity=Decimal(1))
    order_submit(account=Account.objects.get(name="ZED"), order=order, by="test")
    return Account.objects.get(name="ZED")


def rounds(engine: Engine, count: int) -> None:
    """Let an engine run as in its process for some rounds."""
    ending = mock.Mock(spec=Ending)
    ending.is_set.side_effect = [False] * count + [True]
    with mock.patch("trading.engine.engine.close_old_connections"):
        engine.run(ending)


def away() -> None:
    Lease.objects.update(leased_until_ns=0, holder=None)


@pytest.mark.parametrize("is_late", [False, True], ids=["first", "after a record"])
def test_an_account_that_fails_does_not_stop_the_others(desk: TradingDesk, is_late: bool):
    desk.order("COIN", Side.BUY, 1)
    other(desk)
    match = Floor._match

    def failing(floor: Floor, row: Any, state: AccountState, record: Record) -> None:
        if state.id == "ACC" and not is_late:
            raise ValueError("corrupt")
        match(floor, row, state, record)
        if state.id == "ACC":
            raise ValueError("corrupt")

    prints("COIN", (1, 100.0, 10.0), (2, 100.0, 10.0))
    with mock.patch.object(Floor, "_match", failing):
        rounds(desk.engine, 4)
    assert desk.engine._accounts.failed == {"ACC"}
    assert desk.state.positions == {}
    assert state_of(Account.objects.get(name="ZED")).positions["COIN"].quantity == 1
    desk.check()


def test_an_account_that_cannot_be_read_does_not_stop_the_others_when_its_day_ends(desk: TradingDesk):
    other(desk)
    desk.run()
    desk.order("COIN", Side.BUY, 1)
    with mock.patch("trading.engine.engine_store.replayed", side_effect=ValueError("corrupt")):
        desk.engine._accounts.refresh()
    assert desk.engine._accounts.failed == {"ACC"}
    desk.engine._floor.pass_time(at_ns(0) + DAY_NS)
    assert state_of(Account.objects.get(name="ZED")).day == date_at(at_ns(0) + DAY_NS)


def test_the_engine_goes_on_after_an_error_of_the_database(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 1)
    prints("COIN", (1, 100.0, 10.0))
    match, failures = Floor._match, iter([True])

    def failing(*args: Any) -> None:
        if next(failures, False):
            raise OperationalError("database table is locked")
        match(*args)

    with mock.patch.object(Floor, "_match", failing):
        rounds(desk.engine, 3)
    assert desk.engine._accounts.failed == set()
    assert desk.state.positions["COIN"].quantity == 1
    desk.check()


def test_while_the_engine_is_away_nothing_is_opened_and_all_can_be_ended(desk: TradingDesk):
    terms = {"type": OrderType.LIMIT, "limit_price": 90, "time_in_force": TimeInForce.GTC}
    first, second = desk.order("COIN", Side.BUY, 1, **terms), desk.order("COIN", Side.BUY, 1, **terms)
    desk.run()
    away()
    with pytest.raises(EngineUnavailable):
        desk.order("COIN", Side.BUY, 1)
    order_cancel(account=desk.account, order_id=UUID(first), by="test")
    assert desk.find(first).state is OrderState.PENDING_CANCEL
    trading_stop(account=desk.account, by="test")
    trading_stop(account=desk.account, by="test")
    prints("COIN", (5, 80.0, 10.0))
    desk.run()
    assert {desk.find(each).state for each in (first, second)} <= {OrderState.CANCELLED, OrderState.FILLED}
    assert EventRow.objects.filter(name="stop_requested").count() == 1
    desk.check()


def test_a_second_engine_waits_until_the_lease_is_given_back(desk: TradingDesk):
    second = Engine(DataClock())
    desk.order("COIN", Side.BUY, 1)
    prints("COIN", (1, 100.0, 10.0))
    assert not second.round()
    assert desk.state.positions == {}
    lease_end(desk.engine._holder)
    second.round()
    assert desk.state.positions["COIN"].quantity == 1


def test_an_engine_that_was_too_slow_goes_on_unless_another_took_its_place(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 1)
    desk.run()
    started_ns = Lease.objects.get().started_ns
    Lease.objects.update(leased_until_ns=1)
    prints("COIN", (1, 100.0, 10.0))
    desk.engine.round()
    assert desk.state.positions["COIN"].quantity == 1
    lease = Lease.objects.get()
    assert (lease.leased_until_ns > 1, lease.started_ns) == (True, started_ns)


def test_rows_that_wait_are_one_transaction(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 2)
    desk.run()
    prints("COIN", (1, 100.0, 1.0), (2, 100.0, 1.0))
    with (
        mock.patch("trading.engine.engine_store._LOCKED_SECONDS", 60.0),
        mock.patch("trading.engine.engine._ROUND_SECONDS", 60.0),
        mock.patch("trading.engine.engine_store._audit", side_effect=[None, OperationalError]),
        pytest.raises(OperationalError),
    ):
        desk.engine.round()
    assert not ExecutionRow.objects.exists()
    desk.engine._forget()
    desk.run()
    assert ExecutionRow.objects.count() == 2
    desk.check()


def test_a_transaction_of_rows_ends_soon(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 2)
    desk.run()
    prints("COIN", (1, 100.0, 1.0), (2, 100.0, 1.0))
    with mock.patch("trading.engine.engine_store._LOCKED_SECONDS", -1.0):
        assert desk.engine.round()
    assert ExecutionRow.objects.count() == 1
    desk.run()
    assert ExecutionRow.objects.count() == 2


def test_an_engine_that_waits_writes_nothing(desk: TradingDesk):
    second = Engine(DataClock())
    with CaptureQueriesContext(connection) as queries:
        assert not second.round()
    assert all(each["sql"].startswith("SELECT") for each in queries)


def test_an_engine_whose_lease_was_taken_writes_nothing(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 1)
    desk.run()
    number = desk.state.number
    away()
    second = Engine(DataClock())
    second.round()
    prints("COIN", (1, 100.0, 10.0))
    with pytest.raises(EngineReplaced):
        desk.engine.round()
    assert desk.state.number == number
    second.round()
    assert desk.state.positions["COIN"].quantity == 1


def test_a_print_that_is_cancelled_later_unmakes_nothing(desk: TradingDesk):
    desk.order("COIN", Side.BUY, 1)
    prints("COIN", (1, 100.0, 10.0), trade_id="named")
    desk.run()
    cash = desk.state.cash
    cancel = Correction(Action.CANCEL, at_ns(1), {"trade_id": "named"})
    market_store().correct(Amendment(TRADES, "COIN", (cancel,), "test"))
    desk.run()
    desk.run()
    assert desk.state.cash == cash
    assert desk.state.positions["COIN"].quantity == 1
    assert not EventRow.objects.filter(name="alert").exists()
    desk.check()
