"""A grid of parameters: `manage.py backtest --grid`."""

import csv
import random
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.strategies.past import random_market
from trading.strategies import catalogue

pytestmark = [pytest.mark.django_db, pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")]
PERIOD = ("A-USD", "--from", "2025-01-06", "--to", "2025-01-06T02:00:00Z")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def past(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_given", {})
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    random_market(settings.DATA_DIR, random.Random(7), minutes=120)


def run(strategy: str, *options: str, stderr: StringIO | None = None) -> str:
    out = StringIO()
    call_command("backtest", strategy, *PERIOD, *options, stdout=out, stderr=stderr or StringIO())
    return out.getvalue()


def test_each_combination_has_the_result_of_a_single_run(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("from trading.strategies.crossover import Crossover\nclass Mine(Crossover): pass\n")
    options = ("--as-of", "2100-01-01", "--set", "part=0.1")
    # `--grid` adds up.
    rows = orjson.loads(run(str(file), *options, "--grid", "fast=3,9", "--grid", "slow=6,12", "--json"))
    assert [row["parameters"] for row in rows] == [
        {"fast": fast, "slow": slow} for fast in "39" for slow in ("6", "12")
    ]
    for row in rows:
        given = [f"{name}={value}" for name, value in row["parameters"].items()]
        if row["parameters"] == {"fast": "9", "slow": "6"}:
            assert (row["result"], row["refused"]) == (None, "--grid: mine: fast must be less than slow")
            continue
        single = orjson.loads(run(str(file), *options, *given, "--json"))
        single["trades"] = single["signals"]["rows"] = single["performance"]["drawdown_curve"] = []
        assert row["result"] == single
        assert single["performance"]["trades"] > 2


def test_a_table_is_printed_a_bar_grows_and_a_page_and_a_file_of_csv_are_written(tmp_path: Path):
    shown, page = Terminal(), tmp_path / "data" / "grids" / "crossover.html"
    printed = run("crossover", "--grid", "fast=3,9", "slow=6,12", stderr=shown)
    fixed, *lines = printed.splitlines()
    assert fixed == "parameters: interval=1min, part=0.2"
    assert lines[0].split()[:3] == ["fast", "slow", "trades"]
    assert lines[3].split(maxsplit=2) == ["9", "6", "--grid: crossover: fast must be less than slow"]
    assert lines[5] == f"The page: {page.as_uri()}"
    filled = [each.count("█") for each in shown.getvalue().split("\r")[1:-2]]
    assert filled == [13, 27, 40]
    returns = [line.split()[4] for line in (lines[1], lines[2], lines[4])]
    with page.with_suffix(".csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [(each["fast"], each["slow"], bool(each["refused"])) for each in cells] == [
        ("3", "6", False),
        ("3", "12", False),
        ("9", "6", True),
        ("9", "12", False),
    ]
    assert [f"{float(each['return_pct']):.2f}" for each in cells if each["return_pct"]] == returns
    text = page.read_text()
    assert text.count('style="--strength') == 3
    for each in returns:
        assert f"{float(each):.2f}</td>" in text.split("All combinations")[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["fast=" + ",".join(map(str, range(1, 102))), "slow=" + ",".join(map(str, range(1, 11)))],
            "1,010 comb",
        ),
        (["fast"], "fast: give NAME=VALUE"),
        (["quick=1,2"], "^--grid quick: .* unknown field `quick`"),
        (["fast=x", "--grid", "slow=9"], "^--grid fast: "),
        (["fast=3", "--set", "slow=x"], "^--set slow: "),
        (["fast=2,3", "fast=4,5"], "^--grid fast is given twice$"),
        (["fast=2,3", "--grid", "fast=4,5"], "^--grid fast is given twice$"),
        (["fast=2,3", "--set", "fast=4"], "^fast: give it to --set or to --grid, not to both$"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(options: list[str], words: str):
    with pytest.raises(CommandError, match=words):
        run("crossover", "--grid", *options)
