"""A backtest depends on its inputs and on the store, and not on when it runs."""

import os
import random
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import time_machine
from django.core.management import CommandError, call_command

from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamp
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.strategies.past import START_NS, batch_of, random_market
from trading.market.market import Market
from trading.strategies.stored import stored_period

pytestmark = [pytest.mark.system, pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files")]
COMMAND = ("backtest", "crossover", "A-USD", "B-USD", "--set", "fast=3", "slow=8", "--json")
SYMBOL = "A-USD"


@pytest.fixture
def path(tmp_path: Path, settings: Any, db: None) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    path: Path = settings.DATA_DIR
    return path


@pytest.fixture
def past(path: Path) -> None:
    random_market(path, random.Random(7), minutes=120)


def printed(*options: str) -> str:
    out = StringIO()
    call_command(*COMMAND, *options, stdout=out)
    return out.getvalue()


def printed_at(instant: str, *options: str) -> str:
    with time_machine.travel(instant, tick=False):
        return printed(*options)


def travelling(path: Path) -> CsvStore:
    """A store whose clock tests may set."""
    return CsvStore(path, clock=time.time_ns)


def append_trade(path: Path, at_ns: int, price: float = 100.0, symbol: str = SYMBOL) -> None:
    row = {"timestamp": at_ns, "price": price, "volume": 1.0}
    travelling(path).append(Append(TRADES, symbol, batch_of(TRADES, [row]), "test"))


def test_the_clock_changes_nothing(past: None):
    as_of = ("--as-of", "2030-01-01")
    assert printed_at("2031-03-01T12:00:00Z", *as_of) == printed_at("2034-07-05T01:02:03.4Z", *as_of)


def test_rows_that_come_later_change_nothing_as_of_before(past: None, path: Path):
    before = printed()
    as_of = orjson.loads(before)["inputs"]["as_of"]
    append_trade(path, START_NS - 30 * MINUTE_NS, 50.0)
    append_trade(path, START_NS + 500 * MINUTE_NS, 200.0)
    travelling(path).set_instrument(Instrument("C-USD", settle=7.0))
    assert printed("--as-of", as_of) == before
    assert printed() != before


def test_orders_fill_by_stored_bars_as_of_before_the_first_trade(past: None, path: Path, tmp_path: Path):
    events = tmp_path / "before", tmp_path / "after"
    command = ["backtest", "crossover", "C-USD", "--set", "fast=3", "slow=8", "--json", "--events"]
    call_command(*command, str(events[0]), stdout=(before := StringIO()))
    append_trade(path, START_NS + 30 * MINUTE_NS, symbol="C-USD")
    as_of = orjson.loads(before.getvalue())["inputs"]["as_of"]
    call_command(*command, str(events[1]), "--as-of", as_of, stdout=(after := StringIO()))
    assert after.getvalue() == before.getvalue()
    assert events[1].read_bytes() == events[0].read_bytes()
    assert orjson.loads(after.getvalue())["trades"]


def test_nothing_stored_by_then_is_refused(past: None):
    with pytest.raises(CommandError) as said:
        printed("--as-of", "2025-01-05")
    assert str(said.value).splitlines() == [
        f"SYMBOL: {each} has no trades, quotes or bars that were stored up to 2025-01-05T00:00:00Z"
        for each in ("A-USD", "B-USD")
    ]


def test_a_period_that_begins_after_all_rows_is_refused_with_their_dates(past: None):
    with pytest.raises(CommandError, match=r"A-USD has no rows in this period; its first is of 2025-01-06T"):
        printed("--from", "2025-02-01")


def test_it_needs_no_database_and_makes_none(past: None, path: Path):
    before = {each.name for each in path.iterdir()}
    environment = {"DATA_DIR": str(path), "SECRET_KEY": "x" * 60, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "manage.py", *COMMAND], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    as_of = orjson.loads(done.stdout)["inputs"]["as_of"]
    assert done.stdout == printed("--as-of", as_of)
    assert {each.name for each in path.iterdir()} == before


LAST_NS = parse_timestamp("2025-01-06T10:10:30.5Z")


@pytest.mark.parametrize(
    ("as_of", "end"),
    [
        ("2025-03-01", "2025-01-06T10:15:00Z"),
        ("2025-01-06T10:10:31.25Z", "2025-01-06T10:10:31.25Z"),
        ("2025-01-06T10:10:30Z", "2025-01-06T10:15:00Z"),
    ],
    ids=["imported", "live", "a-clock-behind"],
)
def test_it_ends_with_the_bar_of_the_newest_row_unless_this_bar_is_not_over(path: Path, as_of: str, end: str):
    path.mkdir()
    with time_machine.travel("2024-11-01T00:00:00Z", tick=False):
        append_trade(path, LAST_NS)
    period = stored_period(Market(travelling(path)), [SYMBOL], 5 * MINUTE_NS, parse_timestamp(as_of))
    assert period is not None
    assert (period.start_ns, format_timestamp(period.end_ns)) == (START_NS, end)


def test_a_stored_bar_is_of_its_interval(path: Path):
    path.mkdir()
    store = travelling(path)
    prices = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    row = {"timestamp": START_NS, "resolution": "5m", "volume": 1.0, **prices}
    store.append(Append(BARS, SYMBOL, batch_of(BARS, [row]), "test"))
    period = stored_period(Market(store), [SYMBOL], 5 * MINUTE_NS, 2**62)
    assert period is not None
    assert period.end_ns == START_NS + 5 * MINUTE_NS
