"""No decision depends on the unit of prices: the same market in other units has the same trades and figures."""

import random
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from tests.trading.strategies.past import batch_of, inputs_of, stored_bars
from trading.documents.figures import BacktestDocument
from trading.strategies.backtest import Backtest
from trading.strategies.catalogue import SHIPPED
from trading.strategies.crossover import Crossover, CrossoverParameters, CrossoverState
from trading.strategies.outcome import outcome_of
from trading.strategies.strategy import Bar, Broker

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


def signals_of(closes: list[float], fast: int, slow: int) -> list[int]:
    strategy = Crossover(cast("Broker", None), CrossoverParameters(fast=fast, slow=slow), CrossoverState())
    found: list[int] = strategy.signals(np.array(closes)).tolist()
    return found


def crossings(units: list[int], fast: int, slow: int) -> list[int]:
    """The signals by whole units."""
    is_above = [
        sum(units[end - fast : end]) * slow > sum(units[end - slow : end]) * fast
        for end in range(slow, len(units) + 1)
    ]
    changes = [int(after) - int(before) for before, after in pairwise(is_above)]
    return ([0] * slow + changes)[: len(units)]


@pytest.mark.parametrize("seed", range(20))
def test_means_cross_at_the_same_closes_in_all_units(seed: int):
    """Also at equal means, and in units in which a close has no exact float."""
    chance = random.Random(seed)
    units = [chance.randrange(98, 103) for _ in range(200)]
    for scale in (1.0, 1e-9, 1e-6, 0.1, 3.7, 1e6, 1e12):
        assert signals_of([unit * scale for unit in units], 2, 4) == crossings(units, 2, 4), scale


def test_a_price_that_rises_a_million_times_keeps_its_digits():
    closes = [0.05, 60_000.01, 60_000.02, 60_000.03, 60_000.02, 60_000.01, 60_000.02]
    assert signals_of(closes, 1, 3) == crossings([round(close * 100) for close in closes], 1, 3)


def test_closes_of_nothing_and_too_few_closes_have_no_signal():
    assert signals_of([0.0, 0.0, 0.0], 1, 2) == [0, 0, 0]
    assert signals_of([0.0, 0.0, 1e-9, 0.0], 1, 2) == [0, 0, 1, -1]
    assert signals_of([1.0, 2.0], 1, 5) == [0, 0]
    assert signals_of([], 1, 5) == []


def test_a_backtest_has_the_signals_of_all_closes_and_of_the_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A backtest computes them for blocks of bars, a live strategy for each bar by the last closes."""

    class Shown(Crossover):
        name = "shown"

        def on_bar(self, bar: Bar) -> None:
            shown.append((bar.start_ns, bar.signal))

    minutes, shown = 2_500, list[tuple[int, int]]()
    store = CsvStore(tmp_path)
    store.set_instrument(Instrument(SYMBOL, instrument_class=CRYPTO, currency="USD", settle=0.0))
    rows = stored_bars(random.Random(5), minutes)
    store.append(Append(BARS, SYMBOL, batch_of(BARS, rows), "test"))
    monkeypatch.setitem(SHIPPED, "shown", Shown)
    monkeypatch.setattr("trading.strategies.past_bars._BARS_AT_ONCE", 1)
    parameters = {"fast": 3, "slow": 8}
    reader = open_store(tmp_path)
    inputs = inputs_of("shown", SYMBOL, minutes=minutes, parameters=parameters)
    Backtest(inputs, reader, lambda _: None).run()
    signals = signals_of([row["close"] for row in rows], 3, 8)
    expected = [(row["timestamp"], each) for row, each in zip(rows, signals, strict=True) if each]
    assert shown == expected
    assert len(shown) > 100
    shown.clear()
    live = Backtest(inputs, reader, lambda _: None)
    for shown_ns, bar in live._past:
        live._host.show(shown_ns, bar)
    assert shown == expected
