"""The tick of a backtest's orders: by the prices that were known when each came."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.trading.strategies.past import START_NS, batch_of, inputs_of, stored_bars
from trading.core.events import Event, Executed, OrderAccepted
from trading.market.market import Market
from trading.strategies import catalogue
from trading.strategies.outcome import BacktestOutcome, outcome_of
from trading.strategies.strategy import Bar, Strategy

SYMBOL = "LOW-USD"


class Hourly(Strategy):
    """Buys at each hour, with a stop 5 % below, and sells at each half."""

    name = "hourly"

    def on_bar(self, bar: Bar) -> None:
        minute = bar.end_ns // MINUTE_NS % 60
        if minute == 0:
            self.buy(bar.symbol, Decimal(1_000), stop_loss=Decimal(str(bar.close)) * Decimal("0.95"))
        elif minute == 30:
            self.broker.close(bar.symbol)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(catalogue.SHIPPED, Hourly.name, Hourly)
    path = tmp_path / "data"
    path.mkdir()

    def run(dataset: Any, rows: list[dict[str, Any]]) -> tuple[BacktestOutcome, list[Event], Reader]:
        store = CsvStore(path)
        store.set_instrument(Instrument(SYMBOL, instrument_class=CRYPTO, currency="USD"))
        store.append(Append(dataset, SYMBOL, batch_of(dataset, rows), "test"))
        reader, events = open_store(path), list[Event]()
        outcome = outcome_of(
            inputs_of(Hourly.name, SYMBOL), reader, keep=lambda each: events.append(each.event)
        )
        return outcome, events, reader

    return run


def trades(prices: list[float], *, seconds: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": START_NS + number * seconds * SECOND_NS, "price": price, "volume": 1e6}
        for number, price in enumerate(prices)
    ]


def accepted(events: list[Event]) -> list[OrderAccepted]:
    return [event for event in events if isinstance(event, OrderAccepted) and event.leg_of is None]


def test_prices_that_come_later_have_no_say(run):
    """Two decimals for two hours, then four."""
    outcome, events, _ = run(TRADES, trades([0.43] * 720 + [0.4321] * 2_800, seconds=10))
    ticks = [
        (event.submitted_ns < START_NS + 120 * MINUTE_NS, event.terms.tick) for event in accepted(events)
    ]
    assert set(ticks) == {(True, Decimal("0.01")), (False, Decimal("0.0001"))}
    assert f"The tick of {SYMBOL} was 0.0001 to 0.01." in outcome.document.assumptions


@pytest.mark.parametrize("dataset", [TRADES, BARS], ids=["trades", "bars"])
def test_the_store_says_the_same_at_each_order(run, dataset):
    chance = random.Random(5)
    if dataset is TRADES:
        rows = trades(
            [round(0.43 + chance.random() / 100, chance.choice([2, 3, 4, 5])) for _ in range(3_600)],
            seconds=10,
        )
    else:
        rows = stored_bars(chance, 600)
        for row in rows:
            row |= {
                name: round(row[name] / 7, 2 + chance.choice([0, 0, 1]))
                for name in ("open", "high", "low", "close")
            }
    _, events, reader = run(dataset, rows)
    market = Market(reader.store)
    orders = accepted(events)
    assert len(orders) > 10
    for order in orders:
        assert market.order_terms(SYMBOL, now_ns=order.submitted_ns).tick == order.terms.tick


@pytest.mark.parametrize("scale", ["1e-3", "1e-6", "1e-9"])
def test_a_small_unit_of_the_price_changes_no_return(run, scale):
    """0.01 for all of them made +0.29 % of a coin's series -2.66 %, or no trade at all."""
    chance, price, prices = random.Random(11), 50.0, list[float]()
    for _ in range(3_600):
        price = round(price * (1 + chance.gauss(0, 0.001)), 2)
        prices.append(float(Decimal(str(price)) * Decimal(scale)))
    _, events, _ = run(TRADES, trades(prices, seconds=10))
    fills = [event for event in events if isinstance(event, Executed)]
    assert len(fills) > 10
    for fill in fills:
        # 2 basis points, and less than a tick of 0.01 * scale.
        most = fill.print.price * Decimal("0.0002") + Decimal("0.01") * Decimal(scale)  # type: ignore[union-attr]
        assert abs(fill.price - fill.print.price) <= most  # type: ignore[union-attr]
