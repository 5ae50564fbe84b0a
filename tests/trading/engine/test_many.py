"""What the engine holds and does does not grow with symbols and accounts that nobody uses any more."""

import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace

from store.datasets import TRADES
from tests.trading.desks import BEGIN_NS, FREE, TradingDesk, coin, prints, stored
from tests.trading.recorded import record_events
from trading import journal
from trading.account_store import account_act
from trading.core.account import AccountState, encoded_state
from trading.core.account_store import Decision
from trading.core.configuration import RiskConfig
from trading.core.events import StopRequested
from trading.core.matching import Record
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import AccountKind, Side
from trading.engine.engine import Engine
from trading.engine.floor import Floor
from trading.engine.logs import WallClock
from trading.journal import SNAPSHOT_EVENTS, state_of
from trading.lease import lease_end
from trading.models import Account, EventRow, Lease, LogProgress, StateSnapshot
from trading.services.accounts import account_create, risk_configure
from trading.services.orders import orders_cancel

pytestmark = pytest.mark.django_db
RESTING = {"type": OrderType.LIMIT, "limit_price": "1", "time_in_force": TimeInForce.GTC}


@pytest.fixture
def desk(default_store: Any) -> TradingDesk:
    for symbol in ("COIN", "OTHER"):
        coin(symbol)
        prints(symbol, (0, 100.0, 50))
    return TradingDesk()


def logs(symbol: str) -> set[str]:
    return set(LogProgress.objects.filter(symbol=symbol).values_list("dataset", flat=True))


def trade(desk: TradingDesk, seconds: float, side: Side) -> None:
    desk.order("COIN", side, 1, time_in_force=TimeInForce.GTC)
    prints("COIN", (seconds, 100.0, 50))
    desk.run()


class TestLogsAreLetGo:
    """By an engine on the wall clock; a data clock moves by the rows of all logs."""

    @pytest.fixture
    def live(self, desk: TradingDesk) -> TradingDesk:
        lease_end(desk.engine._holder)
        desk.engine = Engine(WallClock())
        risk_configure(account=desk.account, config=replace(FREE, latency_ms=0), tag="*", by="test")
        self.print(desk)
        return desk

    def print(self, desk: TradingDesk) -> int:
        """The market trades, the engine looks at it and then, as each second, at its logs. Return when."""
        now_ns = time.time_ns()
        stored(TRADES, "COIN", [{"timestamp": now_ns, "price": 100.0, "volume": 50.0}])
        for _ in range(2):
            desk.run()
        return now_ns

    def trade(self, desk: TradingDesk, side: Side) -> int:
        desk.order("COIN", side, 1, time_in_force=TimeInForce.GTC)
        return self.print(desk)

    def test_of_a_symbol_that_was_ordered_once(self, live):
        live.order("COIN", Side.BUY, 1, **RESTING)
        self.print(live)
        assert {"trades", "quotes", "corporate_actions"} <= logs("COIN")
        orders_cancel(account=live.account, by="test")
        self.print(live)
        assert not live.state.orders
        self.print(live)
        assert not logs("COIN")
        assert "COIN" not in live.engine._market._prices

    def test_not_of_one_that_is_held(self, live):
        self.trade(live, Side.BUY)
        self.print(live)
        assert {"trades", "quotes", "corporate_actions"} <= logs("COIN")

    def test_it_is_followed_again_when_it_is_ordered_again(self, live):
        live.order("COIN", Side.BUY, 1, **RESTING)
        orders_cancel(account=live.account, by="test")
        for _ in range(2):
            self.print(live)
        assert not logs("COIN")
        self.trade(live, Side.BUY)
        assert [position.symbol for position in live.state.positions.values()] == ["COIN"]
        live.check()

    def test_not_while_an_account_has_changed_that_the_engine_has_not_read(self, live):
        live.order("COIN", Side.BUY, 1, **RESTING)
        assert not live.engine._accounts.let_go([("trades", "COIN"), ("quotes", "COIN")])
        assert {"trades", "quotes"} <= logs("COIN")


