"""The list of a dataset's symbols follows its folder, which other processes change, too."""

import os
import shutil
import time
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.symbol_folders import SymbolFolders
from store.datasets import TRADES
from tests.store.builders import batch, trade

LONG_AGO = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / TRADES.name


@pytest.fixture
def other(tmp_path: Path) -> CsvStore:
    """A store that represents another process."""
    return CsvStore(tmp_path)


def settle(folder: Path) -> None:
    os.utime(folder, (LONG_AGO, LONG_AGO))


def test_symbols_are_listed_while_they_exist(folder: Path, other: CsvStore):
    folders = SymbolFolders(folder)
    seen = [(folders.symbols(), folders.stamp())]
    for name in ("MSFT", "BRK:B", "AAPL"):
        other.append(batch(trade(), symbol=name))
        seen.append((folders.symbols(), folders.stamp()))
    shutil.rmtree(folder / "MSFT")
    seen.append((folders.symbols(), folders.stamp()))
    assert [symbols for symbols, _ in seen] == [
        (), ("MSFT",), ("BRK:B", "MSFT"), ("AAPL", "BRK:B", "MSFT"), ("AAPL", "BRK:B"),
    ]  # fmt: skip
    assert len({stamp for _, stamp in seen}) == len(seen)


def test_a_symbol_appears_with_its_first_commit_not_with_its_folder(folder: Path, other: CsvStore):
    (folder / "AAPL").mkdir(parents=True)
    settle(folder)
    folders = SymbolFolders(folder)
    assert folders.symbols() == ()
    before = folders.stamp()
    other.append(batch(trade()))
    settle(folder)
    assert folders.symbols() == ("AAPL",)
    assert folders.stamp() != before


def test_a_change_within_the_same_clock_tick_is_seen(folder: Path, other: CsvStore):
    other.append(batch(trade(), symbol="A"))
    now = time.time_ns()
    os.utime(folder, ns=(now, now))
    folders = SymbolFolders(folder)
    assert folders.symbols() == ("A",)
    other.append(batch(trade(), symbol="B"))
    os.utime(folder, ns=(now, now))
    assert folders.symbols() == ("A", "B")
