"""What the engine holds and does does not grow with symbols and accounts that nobody uses any more."""

import time
import tracemalloc
from typing import Any

import pytest

from tests.trading.desks import TradingDesk, at_ns, coin, prints
from tests.trading.stored import correct
from trades.stores import market_store
from trading import journal
from trading.core import due
from trading.core.configuration import RiskConfig
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import AccountKind, Side
from trading.journal import state_of
from trading.models import Account, EngineLease, ExecutionRow, LogProgress
from trading.services.accounts import account_create
from trading.services.orders import orders_cancel

pytestmark = pytest.mark.django_db
RESTING = {"type": OrderType.LIMIT, "limit_price": "1", "time_in_force": TimeInForce.GTC}
DAY = 86_400


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


def let_go(desk: TradingDesk) -> None:
    """The engine looks at its logs once a second."""
    desk.run()
    desk.run()


class TestLogsAreLetGo:
    def test_of_a_symbol_that_was_ordered_once(self, desk):
        desk.order("COIN", Side.BUY, 1, **RESTING)
        let_go(desk)
        assert {"trades", "quotes", "corporate_actions"} <= logs("COIN")
        orders_cancel(account=desk.account, by="test")
        prints("COIN", (1, 100.0, 50))
        let_go(desk)
        assert not desk.state.orders
        assert not logs("COIN")

    def test_not_of_one_that_is_held(self, desk):
        trade(desk, 1, Side.BUY)
        let_go(desk)
        assert {"trades", "quotes", "corporate_actions"} <= logs("COIN")

    def test_prints_that_filled_may_be_corrected_for_three_days(self, desk):
        trade(desk, 1, Side.BUY)
        trade(desk, 2, Side.SELL)
        let_go(desk)
        assert logs("COIN") == {"trades"}
        correct(market_store(), {"timestamp": at_ns(1), "price": 100.0, "volume": 50.0}, symbol="COIN")
        desk.run()
        assert sorted(ExecutionRow.objects.values_list("state", flat=True)) == ["open", "questioned"]
        prints("COIN", (3 * DAY + 3, 100.0, 50))
        let_go(desk)
        assert not logs("COIN")

    def test_it_is_followed_again_when_it_is_ordered_again(self, desk):
        desk.order("COIN", Side.BUY, 1, **RESTING)
        orders_cancel(account=desk.account, by="test")
        prints("COIN", (1, 100.0, 50))
        let_go(desk)
        assert not logs("COIN")
        trade(desk, 10, Side.BUY)
        assert [position.symbol for position in desk.state.positions.values()] == ["COIN"]
        desk.check()

    def test_not_while_an_account_has_changed_that_the_engine_has_not_read(self, desk):
        desk.order("COIN", Side.BUY, 1, **RESTING)
        assert not desk.engine._desk.let_go([("trades", "COIN"), ("quotes", "COIN")])
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
        time_passed = due.time_passed

        def spied(state: Any, *rest: Any) -> None:
            looked.append(state.id)
            time_passed(state, *rest)

        monkeypatch.setattr(due, "time_passed", spied)
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
        """100 texts of 100 KB, with their objects 54 MB."""
        text = desk.account.state + " " * 100_000
        for number in range(100):
            state_of(Account(pk=1_000 + number, number=number, state=text + " " * number))
        assert 50 < len(journal._states) < 100
        assert journal._states.currsize <= journal.STATES_BYTES