class TestAccountsAreLeftAlone:
    @pytest.fixture
    def others(self, desk: TradingDesk) -> list[str]:
        names = [f"A{number}" for number in range(20)]
        for name in names:
            account_create(name=name, kind=AccountKind.CASH, currency="USD", by="test", config=RiskConfig())
        trade(desk, 1, Side.BUY)
        desk.run()
        return names

    def test_time_passes_for_those_that_changed(self, desk, others, monkeypatch):
        looked: list[str] = []
        due = Floor._due

        def spied(floor: Floor, state: AccountState, now_ns: int, has_rows: bool) -> list[Decision]:
            looked.append(state.id)
            return due(floor, state, now_ns, has_rows)

        monkeypatch.setattr(Floor, "_due", spied)
        trade(desk, 2, Side.BUY)
        assert set(looked) == {"ACC"}
        # At midnight it passes for all.
        prints("COIN", (11 * 3_600, 100.0, 50))
        desk.run()
        assert set(looked) == {"ACC", *others}

    def test_a_row_is_for_those_that_need_its_symbol(self, desk, others):
        found = desk.engine._accounts
        assert (found.of_symbol("COIN"), found.of_symbol("OTHER")) == (["ACC"], [])
        trade(desk, 2, Side.SELL)
        desk.run()
        assert (found.of_symbol("COIN"), list(found.symbols)) == ([], [])


@pytest.mark.django_db(transaction=True)
class TestStates:
    def test_only_an_accounts_newest_state_is_kept(self, desk):
        """Before, each of 40 events kept a state of up to 40 orders: 4 MB."""
        desk.order("COIN", Side.BUY, 1, **RESTING)
        Lease.objects.update(leased_until_ns=time.time_ns() + 10**12)
        tracemalloc.start()
        try:
            for _ in range(40):
                desk.order("COIN", Side.BUY, 1, **RESTING)
                assert state_of(desk.account) is state_of(desk.account)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(desk.state.orders) == 41
        assert grown < 2_000_000

    def test_all_of_them_are_bounded(self, desk):
        """100 states of 200 orders: 51 MB."""
        order = desk.find(desk.order("COIN", Side.BUY, 1, **RESTING))
        for number in range(100):
            orders = {str(each): order for each in range(200)}
            journal._keep(1_000 + number, AccountState(id="A", number=1, orders=orders))
        assert 40 < len(journal._states) < 80
        assert journal._states.currsize <= journal.STATES_BYTES

    def test_few_of_them_are_stored(self, desk):
        for _ in range(60):
            note(desk)
        snapshots = StateSnapshot.objects.filter(account__name="ACC")
        assert [each.number // SNAPSHOT_EVENTS for each in snapshots] == [1]
        journal._states.clear()
        desk.check()

    def test_a_decision_that_fails_changes_none(self, desk):
        before = state_of(desk.account)
        data = encoded_state(before)
        for act in (account_act, rolled_back):
            with suppress(ZeroDivisionError):
                act("ACC", stopping_badly, at_ns=BEGIN_NS)
            assert (state_of(desk.account), encoded_state(before)) == (before, data)

    def test_a_state_of_what_was_taken_back_is_forgotten(self, desk):
        """As if the database had been restored."""
        account = desk.account
        expected = encoded_state(state_of(account))
        note(desk)
        EventRow.objects.filter(number__gt=account.number).delete()
        account.save()
        assert encoded_state(state_of(account)) == expected


def stopping_badly(state: AccountState, record: Record) -> None:
    record(StopRequested(by="test"))
    raise ZeroDivisionError


def rolled_back(name: str, decide: Decision, *, at_ns: int) -> None:
    """Have a decision written in a transaction in which another one fails."""
    with transaction.atomic():
        record_events(name, StopRequested(by="test"), at_ns=at_ns)
        assert state_of(Account.objects.get(name=name)).status == "stopping"
        account_act(name, decide, at_ns=at_ns)


def note(desk: TradingDesk) -> None:
    """Record an event that asks for nothing."""
    record_events(desk.name, desk.state.preferences, at_ns=BEGIN_NS)


def test_an_idle_engine_reads_no_account_each_round(desk: TradingDesk):
    for number in range(20):
        account_create(
            name=f"A{number}", kind=AccountKind.CASH, currency="USD", by="test", config=RiskConfig()
        )
    desk.run()
    desk.engine._upkeep_at = float("inf")
    # It reads them once more after events of its own.
    desk.engine.round()
    with CaptureQueriesContext(connection) as queries:
        desk.engine.round()
    assert not [each["sql"] for each in queries if "trading_account" in each["sql"]]
    record_events("A3", StopRequested(by="test", reason="test"), at_ns=desk.engine._clock.now_ns)
    desk.engine.round()
    assert desk.engine._accounts.states["A3"].number == state_of(Account.objects.get(name="A3")).number
