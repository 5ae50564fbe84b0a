"""Strategies of the operator's own files, by their path, or their name in STRATEGIES_DIR."""

import random
from hashlib import sha256
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from tests.api_client import Api
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.calls import COIN, CallDesk, post, trader
from tests.trading.strategies.past import random_market
from trading.strategies import catalogue
from trading.strategies.catalogue import StrategyError, strategy_documents, strategy_named

pytestmark = [pytest.mark.django_db, pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")]
MINE = """
    from trading.strategies.crossover import Crossover

    class Mine(Crossover):
        '''Mine.'''
"""
IMPORTS = "from trading.strategies.strategy import Strategy, StrategyParameters, StrategyState\n"
PERIOD = (
    *("A-USD", "--from", "2025-01-06", "--to", "2025-01-06T01:00:00Z", "--set", "fast=3", "slow=8"),
    *("--as-of", "2100-01-01"),
)


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalogue, "_given", {})
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    settings.STRATEGIES_DIR = folder = tmp_path / "strategies"
    random_market(settings.DATA_DIR, random.Random(7), minutes=60)
    folder.mkdir()
    return folder


def written(path: Path, code: str) -> Path:
    path.write_text(dedent(code))
    return path


def run(strategy: str, *options: str) -> Any:
    out = StringIO()
    call_command("backtest", strategy, *PERIOD, *options, "--json", stdout=out, stderr=StringIO())
    return orjson.loads(out.getvalue())


def test_a_strategy_runs_by_its_file_and_by_its_name(folder: Path):
    file = written(folder / "mine.py", MINE)
    found = [run(each) for each in (str(file), "mine")]
    assert found[0] == found[1]
    assert found[0]["strategy_sha256"] == sha256(file.read_bytes()).hexdigest()
    assert found[0]["inputs"]["strategy"] == "mine"
    shipped = run("crossover")
    assert shipped["strategy_sha256"] is None
    assert found[0]["performance"] == shipped["performance"]


def test_a_changed_file_is_taken_at_the_next_run(folder: Path):
    file = written(folder / "mine.py", MINE)
    first = strategy_named("mine")
    assert strategy_named("mine") is first
    written(file, MINE.replace("Mine.", "Changed."))
    changed = strategy_named("mine")
    assert (changed.__doc__, changed.sha256) == ("Changed.", sha256(file.read_bytes()).hexdigest())
    assert first.sha256 != changed.sha256


def test_what_cannot_be_loaded_is_not_listed(folder: Path):
    written(folder / "mine.py", MINE)
    written(folder / "broken.py", "1 / 0")
    written(folder / "no name.py", MINE)
    listed = {each["name"]: each["sha256"] for each in strategy_documents()}
    assert listed == {"crossover": None, "breakout": None, "mine": strategy_named("mine").sha256}
    with pytest.raises(StrategyError, match=r"^broken.py, line 1: ZeroDivisionError: division by zero$"):
        strategy_named("broken")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nclass Mine:\n    pass", "mine.py has 0 subclasses of trading.strategies.strategy.Strategy"),
        ("class A(Strategy): pass\nclass B(Strategy): pass", "mine.py has 2 subclasses of"),
        ("class Mine(Strategy): Parameters = dict", "mine.py: its Parameters or State cannot be used: "),
        (
            "class S(StrategyState):\n    x: int\nclass Mine(Strategy): State = S",
            "Missing required argument 'x'",
        ),
        ("import nowhere", "mine.py, line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("def broken(:", "mine.py, line 2: SyntaxError: "),
        ("exit()", "mine.py, line 2: SystemExit: "),
        (
            "class P(StrategyParameters):\n    size: int\nclass Mine(Strategy): Parameters = P",
            "--set size: mine: Object missing required field `size`",
        ),
    ],
    ids=lambda each: each if " " not in each else None,
)
def test_the_refusal_says_what_to_correct(folder: Path, code: str, words: str):
    file = written(folder / "mine.py", IMPORTS + code)
    with pytest.raises(CommandError) as refused:
        call_command("backtest", str(file), "A-USD", stdout=StringIO())
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere.py", "nowhere.py: No such file or directory"),
        ("trading.strategies.crossover.Crossover", "Crossover: No such file or directory"),
        ("martingale", "there is no strategy martingale; there are crossover, breakout"),
    ],
)
def test_a_place_without_a_strategy_is_refused(folder: Path, place: str, words: str):
    with pytest.raises(CommandError) as refused:
        call_command("backtest", place, "A-USD", stdout=StringIO())
    assert words in str(refused.value)


