"""Whole stores are copied while they are written to, killed in the middle, and there and back."""

import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from store.backends import store_at
from store.checks import ReadLogCheck
from store.copying import copy_store
from store.csv import CsvStore
from store.datasets import STORED_DATASETS, TRADES
from store.instruments import Instrument
from store.maintained import LogFinding
from store.market_store import MarketStore
from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.store.builders import (
    SECOND,
    SYMBOL,
    batch,
    trade,
)
from tests.store.conftest import IN_CLUSTER
from tests.store.walking import logs_of

ROOT = Path(__file__).parents[2]
SYMBOLS = ("AAPL", "BRK:B", "MSFT")


def write(store: MarketStore, number: int, symbol: str = SYMBOL) -> None:
    store.append(
        batch(
            *(trade(number * SECOND + each, trade_id=f"{number} {each}") for each in range(3)), symbol=symbol
        )
    )


def problems(origin: MarketStore, to: MarketStore) -> list[str]:
    return [each.problem for each in copy_store(origin, to) if each.problem]


def findings(store: MarketStore) -> list[LogFinding]:
    checks = [
        ReadLogCheck(store.log(each, symbol))
        for each in STORED_DATASETS.values()
        for symbol in store.symbols(each)
    ]
    return [finding for check in checks for finding in check.findings()]


def test_a_store_that_is_written_to_is_copied_until_both_are_level(store: MarketStore, tmp_path: Path):
    for number, symbol in enumerate(SYMBOLS):
        write(store, number, symbol)
    to, is_ended = CsvStore(tmp_path / "copy"), threading.Event()

    def writing() -> None:
        for number in count(10):
            if is_ended.is_set():
                return
            write(store, number, SYMBOLS[number % 3])
            if number == 20:
                store.set_instrument(Instrument("NEW", exchange="XNAS"))

    writer = threading.Thread(target=writing)
    writer.start()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert problems(store, to) == []
    is_ended.set()
    writer.join()
    assert problems(store, to) == []
    assert logs_of(to) == logs_of(store)
    assert findings(to) == []
    assert to.statistics(TRADES, SYMBOL).rows == store.statistics(TRADES, SYMBOL).rows
    rows: list[int] = []
    assert len(list(copy_store(store, to, rows.append))) == len(logs_of(store))
    assert rows == []


def test_a_check_names_the_first_commit_that_is_not_as_recorded(tmp_path: Path):
    store = CsvStore(tmp_path)
    for number in range(3):
        write(store, number)
    file = tmp_path / "trades" / SYMBOL / "2025-01-02.csv"
    text = file.read_bytes()
    file.write_bytes(text[:-40] + text[-40:].replace(b"100", b"101", 1))
    (finding,) = findings(CsvStore(tmp_path))
    assert finding.commit is not None


COPYING = """
import sys
from store import copying
from store.backends import store_at

copying._GROUP_COMMITS = 7
assert not [each for each in copying.copy_store(*map(store_at, sys.argv[1:])) if each.problem]
"""


@pytest.mark.parametrize(
    "backend", ["csv", pytest.param("cluster", marks=[*IN_CLUSTER.marks, pytest.mark.soak])]
)
def test_a_copy_that_is_killed_goes_on(backend: str, tmp_path: Path, request: Any):
    to = str(tmp_path / "copy")
    if backend != "csv":
        request.getfixturevalue("cluster_store")
        to = request.getfixturevalue("cluster_url")
    origin, chance, heads = CsvStore(tmp_path / "origin"), random.Random(chosen_seed()), [0]
    for number in range(300):
        write(origin, number, SYMBOLS[number % 2])
    watched = store_at(to, create=True)

    def commits() -> int:
        return sum(watched.log(TRADES, symbol).end().head.number for symbol in SYMBOLS)

    def has_commits(wanted: int) -> bool:
        return commits() >= min(wanted, 300)

    for _ in range(30 if SOAK else 2):
        wanted = heads[-1] + chance.randint(1, 60)
        with subprocess.Popen(
            [sys.executable, "-c", COPYING, str(tmp_path / "origin"), to], cwd=ROOT
        ) as process:
            assert eventually(partial(has_commits, wanted))
            process.kill()
        assert process.returncode in (-signal.SIGKILL, 0)
        heads.append(commits())
    assert heads == sorted(heads)
    assert 0 < heads[1] < 300
    assert problems(origin, watched) == []
    assert logs_of(watched) == logs_of(origin)
    assert findings(watched) == []
