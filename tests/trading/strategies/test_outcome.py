"""What the result of a backtest has, and what its page shows of it."""

import random
from pathlib import Path
from typing import Any

import pytest

from store.reading import Reader
from tests.trading.strategies.past import inputs_of, random_market
from trading.api.backtests import _drawn, _headline
from trading.strategies.outcome import BacktestOutcome, outcome_of


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return random_market(tmp_path / "data", random.Random(7), minutes=240)


def outcome(reader: Reader, minutes: int = 240, **more: Any) -> BacktestOutcome:
    inputs = inputs_of("crossover", "A-USD", "B-USD", minutes=minutes, parameters={"fast": 3, "slow": 8})
    return outcome_of(inputs, reader, **more)


def test_a_figure_that_reads_as_zero_has_no_sign():
    tiny = {
        "return_pct": -0.004,
        "max_dd": 0.004,
        "sharpe": -0.004,
        "trades": 1,
        "win_rate": None,
        "profit_factor": 0.0,
    }
    shown = [text for _, text in _headline(tiny)]
    assert shown == ["0.00 %", "0.00 %", "0.00", "1", "\N{EN DASH}", "0.00"]
    gains = [_headline(tiny | {"return_pct": each})[0][1] for each in (0.004, 0.01, -0.01)]
    assert gains == ["0.00 %", "+0.01 %", "\N{MINUS SIGN}0.01 %"]


def test_positions_that_are_open_at_the_end_are_told(reader: Reader):
    document = outcome(reader, minutes=200).document
    [position] = document.positions
    bought = {row.at: row for row in document.signals.rows if row.symbol == position.symbol}
    last = bought[max(bought)]
    assert position.direction == "LONG"
    assert last.side == "buy"
    assert 0 < position.quantity <= last.quantity
    assert position.opened_at is not None
    assert position.opened_at > last.at
    assert position.average_price == pytest.approx(last.price, rel=0.05)


def test_a_long_list_says_that_it_is_the_first_rows(reader: Reader):
    whole, cut = (outcome(reader, most_rows=each).document for each in (10_000, 5))
    assert cut.performance == whole.performance
    assert cut.trades == whole.trades[:5]
    count = whole.performance.trades
    assert count > 5
    drawn = _drawn(cut.as_json())
    assert (len(drawn["trades"]), drawn["trades_in_all"]) == (5, count)
    assert drawn["positions"] == [each.as_json() for each in cut.positions]
    assert (drawn["start"], drawn["end"]) == ("2025-01-06T00:00:00Z", "2025-01-06T04:00:00Z")


def test_the_curve_has_a_point_for_each_minute_in_which_something_is_held(reader: Reader):
    document = outcome(reader).document
    found, points = document.performance, {point.at for point in document.performance.drawdown_curve}
    minutes = {f"2025-01-06T{minute // 60:02}:{minute % 60:02}:02Z" for minute in range(240)}
    held = {each for each in minutes for row in document.trades if row.opened_at < each < row.closed_at}
    assert len(held) > 100
    # In some minutes no price changed.
    assert len(held & points) > 100
    marks = [point.high_water for point in found.drawdown_curve]
    assert marks == sorted(marks)
    assert max(point.drawdown_pct for point in found.drawdown_curve) == found.max_dd > 0
