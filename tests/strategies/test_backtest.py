"""A backtest passes over the rows that change nothing: its events are those of one that takes every row."""

import random
from pathlib import Path

import pytest

from store.reading import Reader
from strategies import backtest
from strategies.backtest import Backtest, BacktestInputs
from strategies.tape import EVERY_ROW
from tests.chance import SOAK
from tests.strategies.past import inputs_of, random_market
from trading.core.events import Executed, encoded

CASES = [
    ("crossover", ("A-USD",), {"fast": 3, "slow": 8}),
    ("crossover", ("A-USD", "B-USD", "C-USD"), {"fast": 2, "slow": 5}),
    ("breakout", ("B-USD",), {"entry": 5, "exit": 3, "risk": 1}),
    ("breakout", ("C-USD", "B-USD"), {"entry": 5, "exit": 3, "risk": 1}),
]


def events_of(inputs: BacktestInputs, reader: Reader) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    run = Backtest(inputs, reader, lambda _, each: events.append((each.at_ns, encoded(each.event))))
    run.run()
    return events


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} of {len(case[1])}")
def test_rows_that_change_nothing_are_passed_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, tuple[str, ...], dict[str, int]],
    seed: int,
):
    strategy, symbols, parameters = case
    reader = random_market(tmp_path / "data", random.Random(seed))
    inputs = inputs_of(strategy, *symbols, parameters=parameters)
    quick = events_of(inputs, reader)
    monkeypatch.setattr(backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ROW))
    assert events_of(inputs, reader) == quick
    assert sum(f'"{Executed.__struct_config__.tag}"' in event for _, event in quick) > 10
