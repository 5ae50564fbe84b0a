"""`manage.py gaps`: what it prints of symbols, and of an exchange that is silent."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from store.timestamps import MINUTE_NS
from tests.stats.market_data.absence.quiet_market import (
    minutes_of,
    schedule_of,
    store_trades,
    text_of,
    trade_times,
)

pytestmark = [pytest.mark.django_db, pytest.mark.system]
SCHEDULE = schedule_of(30)
MINUTES = minutes_of(SCHEDULE)
DAY = np.datetime64(int(SCHEDULE.date[-1]), "D")
CUT = int(SCHEDULE.open_ns[-1]) + 60 * MINUTE_NS


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("gaps", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def stored(symbol: str, rate: float, *, cut: int = 0, seed: int = 4) -> None:
    """Trades, without some minutes of the last date from an hour after the opening on."""
    times = trade_times(np.random.default_rng(seed), MINUTES, rate)
    store_trades(times[(times < CUT) | (times >= CUT + cut * MINUTE_NS)], symbol=symbol)


def test_the_gaps_of_symbols_are_a_table_or_lines_of_json(store_path: Path):
    stored("AAA", 20.0, cut=5)
    stored("BBB", 20.0)
    times = trade_times(np.random.default_rng(1), MINUTES[-390:], 20.0)
    store_trades(times, symbol="YOUNG")
    lines = run(
        "AAA",
        "BBB",
        "--start",
        str(DAY),
        "--resolution",
        "1m",
        "--end",
        text_of(int(SCHEDULE.close_ns[-1])),
        "--json",
    )
    (line,) = map(json.loads, lines.splitlines())
    assert (line["symbol"], line["start"], line["expected_bars"]) == ("AAA", text_of(CUT), 5)
    table = run(
        "AAA", "--start", str(DAY), "--resolution", "1m", "--end", text_of(int(SCHEDULE.close_ns[-1]))
    )
    assert all(word in table for word in ("AAA", text_of(CUT), "trades expected"))
    assert run("BBB", "--end", text_of(int(SCHEDULE.close_ns[-1]))) == "no gaps\n"


def silence(*arguments: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in run("--exchange", "XNYS", "--date", str(DAY), "--json", *arguments).splitlines()
    ]


def test_an_exchange_is_silent_if_its_symbols_together_prove_it(store_path: Path):
    for number in range(8):
        stored(f"S{number}", 0.5, cut=12, seed=number)
    # Each alone would have some four trades in these minutes, by the lower decile, all together thirty.
    (found,) = silence()
    assert found["start"] <= text_of(CUT)
    assert found["end"] >= text_of(CUT + 12 * MINUTE_NS)
    assert (found["symbols"], found["expected_trades"] > 14) == (8, True)
    assert "expected trades" in run("--exchange", "XNYS", "--date", str(DAY))
    stored("S8", 20.0)
    assert silence() == []


def test_three_symbols_with_few_trades_prove_nothing(store_path: Path):
    for number in range(3):
        stored(f"S{number}", 0.05, cut=60, seed=number)
    assert silence() == []
    assert run("--exchange", "XNYS", "--date", "2024-01-06") == "no gaps\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("AAA", "--exchange", "XNYS", "--date", "2024-01-02"), ("--exchange", "XNYS"), ("NONE",), ("AAA", "--start", "x"), ("--exchange", "XXXX", "--date", "2024-01-02")],
)  # fmt: skip
def test_wrong_arguments_are_refused(store_path: Path, arguments: tuple[str, ...]):
    store_trades(MINUTES[:3], symbol="AAA")
    with pytest.raises(CommandError):
        run(*arguments)
