"""No decision depends on the unit of prices: the same market in other units has the same trades and figures."""

import random
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store import open_store
from store.bars.bars import Bars
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS
from tests.trading.strategies.past import batch_of, inputs_of, stored_bars
from trading.documents.backtests import BacktestDocument
from trading.strategies.catalogue import SHIPPED
from trading.strategies.crossover import Crossover, CrossoverParameters, CrossoverState, _Means
from trading.strategies.outcome import outcome_of
from trading.strategies.strategy import BarBlock

SYMBOL, MINUTES = "C-USD", 400
# Powers of ten, as texts of prices have them.
SCALES = [-9, -6, -2, 3, 6]
_PRICES = ("open", "high", "low", "close")
_PARAMETERS = {"crossover": {"fast": 3, "slow": 8}, "breakout": {"entry": 5, "exit": 3}}


def result(path: Path, strategy: str, power: int) -> BacktestDocument:
    """Return what a backtest says of a random market whose prices are multiplied by a power of ten."""
    path.mkdir()
    store, scale = CsvStore(path), Decimal(10) ** power
    tick = float(Decimal("0.01") * scale)
    store.set_instrument(
        Instrument(SYMBOL, instrument_class=CRYPTO, currency="USD", tick_size=tick, settle=0.0)
    )
    rows = stored_bars(random.Random(5), MINUTES)
    for row in rows:
        row |= {name: float(Decimal(repr(row[name])) * scale) for name in _PRICES}
        row["volume"] = float(Decimal(1_000_000) / scale)
    store.append(Append(BARS, SYMBOL, batch_of(BARS, rows), "test"))
    inputs = inputs_of(strategy, SYMBOL, minutes=MINUTES, parameters=_PARAMETERS[strategy])
    return outcome_of(inputs, open_store(path)).document


@pytest.mark.parametrize("strategy", SHIPPED)
def test_a_backtest_is_the_same_in_all_units_of_a_price(tmp_path: Path, strategy: str):
    plain = result(tmp_path / "0", strategy, 0)
    assert len(plain.trades) > 10
    for power in SCALES:
        found = result(tmp_path / str(power), strategy, power)
        scale = 10.0**power
        for here, there in zip(found.trades, plain.trades, strict=True):
            times = ("opened_at", "closed_at", "direction")
            assert [getattr(here, name) for name in times] == [getattr(there, name) for name in times]
            # A quantity is of whole lots.
            assert here.quantity * scale == pytest.approx(there.quantity, rel=1e-3)
            assert here.entry_price == pytest.approx(there.entry_price * scale, rel=1e-9)
            assert here.exit_price == pytest.approx(there.exit_price * scale, rel=1e-9)
        figures, others = found.performance, plain.performance
        for name in ("pnl", "fees", "return_pct", "max_dd", "win_rate", "profit_factor", "total_r"):
            here, there = getattr(figures, name), getattr(others, name)
            assert here == pytest.approx(there, rel=2e-3, abs=1e-2), (power, name)


@pytest.mark.parametrize("seed", range(20))
def test_means_cross_at_the_same_closes_in_all_units(seed: int):
    """Also at equal means, and in units in which a close has no exact float."""
    chance = random.Random(seed)
    closes = [float(chance.randrange(98, 103)) for _ in range(200)]
    exact = [
        sum(closes[end - 2 : end]) * 4 > sum(closes[end - 4 : end]) * 2 for end in range(4, len(closes) + 1)
    ]
    for scale in (1.0, 1e-9, 1e-6, 0.1, 3.7, 1e6, 1e12):
        means = _Means()
        found = [means.add(close * scale, 2, 4) for close in closes]
        assert found == [None, None, None, *exact], scale


def test_a_price_that_rises_a_million_times_keeps_its_digits():
    means, closes = _Means(), [0.05, 60_000.01, 60_000.02, 60_000.03, 60_000.02, 60_000.01, 60_000.02]
    found = [means.add(close, 1, 3) for close in closes]
    cents = [round(close * 100) for close in closes]
    assert found[2:] == [cents[end - 1] * 3 > sum(cents[end - 3 : end]) for end in range(3, len(cents) + 1)]


class _Broker:
    """Notes what it is asked by a strategy that has no position."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def position(self, symbol: str) -> Decimal:
        self.asked.append(symbol)
        return Decimal(0)

    def has_orders(self, symbol: str) -> bool:
        return False

    def order(self, *given: Any, **terms: Any) -> None:
        self.asked.append(given)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("spread", [0.1, 1e12], ids=["exact", "too wide for 64 bits"])
def test_bars_that_are_taken_at_once_leave_the_same_means(scale: float, spread: float):
    """Those by which a crossover might act are shown one by one, as all are live."""
    chance, starts_ns = random.Random(f"{scale} {spread}"), np.arange(500) * MINUTE_NS
    for fast, slow in ((1, 2), (3, 8), (20, 150)):
        parameters = CrossoverParameters(fast=fast, slow=slow, quantity=Decimal(1))
        brokers: list[Any] = [_Broker(), _Broker()]
        one_by_one, at_once = (Crossover(each, parameters, CrossoverState()) for each in brokers)
        for _ in range(3):
            closes = np.array([round(chance.gauss(100, spread), 2) * scale for _ in starts_ns])
            columns = {field.name: closes for field in fields(Bars)}
            block = BarBlock(SYMBOL, Bars(**columns | {"time_ns": starts_ns}), starts_ns, starts_ns)
            shown, place = [bar for _, bar in block], 0
            for bar in shown:
                one_by_one.on_bar(bar)
            while place < len(shown):
                place += at_once.take_bars(block, place, min(place + chance.randrange(1, 200), len(shown)))
                for bar in shown[place : place + 1]:
                    at_once.on_bar(bar)
                place += 1
            assert at_once.state == one_by_one.state
            assert brokers[0].asked == brokers[1].asked
        assert brokers[0].asked


def test_a_close_of_nothing_has_no_unit():
    means = _Means()
    assert [means.add(close, 1, 2) for close in (0.0, 0.0, 1e-9, 0.0)] == [None, False, True, False]
