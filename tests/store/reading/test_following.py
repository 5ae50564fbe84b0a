"""A reader follows a writer in another process: the next call sees what was acknowledged."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.protocol import Action, Amendment, Correction
from store.reading.latest import NoTrade
from tests.store.builders import DAY, NOON, SECOND, append_of, bar, trade
from tests.store.reading import stores
from tests.store.reading.stores import add

Write = Callable[[str, int, float], str]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Has another process append a trade; returns when it was acknowledged, with the commit."""
    process = subprocess.Popen(
        [sys.executable, stores.__file__, tmp_path],
        env={"PYTHONPATH": str(settings.BASE_DIR)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    stdin, stdout = process.stdin, process.stdout

    def append(symbol: str, at: int, price: float) -> str:
        stdin.write(f"{symbol} {at} {price}\n")
        stdin.flush()
        answer: str = stdout.readline()
        return answer.strip()

    with process:
        yield append
        stdin.close()


def test_every_call_sees_what_another_process_has_committed(tmp_path: Path, write: Write):
    reader = open_store(tmp_path)
    with pytest.raises(UnknownSymbol):
        reader.latest("AAPL")
    for number in range(1, 30):
        token = write("AAPL", number * SECOND, float(number))
        assert reader.latest("AAPL").price == number
        assert reader.latest("AAPL").time_ns == NOON + number * SECOND
        assert reader.trades("AAPL").price.tolist() == [float(n) for n in range(1, number + 1)]
        assert reader.bars("AAPL", interval="1h").close.tolist() == [float(number)]
        assert reader.version("AAPL") == token
        assert reader.coverage("AAPL").commits == number
    assert write("MSFT", 0, 1.0)
    assert reader.symbols() == ["AAPL", "MSFT"]


def test_a_late_trade_is_not_the_latest(tmp_path: Path):
    add(tmp_path, trade(DAY, 5.0, sequence=7))
    reader = open_store(tmp_path)
    assert reader.latest("AAPL").price == 5.0
    add(tmp_path, trade(0, 4.0))
    assert reader.latest("AAPL").price == 5.0
    add(tmp_path, trade(DAY, 6.0, sequence=6))
    assert reader.latest("AAPL").price == 5.0
    add(tmp_path, trade(DAY, 6.5, sequence=8))
    assert reader.latest("AAPL") == (NOON + DAY, 6.5, 1.0, None, 8, None, None, None, None)


def cancel(folder: Path, at: int, trade_id: str) -> None:
    correction = Correction(Action.CANCEL, NOON + at, {"trade_id": trade_id})
    CsvStore(folder).correct(Amendment(TRADES, "AAPL", (correction,), "key:1"))


def test_a_cancelled_trade_is_not_the_latest(tmp_path: Path):
    add(
        tmp_path,
        trade(-40 * DAY + 1, 1.0, trade_id="a"),
        trade(0, 2.0, trade_id="b"),
        trade(1, 3.0, trade_id="c"),
    )
    reader = open_store(tmp_path)
    seen = []
    for at, trade_id in ((1, "c"), (0, "b")):
        seen.append(reader.latest("AAPL").price)
        cancel(tmp_path, at, trade_id)
    assert [*seen, reader.latest("AAPL").price] == [3.0, 2.0, 1.0]
    cancel(tmp_path, -40 * DAY + 1, "a")
    with pytest.raises(NoTrade):
        reader.latest("AAPL")
    assert reader.coverage("AAPL")[:4] == (None, None, 0, 4)
    add(tmp_path, trade(5, 9.0))
    assert reader.latest("AAPL").price == 9.0


def test_a_log_that_was_restored_is_read_anew(tmp_path: Path):
    add(tmp_path / "old", trade(0, 1.0))
    add(tmp_path / "new", trade(0, 1.0), trade(9, 9.0))
    reader = open_store(tmp_path / "new")
    assert reader.latest("AAPL").price == 9.0
    (tmp_path / "new" / "trades").rename(tmp_path / "gone")
    with pytest.raises(UnknownSymbol):
        reader.latest("AAPL")
    (tmp_path / "old" / "trades").rename(tmp_path / "new" / "trades")
    assert reader.latest("AAPL").price == 1.0


def test_bars_follow_declarations_and_the_first_stored_bars(tmp_path: Path):
    add(tmp_path, trade(0, 1.0), trade(1, 9.0, conditions="odd_lot"))
    reader, store = open_store(tmp_path), CsvStore(tmp_path)
    assert reader.bars("AAPL").high.tolist() == [9.0]
    store.set_instrument(Instrument("AAPL", "us_equities"))
    assert reader.bars("AAPL").high.tolist() == [1.0]
    store.append(append_of(BARS, bar(5, 5.0), symbol="AAPL"))
    assert reader.bars("AAPL").high.tolist() == [1.0, 5.0]
