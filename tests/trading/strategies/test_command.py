"""What `manage.py backtest` prints and writes."""

import random
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from store.timestamps import format_timestamp
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.strategies.past import random_market
from trading.api.backtest_inputs import UnboundedBacktestInput, inputs_of_job
from trading.core.events import encoded
from trading.market.market import Market
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.stored import stored_rows

pytestmark = [pytest.mark.django_db, pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")]
PERIOD = ("--from", "2025-01-06", "--to", "2025-01-06T04:00:00Z")
COMMAND = ("backtest", "crossover", "A-USD", *PERIOD, "--set", "fast=3", "slow=8")
TITLES = [
    *("signals", "trades", "win rate", "gain or loss", "fees", "total R", "profit factor", "return"),
    *("return a year", "volatility a year", "Sharpe ratio", "Sortino ratio", "largest drawdown"),
    *("turnover", "exposure"),
]


class Terminal(StringIO):
    """Text that a person sees."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def path(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    path: Path = settings.DATA_DIR
    return path


@pytest.fixture
def past(path: Path) -> None:
    random_market(path, random.Random(7), minutes=240)


def printed(*words: str, stderr: StringIO | None = None) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=stderr or StringIO())
    return out.getvalue()


def inputs_of_result(document: dict[str, Any]) -> BacktestInputs:
    """Return the inputs that a result names, as a call with them as its body has them."""
    reader = stored_rows()
    body = UnboundedBacktestInput(data=document["inputs"], context={"market": Market(reader.store)})
    body.is_valid(raise_exception=True)
    return inputs_of_job(body.validated_data, reader)


def test_the_table_has_the_figures_of_the_json(past: None):
    document = orjson.loads(printed(*COMMAND, "--json"))
    figures, exposure = document["performance"], document["performance"]["exposure"]
    head, parameters, *rows = printed(*COMMAND).splitlines()
    assert head == "crossover on A-USD, 2025-01-06T00:00:00Z to 2025-01-06T04:00:00Z"
    assert parameters == "parameters: fast=3, slow=8, part=0.2, interval=1min; begins with 100,000.00 USD"
    assert [row[:20].strip() for row in rows] == TITLES
    table = {row[:20].strip(): row[20:].split() for row in rows}
    assert table["signals"] == [f"{document['signals']['accepted']}", "refused:", "none"]
    assert table["trades"] == [f"{figures['trades']}"]
    assert table["gain or loss"] == [f"{figures['pnl']:,.2f}"]
    # Its trades had no stop, so none has an R.
    assert (figures["average_r"], table["total R"]) == (None, ["-"])
    assert table["largest drawdown"] == [f"{figures['max_dd']:.2f}", "%"]
    # A day has no figures of a year.
    assert table["Sharpe ratio"] == ["-"]
    assert figures["trades"] > 3
    assert rows[-1].split(maxsplit=1)[1].strip() == (
        f"{exposure['mean_pct']:.2f} %   at most {exposure['largest_pct']:.2f} %; "
        f"a position was held {exposure['time_in_market']:.1%} of the time"
    )


def test_options_with_names_add_up_and_take_a_name_once(past: None):
    assert (
        printed(*COMMAND, "--set", "part=0.1")
        .splitlines()[1]
        .startswith("parameters: fast=3, slow=8, part=0.1")
    )
    for option in ("--set", "--limit"):
        with pytest.raises(CommandError, match=f"^{option} fast is given twice$"):
            printed(*COMMAND, option, "fast=2", option, "fast=4")


def test_the_table_counts_what_risk_refused_by_checks(past: None):
    lines = printed(*COMMAND, "--limit", "max_symbol_exposure=5").splitlines()
    assert " refused by symbol_exposure since 2025-01-06T00:" in lines[1]
    assert lines[1].endswith(" (limit 5 percent of equity in zone NORMAL).")
    assert lines[3].split()[0] == "signals"
    assert " refused: " in lines[3]
    assert lines[3].endswith(" by symbol_exposure")


def test_a_terminal_has_a_plain_bar_that_goes_away(past: None):
    shown = Terminal()
    printed(*COMMAND, stderr=shown)
    steps = shown.getvalue().split("\r")
    assert "\x1b" not in shown.getvalue()
    assert steps[1] == f"{'░' * 40}   0%"
    assert f"{'█' * 20}{'░' * 20}  50%" in steps
    assert steps[-3:] == [f"{'█' * 40} 100%", " " * 46, ""]
    assert "\n" not in shown.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False], ids=["json", "no-terminal"])
def test_programs_get_no_bar(past: None, is_terminal: bool):
    shown = Terminal() if is_terminal else StringIO()
    printed(*COMMAND, *(["--json"] if is_terminal else []), stderr=shown)
    assert shown.getvalue() == ""


def test_events_are_written_as_the_journal_encodes_them(past: None, tmp_path: Path):
    file = tmp_path / "events.jsonl"
    document = orjson.loads(printed(*COMMAND, "--json", "--events", str(file)))
    expected = list[tuple[str, int, str]]()
    run = Backtest(
        inputs_of_result(document),
        stored_rows(),
        lambda each: expected.append((format_timestamp(each.at_ns), each.number, encoded(each.event))),
    )
    run.run()
    lines = file.read_text().splitlines()
    assert lines == [f'{{"at":"{at}","number":{number},"event":{event}}}' for at, number, event in expected]
    assert [orjson.loads(line)["number"] for line in lines] == [*range(1, len(lines) + 1)]
    assert sum('"event":{"event":"executed"' in line for line in lines) > 10
    again = (*COMMAND, "--as-of", document["inputs"]["as_of"], "--json")
    assert printed(*again) == printed(*again, "--events", str(file))


def test_events_are_written_while_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody keeps them: when the last one is recorded, most are in the file."""
    random_market(path, random.Random(7), minutes=240)
    file, sizes = tmp_path / "events.jsonl", list[int]()
    run = Backtest.run

    def watched_run(*args: Any) -> None:
        run(*args)
        sizes.append(file.stat().st_size)

    monkeypatch.setattr(Backtest, "run", watched_run)
    printed(*COMMAND, "--events", str(file))
    assert sizes[0] > file.stat().st_size - 2 * 8_192 > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--events", "/nowhere/events"], "No such file or directory: '/nowhere/events'"),
        (["--events", "events", "--grid", "fast=1,2"], "not allowed with argument"),
    ],
    ids=["no-folder", "with-grid"],
)
def test_events_that_cannot_be_written_are_refused(past: None, options: list[str], words: str):
    with pytest.raises(CommandError, match=words):
        printed(*COMMAND, *options)
