"""What the engine holds and does does not grow with symbols and accounts that nobody uses any more."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from msgspec.structs import replace

from store.datasets import TRADES
from store.timestamps import DAY_NS
from tests.trading.desks import BEGIN_NS, FREE, TradingDesk, coin, prints, stored
from tests.trading.stored import correct
from trades.stores import market_store
from trading import journal
from trading.core.account import AccountState, encoded_state
from trading.core.acts import Act
from trading.core.configuration import RiskConfig
from trading.core.events import StopRequested
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import AccountKind, Side
from trading.engine.clock import WallClock
from trading.engine.engine import Engine
from trading.engine.floor import Floor
from trading.journal import SNAPSHOT_EVENTS, Journal, open_journal, state_of, states_forget
from trading.lease import lease_end
from trading.models import EngineLease, EventRow, ExecutionRow, LogProgress, StateSnapshot
from trading.services.accounts import account_create
from trading.services.control import risk_configure
from trading.services.orders import orders_cancel
from trading.strategies.live import LiveStrategies

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
        desk.engine = Engine(LiveStrategies, WallClock())
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

    def test_not_of_one_that_is_held(self, live):
        self.trade(live, Side.BUY)
        self.print(live)
        assert {"trades", "quotes", "corporate_actions"} <= logs("COIN")

    def test_prints_that_filled_may_be_corrected_for_three_days(self, live):
        bought_ns = self.trade(live, Side.BUY)
        self.trade(live, Side.SELL)
        self.print(live)
        assert (live.state.positions, logs("COIN")) == ({}, {"trades"})
        correct(market_store(), {"timestamp": bought_ns, "price": 100.0, "volume": 50.0}, symbol="COIN")
        live.run()
        assert sorted(ExecutionRow.objects.values_list("state", flat=True)) == ["open", "questioned"]
        ExecutionRow.objects.update(at_ns=F("at_ns") - 3 * DAY_NS)
        self.print(live)
        assert not logs("COIN")

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
        assert not live.engine._desk.let_go([("trades", "COIN"), ("quotes", "COIN")])
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

        def spied(floor: Floor, state: AccountState, now_ns: int, has_rows: bool) -> list[Act]:
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
        found = desk.engine._desk
        assert (found.of_symbol("COIN"), found.of_symbol("OTHER")) == (["ACC"], [])
        trade(desk, 2, Side.SELL)
        desk.run()
        assert (found.of_symbol("COIN"), list(found.symbols)) == ([], [])


@pytest.mark.django_db(transaction=True)
class TestStates:
    def test_only_an_accounts_newest_state_is_kept(self, desk):
        """Before, each of 40 events kept a state of up to 40 orders: 4 MB."""
        desk.order("COIN", Side.BUY, 1, **RESTING)
        EngineLease.objects.update(leased_until_ns=time.time_ns() + 10**12)
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
        states_forget()
        desk.check()

    def test_the_last_one_of_a_thousand_events_stays(self, desk, monkeypatch):
        monkeypatch.setattr(journal, "SNAPSHOT_EVENTS", 2)
        monkeypatch.setattr(journal, "_KEPT_SNAPSHOT_EVENTS", 10)
        for _ in range(20):
            note(desk)
        numbers = list(StateSnapshot.objects.order_by("number").values_list("number", flat=True))
        assert numbers == [8, 18, desk.account.number // 2 * 2]

    def test_a_decision_that_fails_changes_none(self, desk):
        before = state_of(desk.account)
        data = encoded_state(before)
        for block in (open_journal, rolled_back):
            with suppress(ZeroDivisionError), block("ACC") as account:
                account.record(StopRequested(by="test"), at_ns=BEGIN_NS)
                raise ZeroDivisionError
            assert (state_of(desk.account), encoded_state(before)) == (before, data)

    def test_a_state_of_what_was_taken_back_is_forgotten(self, desk):
        """As if the database had been restored."""
        account = desk.account
        expected = encoded_state(state_of(account))
        note(desk)
        EventRow.objects.filter(number__gt=account.number).delete()
        account.save()
        assert encoded_state(state_of(account)) == expected


@contextmanager
def rolled_back(name: str) -> Iterator[Journal]:
    """A journal that is closed in a transaction which fails later."""
    with transaction.atomic():
        with open_journal(name) as account:
            account.record(StopRequested(by="test"), at_ns=BEGIN_NS)
        with open_journal(name) as account:
            assert account.state.status == "stopping"
            yield account


def note(desk: TradingDesk) -> None:
    """Record an event that asks for nothing."""
    with open_journal(desk.name) as account:
        account.record(account.state.preferences, at_ns=BEGIN_NS)