def test_a_file_of_the_folder_has_a_name_of_its_own(folder: Path):
    written(folder / "crossover.py", MINE)
    with pytest.raises(StrategyError, match="rename the file"):
        strategy_named("crossover")
    with pytest.raises(CommandError, match="rename the file"):
        run(str(folder / "crossover.py"))
    written(folder / "other.py", MINE)
    assert strategy_named("other").name == "other"
    with pytest.raises(CommandError, match="has the name of its file"):
        run(str(written(folder / "no name.py", MINE)))


@pytest.mark.parametrize(
    "name", ["../mine", "sub/mine", "mine.py:Mine", "tests.api_client.Api", "mine\n", "%2e%2e/mine"]
)
def test_a_name_over_http_means_a_file_of_the_folder_only(api: Api, folder: Path, name: str):
    for place in (folder.parent / "mine.py", folder / "sub" / "mine.py"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("raise SystemExit('it was run')")
    CallDesk()
    chosen = {"strategy": {"name": name, "symbols": [COIN]}}
    refused = post(trader(), "/accounts/ACC", chosen, "PATCH")
    assert (refused.status_code, "there is no strategy" in refused.content.decode()) == (422, True)


FAILURES = [
    ("def on_bar(self, bar): return bar.price", "AttributeError: 'Bar' object has no attribute 'price'"),
    ("def on_bar(self, bar): raise SystemExit(3)", "SystemExit: 3"),
    ("def on_bar(self, bar): raise GeneratorExit('done')", "GeneratorExit: done"),
    ("def on_bar(self, bar): raise ValueError('\\x1b[31mred')", r"ValueError: \x1b[31mred"),
    ("def __init__(self, *given): 1 / 0", "ZeroDivisionError: division by zero"),
    ("def on_bar(self, bar): self.buy('B-USD', 1)", "ValueError: B-USD: the strategy trades only A-USD"),
]
ORDERS = {
    "'up', 1": "Invalid enum value 'up' - at `$.side`",
    "'buy', Decimal('-1e30')": "quantity must be a finite number of at most 10^12, and is -1E+30",
    "'buy', Decimal('NaN')": "quantity must be a finite number of at most 10^12, and is NaN",
    "'buy', 1, stop_loss=Decimal('-1e30')": "stop_loss must be a finite number of at most 10^12, and is -1E+30",
    "'buy', 1, type='stop'": "an order of the type stop needs stop_price",
    "'buy', 1, limit_price=1": "an order of the type market has no limit_price",
    "'buy', 1, price=1": "Unexpected keyword argument 'price'",
}
FAILURES += [
    (f"def on_bar(self, bar): self.broker.order(bar.symbol, {order})", words)
    for order, words in ORDERS.items()
]


@pytest.mark.parametrize(("code", "words"), FAILURES, ids=lambda each: each)
def test_a_failure_in_a_run_is_told_with_its_line(folder: Path, code: str, words: str):
    file = written(folder / "mine.py", f"\n    from decimal import Decimal{MINE}\n        {code}\n")
    with pytest.raises(CommandError, match=r"^the strategy mine failed: mine.py, line 8: ") as failed:
        run(str(file))
    assert str(failed.value).endswith(words)


def test_what_a_strategy_prints_is_not_in_the_answer(folder: Path, capfd: pytest.CaptureFixture[str]):
    file = written(folder / "mine.py", MINE + "\n        def on_bar(self, bar): print('shown')\n")
    for options in ((), ("--grid", "part=0.1")):
        call_command("backtest", str(file), *PERIOD, *options, "--json")
        found = capfd.readouterr()
        orjson.loads(found.out)
        assert "shown\n" in found.err


def test_a_word_stands_for_a_side(folder: Path):
    code = MINE + "\n        def on_bar(self, bar): self.broker.order(bar.symbol, 'buy', 1)\n"
    assert run(str(written(folder / "mine.py", code)))["signals"]["accepted"] > 0


def test_the_template_runs_and_is_written_once(folder: Path):
    folder.rmdir()
    out = StringIO()
    call_command("strategy", "new", "my-first", stdout=out)
    assert f"Wrote {folder}/my-first.py" in out.getvalue()
    options = ("--from", "2025-01-06", "--to", "2025-01-06T01:00:00Z", "--set", "bars=5", "--json")
    out = StringIO()
    call_command("backtest", "my-first", "A-USD", *options, stdout=out)
    assert orjson.loads(out.getvalue())["performance"]["trades"] > 2
    for name, words in (("my-first", "File exists"), ("../x", "first a letter"), ("breakout", "shipped")):
        with pytest.raises(CommandError, match=words):
            call_command("strategy", "new", name)
