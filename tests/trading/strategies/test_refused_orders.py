"""Orders that risk refuses are recorded with the check that failed, in backtests and in the engine."""

import random
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from store.timestamps import MINUTE_NS
from tests.trading.strategies.past import START_NS, inputs_of, random_market
from tests.trading.strategies.test_live import SYMBOLS, desk_with, market, store_trades
from trading.core.configuration import RiskConfig
from trading.core.events import OrderRejected, decoded
from trading.models import EventRow, OrderRow
from trading.strategies.catalogue import SHIPPED
from trading.strategies.outcome import outcome_of
from trading.strategies.strategy import Bar, Strategy

__all__ = ["market"]
QUANTITIES = ("1000000", "0.4", "0", "-5", "1e-12")


class Greedy(Strategy):
    """Buys too much at its first bar, and too little at its next bars."""

    name = "greedy"
    bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars <= len(QUANTITIES):
            self.buy(bar.symbol, Decimal(QUANTITIES[self.bars - 1]))


@pytest.fixture(autouse=True)
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, Greedy.name, Greedy)


def test_a_backtest_tells_what_risk_refused(tmp_path: Path):
    inputs = msgspec.structs.replace(
        inputs_of(Greedy.name, "A-USD"), config=RiskConfig(), terms={"A-USD": {"lot": Decimal(1)}}
    )
    document = outcome_of(inputs, random_market(tmp_path / "data", random.Random(1))).document
    signals = document.signals
    assert (signals.accepted, signals.refused) == (0, 5)
    assert signals.refused_by == {"symbol_exposure": 1, "lot": 4}
    assert [each.quantity for each in signals.rows] == [1_000_000, 0.4, 0, -5, 0]
    assert "lot" in str(signals.rows[1].refused)


@pytest.mark.django_db(transaction=True)
def test_the_engine_records_what_risk_refused(market: Path):
    desk = desk_with(Greedy.name, {})
    rows: list[dict[str, object]] = [
        {"timestamp": START_NS + each * MINUTE_NS, "price": 100.0, "volume": 1.0} for each in range(4)
    ]
    store_trades({SYMBOLS[0]: rows})
    desk.run()
    event = decoded(EventRow.objects.get(name="order_rejected").body)
    assert isinstance(event, OrderRejected)
    assert "symbol_exposure" in [each.name for each in event.checks if not each.is_passed]
    assert OrderRow.objects.filter(is_signal=True, state="rejected").count() == 1
    desk.check()
