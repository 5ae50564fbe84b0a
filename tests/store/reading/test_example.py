"""The backtest in `docs/examples/` runs as its page says, and trades what pandas says that it must."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from tests.store.builders import MINUTE, batch, trade
from tests.store.reading.stores import SYMBOLS
from tests.store.real_data import equity_trades, midnight_ns

pytestmark = pytest.mark.system

EXAMPLE = settings.BASE_DIR / "docs/examples/moving_average_backtest.py"
RATE = re.compile(r"^([0-9,]+) bars in ([0-9.]+) s: ([0-9,]+) bars per second$", re.MULTILINE)


def run_example(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The example as somebody runs it, from anywhere, without the project on the path."""
    return subprocess.run(
        [sys.executable, EXAMPLE, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def rated_bars(printed: str) -> int:
    """The number of bars in the line of the rate, which must be true to its own numbers."""
    found = RATE.search(printed)
    assert found, printed
    bars, seconds, rate = (float(text.replace(",", "")) for text in found.groups())
    assert rate == pytest.approx(bars / seconds, rel=0.05)
    return int(bars)


def test_it_runs_over_the_sample_and_prints_its_rate(sample_folder: Path, tmp_path: Path):
    done = run_example(sample_folder, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    reader = open_store(sample_folder)
    assert rated_bars(done.stdout) == sum(len(reader.bars(symbol)) for symbol in SYMBOLS)
    assert re.search(
        r"^[1-9][0-9]* trades of 3 symbols, profit -?[0-9,.]+ on 30,000.00$", done.stdout, re.MULTILINE
    )


def expected_account(prices: np.ndarray, fast: int, slow: int, cost: float) -> tuple[int, float]:
    """Trades and profit of one symbol whose bars have one price each, from sums over whole windows."""
    sums = np.concatenate(([0], np.cumsum(prices)))
    wanted = [
        n + 1 >= slow
        and (sums[n + 1] - sums[n + 1 - fast]) * slow > (sums[n + 1] - sums[n + 1 - slow]) * fast
        for n in range(len(prices))
    ]
    held = [False, *wanted[:-1]]  # a bar's close decides about the next bar
    changes = np.flatnonzero(np.diff([False, *held]))
    value = 10_000.0
    for number, place in enumerate(changes):
        value = (
            value / (prices[place] * (1 + cost)) if number % 2 == 0 else value * prices[place] * (1 - cost)
        )
    return len(changes), (value * prices[-1] if len(changes) % 2 else value) - 10_000.0


def test_example_trades_on_crossing_averages(tmp_path: Path):
    rng = np.random.default_rng(11)
    store, expected = CsvStore(tmp_path), []
    for symbol in ("UP", "DOWN"):
        prices = 1000 + np.cumsum(rng.integers(-9, 10, 800))
        rows = [trade(n * MINUTE, float(price)) for n, price in enumerate(prices)]
        store.append(batch(*rows, symbol=symbol))
        expected.append((symbol, *expected_account(prices, 4, 9, 0.0005)))
    done = run_example(tmp_path, "--fast", 4, "--slow", 9, "--cost", 5, folder=tmp_path)
    for symbol, trades, profit in expected:
        found = re.search(rf"^{symbol} +800 +([0-9]+) +(-?[0-9,.]+)$", done.stdout, re.MULTILINE)
        assert found, done.stdout + done.stderr
        assert int(found[1]) == trades > 20
        assert float(found[2].replace(",", "")) == pytest.approx(profit, abs=0.006)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--interval", "soon"], "is not an interval"),
        (["--fast", "30", "--slow", "10"], "less than --slow"),
        (["--symbols", "NOBODY"], "nothing is stored under the symbol NOBODY"),
        (["--policy", "us"], "no bar policy is named 'us'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_example_names_wrong_arguments(sample_folder: Path, tmp_path: Path, arguments: list[str], said: str):
    done = run_example(sample_folder, *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_runs_over_a_real_day(tmp_path: Path):
    day = equity_trades("equity/ibm_20131007_tick_trade.csv", midnight_ns(2013, 10, 7))
    for rows in day.select(TRADES.schema.names).to_batches(10_000):
        CsvStore(tmp_path).append(Append(TRADES, "IBM", rows, "key:1", Dedupe.NONE))
    done = run_example(tmp_path, "--policy", "us_equities", folder=tmp_path)
    assert rated_bars(done.stdout) == 453
    assert re.search(r"^IBM +453 +[1-9][0-9]* ", done.stdout, re.MULTILINE)
