"""Orders that risk refuses are recorded with the check that failed, in backtests and in the engine."""

import random
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from store.timestamps import SECOND_NS
from tests.trading.strategies.past import inputs_of, random_market
from tests.trading.strategies.test_live import Site, market
from trading.core.configuration import RiskConfig
from trading.core.events import OrderRejected, decoded
from trading.core.terms import TRADABLE
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
        inputs_of(Greedy.name, "A-USD"),
        config=RiskConfig(),
        classes={"crypto": replace(TRADABLE["crypto"], lot=Decimal(1))},
    )
    document = outcome_of(inputs, random_market(tmp_path / "data", random.Random(1))).document
    signals = document.signals
    assert (signals.accepted, signals.refused) == (0, 5)
    assert signals.refused_by == {"symbol_exposure": 1, "lot": 4}
    assert [each.quantity for each in signals.rows] == [1_000_000, 0.4, 0, -5, 0]
    assert "lot" in str(signals.rows[1].refused)


@pytest.mark.django_db(transaction=True)
def test_the_engine_records_what_risk_refused(market: Path):
    site = Site(market, Greedy.name)
    site.begin()
    for minute in range(3):
        site.trade(60 * minute + 30)
        site.desk.run()
        site.now_ns += 32 * SECOND_NS
        site.strategy.step()
    event = decoded(EventRow.objects.filter(name="order_rejected").earliest("number").body)
    assert isinstance(event, OrderRejected)
    assert "symbol_exposure" in [each.name for each in event.checks if not each.is_passed]
    assert OrderRow.objects.filter(is_signal=True, state="rejected").count() == 2
    site.desk.check()
