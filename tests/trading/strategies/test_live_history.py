"""What a strategy in the engine is shown from before its assignment takes turns with the other work of the engine."""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest

from store.timestamps import MINUTE_NS, SECOND_NS
from tests.trading.strategies.past import START_NS
from tests.trading.strategies.test_live import SYMBOLS, desk_with, market, store_trades
from trading.engine.clock import WallClock
from trading.engine.engine import Engine
from trading.models import EngineLease, EventRow
from trading.strategies import live
from trading.strategies.catalogue import SHIPPED
from trading.strategies.live import LiveStrategies
from trading.strategies.models import StrategyCheckpoint
from trading.strategies.strategy import Bar, Strategy, StrategyParameters, StrategyState

__all__ = ["market"]
pytestmark = pytest.mark.django_db(transaction=True)
BARS = 20


class PatientParameters(StrategyParameters, frozen=True):
    """A history of some bars."""

    @property
    def bars_before(self) -> int:
        return BARS


class Patient(Strategy):
    """Notes whether each bar is history, and buys at each."""

    name = "patient"
    Parameters = PatientParameters
    seen: ClassVar[list[bool]] = []

    def on_bar(self, bar: Bar) -> None:
        self.seen.append(self.broker.is_history)
        self.buy(bar.symbol, Decimal(1))


class UnsavedState(StrategyState):
    """What cannot be stored."""

    thing: object = None


class Unsaved(Patient):
    """Remembers what has no JSON."""

    name = "unsaved"
    State = UnsavedState
    state: UnsavedState

    def on_bar(self, bar: Bar) -> None:
        self.state.thing = object()


def minutes_before(count: int) -> dict[str, list[dict[str, object]]]:
    """A trade in each of the minutes before the start, for each symbol."""
    rows: list[dict[str, object]] = [
        {"timestamp": START_NS - each * MINUTE_NS + SECOND_NS, "price": 100.0, "volume": 1.0}
        for each in range(count, 0, -1)
    ]
    return dict.fromkeys(SYMBOLS, rows)


def test_history_is_shown_in_parts_between_which_others_have_their_turn(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHIPPED, Patient.name, Patient)
    monkeypatch.setattr(Patient, "seen", [])
    # Each part is over after one bar.
    monkeypatch.setattr(live, "_HISTORY_SECONDS", -1)
    # The newest bar is due after the assignment.
    store_trades(minutes_before(BARS + 1))
    desk = desk_with(Patient.name, {})
    now_ns = START_NS
    EngineLease.objects.update(leased_until_ns=0)
    desk.engine = Engine(LiveStrategies, WallClock(START_NS, clock=lambda: now_ns))
    shown = []
    for _ in range(2 * BARS + 2):
        now_ns += WallClock.turn_ns + 1
        before = len(Patient.seen)
        desk.engine.round()
        shown.append(len(Patient.seen) - before)
        # An engine that begins again in the middle shows all of it again.
        assert not StrategyCheckpoint.objects.exists() or len(Patient.seen) == 2 * BARS
    # A round lets time pass at its beginning, and at its end.
    assert max(shown) <= 2
    assert Patient.seen == [True] * 2 * BARS
    assert not EventRow.objects.filter(name__in=("order_accepted", "order_rejected")).exists()
    for symbol in SYMBOLS:
        store_trades({symbol: [{"timestamp": START_NS, "price": 100.0, "volume": 1.0}]})
    desk.run()
    assert StrategyCheckpoint.objects.count() == 1


def test_a_state_that_cannot_be_stored_ends_the_strategy_and_not_the_engine(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHIPPED, Unsaved.name, Unsaved)
    desk = desk_with(Unsaved.name, {})
    for minutes in (range(3), range(3, 6)):
        rows: list[dict[str, object]] = [
            {"timestamp": START_NS + each * MINUTE_NS, "price": 100.0, "volume": 1.0} for each in minutes
        ]
        store_trades(dict.fromkeys(SYMBOLS, rows))
        desk.run()
    assert desk.state.assignment is None
    assert "the strategy unsaved failed: TypeError" in EventRow.objects.get(name="alert").body
    desk.check()
