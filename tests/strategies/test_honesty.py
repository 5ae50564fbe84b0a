"""Strategies that decide by what was known only later are found at the right decision; honest ones are not."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import MINUTE_NS, SECOND_NS
from strategies import catalogue
from strategies.honesty import honesty_of
from strategies.strategy import Bar, Strategy
from tests.strategies.past import START_NS, batch_of, inputs_of

MINUTES = 120
# The minute whose late print tells, and what was printed too late in it.
TOLD = 60


class Told(NamedTuple):
    """A late print in a minute whose trades are at 100. price, volume: its own."""

    price: float
    volume: float


def market(path: Path, told: Told | None) -> Reader:
    """A trade at 100 each ten seconds, a little off in each minute; in one minute a print that came ten minutes late."""
    path.mkdir()
    store, chance = CsvStore(path), random.Random(7)
    store.set_instrument(Instrument(symbol="X-USD", instrument_class=CRYPTO, currency="USD", tick_size=0.01))
    rows = [
        {
            "timestamp": at_ns,
            "price": 100 + chance.randrange(-5, 6) / 100,
            "volume": 1_000.0,
            "received_at": at_ns,
        }
        for at_ns in range(START_NS, START_NS + MINUTES * MINUTE_NS, 10 * SECOND_NS)
    ]
    if told is not None:
        at_ns = START_NS + TOLD * MINUTE_NS + 55 * SECOND_NS
        received_ns = at_ns + 10 * MINUTE_NS
        rows.append(
            {"timestamp": at_ns, "price": told.price, "volume": told.volume, "received_at": received_ns}
        )
    store.append(Append(TRADES, "X-USD", batch_of(TRADES, rows), "test"))
    return open_store(path)


Rule = Callable[[Bar], bool]
# Each buys when its rule holds. What is printed late decides them in the minute TOLD.
LEAKS: dict[str, tuple[Told, Rule]] = {
    "a higher close": (Told(101, 1), lambda bar: bar.close > 100.5),
    "a lower close": (Told(99, 1), lambda bar: bar.close < 99.5),
    "a higher high": (Told(102, 1), lambda bar: bar.high > 101),
    "a lower low": (Told(98, 1), lambda bar: bar.low < 99),
    "more volume": (Told(100, 50_000), lambda bar: bar.volume > 10_000),
    "a little more volume": (Told(100, 1), lambda bar: bar.volume == 6_001),
    "a wider range": (Told(103, 1), lambda bar: bar.high - bar.low > 1),
    "a rising bar": (Told(101, 1), lambda bar: bar.close - bar.open > 0.5),
    "a falling bar": (Told(99, 1), lambda bar: bar.open - bar.close > 0.5),
    "a close at the high": (Told(101, 1), lambda bar: bar.close == bar.high and bar.close > 100.2),
}
HONEST: dict[str, Rule] = {
    "an open": lambda bar: bar.open > 100.04,
    "a time": lambda bar: bar.start_ns // MINUTE_NS % 7 == 0,
    "always": lambda _: True,
}


def ruled(rule: Rule) -> type[Strategy]:
    class Ruled(Strategy):
        name = "ruled"

        def on_bar(self, bar: Bar) -> None:
            if rule(bar) and not self.broker.position(bar.symbol) and not self.broker.has_orders(bar.symbol):
                self.buy(bar.symbol, Decimal(1))
            elif self.broker.position(bar.symbol):
                self.broker.close(bar.symbol)

    return Ruled


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def find(rule: Rule, told: Told | None):
        monkeypatch.setitem(catalogue.SHIPPED, "ruled", ruled(rule))
        return honesty_of(inputs_of("ruled", "X-USD", minutes=MINUTES), market(tmp_path / "data", told))

    return find


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_at_its_decision(run, leak: str):
    told, rule = LEAKS[leak]
    found = run(rule, told)
    assert found.first is not None
    now, _ = found.first
    assert now.at_ns == START_NS + (TOLD + 1) * MINUTE_NS + 2 * SECOND_NS
    assert found.unknowable == found.equity_now - found.equity_then


@pytest.mark.parametrize("leak", LEAKS)
def test_a_rule_without_the_late_print_is_clean(run, leak: str):
    assert run(LEAKS[leak][1], None).first is None


@pytest.mark.parametrize("rule", HONEST)
def test_a_rule_that_needs_nothing_late_is_clean(run, rule: str):
    found = run(HONEST[rule], Told(100, 5))
    assert found.first is None
    assert found.same > 5
