"""What was known before a backtest, or before its position, counts in it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import CORPORATE_ACTIONS, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS
from tests.trading.strategies.past import START_NS, batch_of, inputs_of
from trading.core.events import SplitApplied
from trading.strategies.backtest import Backtest
from trading.strategies.catalogue import SHIPPED
from trading.strategies.outcome import outcome_of
from trading.strategies.strategy import Bar, Strategy

SYMBOL = "A-USD"
HOUR_NS = 60 * MINUTE_NS


class Once(Strategy):
    """Buys at its first bar in the period, and holds."""

    name = "once"
    has_bought = False

    def on_bar(self, bar: Bar) -> None:
        if not self.has_bought and not self.broker.is_history:
            self.has_bought = True
            self.buy(bar.symbol, Decimal(10))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(SHIPPED, Once.name, Once)
    path = tmp_path / "data"
    path.mkdir()
    CsvStore(path).set_instrument(
        Instrument(SYMBOL, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=0.0)
    )
    return path


def append_trades(path: Path, rows: list[dict[str, Any]]) -> None:
    CsvStore(path).append(Append(TRADES, SYMBOL, batch_of(TRADES, rows), "test"))


@pytest.mark.parametrize("begin_ns", [START_NS, START_NS + 12 * HOUR_NS], ids=["in-the-period", "before-it"])
def test_a_split_that_was_announced_before_the_position_takes_effect(path: Path, begin_ns: int):
    append_trades(
        path,
        [
            {
                "timestamp": START_NS + minute * MINUTE_NS,
                "price": 100.0 if minute < 1_440 else 50.0,
                "volume": 500.0,
            }
            for minute in range(0, 2_000, 5)
        ],
    )
    split = {"timestamp": START_NS + DAY_NS, "kind": "split", "ratio": 2.0}
    announced = CsvStore(path, clock=lambda: START_NS + HOUR_NS)
    announced.append(Append(CORPORATE_ACTIONS, SYMBOL, batch_of(CORPORATE_ACTIONS, [split]), "test"))
    inputs = msgspec.structs.replace(inputs_of(Once.name, SYMBOL, minutes=2_000), start_ns=begin_ns)
    events: list[Any] = []
    state = Backtest(inputs, open_store(path), lambda each: events.append(each.event)).run()
    assert [each.symbol for each in events if isinstance(each, SplitApplied)] == [SYMBOL]
    assert [each.quantity for each in state.positions.values()] == [20]
    assert state.equity > 99_990


def test_orders_are_checked_at_a_price_from_before_the_period(path: Path):
    """A print without volume is in a bar, and is no price of the market."""
    append_trades(path, [{"timestamp": START_NS + HOUR_NS, "price": 100.0, "volume": 5.0}])
    begin_ns = START_NS + 2 * HOUR_NS
    append_trades(
        path, [{"timestamp": begin_ns + each * MINUTE_NS, "price": 101.0, "volume": 0.0} for each in range(5)]
    )
    inputs = msgspec.structs.replace(inputs_of(Once.name, SYMBOL, minutes=180), start_ns=begin_ns)
    signals = outcome_of(inputs, open_store(path)).document.signals
    assert signals.refused_by.get("price", 0) == 0
    assert [each.price for each in signals.rows] == [100.0]
