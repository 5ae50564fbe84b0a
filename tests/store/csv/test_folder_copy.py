"""A folder that is copied with its records first, while it is written to, is a store as of those records."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from django.conf import settings

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.store.builders import DAY, SECOND, amendment, batch, cancel, stored, trade
from tests.store.walking import logs_of

SYMBOLS = ("AAPL", "BRK:B")
_PAGE = (settings.BASE_DIR / "docs" / "storage.md").read_text()
_LINES = [line.strip() for line in _PAGE.splitlines() if line.startswith("    rsync ")]


def by_hand(folder: Path) -> None:
    for pattern in ("*/*/commits.jsonl", "*/*/*.csv", "format.json"):
        for path in (folder / "data").glob(pattern):
            to = folder / "copy" / path.relative_to(folder / "data")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


def by_rsync(folder: Path) -> None:
    assert len(_LINES) == 3
    if shutil.which("rsync") is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no rsync")
    for line in _LINES:
        subprocess.run(line, shell=True, check=True, cwd=folder)


@contextmanager
def load(store: CsvStore) -> Iterator[None]:
    """Write a hundred commits a second, with corrections and new dates."""
    is_ended = threading.Event()

    def write() -> None:
        for number in count():
            symbol = SYMBOLS[number % 2]
            store.append(batch(*(trade(number * SECOND + day * DAY, 5.0) for day in range(2)), symbol=symbol))
            if number % 7 == 0:
                store.correct(amendment(cancel(number * SECOND, price=5.0), symbol=symbol))
            if is_ended.wait(0.01):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_ended.set()
        writer.join()


@pytest.mark.parametrize("copy", [by_hand, by_rsync])
def test_a_copy_under_load_is_the_store_as_of_its_records(tmp_path: Path, copy: Callable[[Path], None]):
    origin, heads = CsvStore(tmp_path / "data"), [0]
    with load(origin):
        for _ in range(3):
            time.sleep(0.3)
            copy(tmp_path)
            made = CsvStore(tmp_path / "copy")
            for symbol in SYMBOLS:
                head = made.log(TRADES, symbol).head
                assert origin.log(TRADES, symbol).at(head.number).commit == head
                found = made.check(TRADES, symbol).findings()
                assert list(found) == []
                assert stored(made, symbol=symbol) == stored(origin, symbol=symbol, commit=head.number)
            heads.append(made.log(TRADES, SYMBOLS[0]).head.number)
    assert heads == sorted(set(heads))
    copy(tmp_path)
    assert logs_of(tmp_path / "copy") == logs_of(origin)
    made.append(batch(trade(-SECOND), symbol=SYMBOLS[0]))
    assert len(made.log(TRADES, SYMBOLS[0]).at().rows(ALL_TIME)) > 2


def test_a_copy_and_a_cut_store_have_another_identity(tmp_path: Path):
    store = CsvStore(tmp_path / "store")
    store.append(batch(trade(1)))
    identity, head = store.identity(), store.log(TRADES, "AAPL").head
    store.append(batch(trade(2)))
    assert CsvStore(tmp_path / "store").identity() == store.identity() == identity
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    assert CsvStore(tmp_path / "copy").identity() not in (identity, "")
    store.cut(TRADES, "AAPL", store.planned_cut(TRADES, "AAPL", store.log(TRADES, "AAPL").committed_at(1)))
    assert store.log(TRADES, "AAPL").head == head
    assert store.identity() not in (identity, "")
