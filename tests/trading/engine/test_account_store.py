"""What a store of accounts does if a decision fails or is late, and what it imports."""

import subprocess
import sys
from decimal import Decimal

import pytest

from tests.trading.desks import BEGIN_NS, TradingDesk
from tests.trading.recorded import record_events
from trading.account_store import DatabaseStore
from trading.core.account import AccountState, encoded_state
from trading.core.account_store import AccountStore
from trading.core.configuration import Zone
from trading.core.events import Marked
from trading.core.matching import Record


def mark(equity: int) -> Marked:
    return Marked(equity=Decimal(equity), marks=(), zone=Zone.NORMAL)


@pytest.mark.django_db
def test_a_decision_is_made_again_if_another_process_was_first(default_store) -> None:
    desk, seen = TradingDesk(), list[Decimal]()

    def decide(state: AccountState, record: Record) -> None:
        if not seen:
            record_events(desk.name, mark(7), at_ns=BEGIN_NS)
        seen.append(state.equity)
        record(mark(int(state.equity) + 1))

    accounts = desk.engine._accounts
    (recorded,) = accounts.act(desk.name, decide, at_ns=BEGIN_NS)
    assert seen == [100_000, 7]
    assert recorded.number == desk.account.number
    assert [state.equity for state in (accounts.states[desk.name], desk.state)] == [8, 8]
    desk.check()


def half_done(state: AccountState, record: Record) -> None:
    record(mark(7))
    raise ZeroDivisionError


@pytest.mark.django_db
def test_a_state_is_read_again_if_its_decision_fails(default_store) -> None:
    desk, store = TradingDesk(), DatabaseStore()
    before = encoded_state(desk.state)
    with pytest.raises(ZeroDivisionError):
        store.act(desk.name, half_done, at_ns=BEGIN_NS)
    # The engine goes on with other accounts.
    assert desk.engine._accounts.act(desk.name, half_done, at_ns=BEGIN_NS) == []
    assert desk.engine._accounts.failed == {desk.name}
    assert encoded_state(desk.engine._accounts.states[desk.name]) == before
    (recorded,) = store.act(desk.name, lambda _, record: record(mark(8)), at_ns=BEGIN_NS)
    assert recorded.number == desk.account.number
    assert desk.state.equity == 8
    desk.check()


def test_a_state_in_memory_is_forgotten_if_its_decision_fails() -> None:
    store = AccountStore()
    store.act("ACC", lambda _, record: record(mark(7)), at_ns=BEGIN_NS)
    with pytest.raises(ZeroDivisionError):
        store.act("ACC", half_done, at_ns=BEGIN_NS)
    assert store.states == {}


def test_the_engine_in_memory_and_backtests_import_no_django() -> None:
    program = (
        "import sys, trading.core.account_store, trading.market.views\n"
        "import trading.strategies.backtest, trading.strategies.outcome\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('django', 'rest_framework')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
