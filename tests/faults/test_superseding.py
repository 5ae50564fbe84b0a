"""Commits of rows and of cancels at once, which supersede rows of fills: power cuts, and ends torn at any byte."""

import random
import shutil
from itertools import count
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.protocol import Append
from tests.chance import SOAK
from tests.faults.batches import all_rows
from tests.faults.power import RECORDS, Luck, PowerCutDisk, UnsyncedDisk, restored
from tests.faults.table import Tallies, Tally
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, MINUTE, SYMBOL, Clock, Row, batch, fill_of, trade

STEP = 1 if SOAK else 29
LOG = f"trades/{SYMBOL}/{RECORDS}"


def trades(start: int, number: int, step: int, price: float = 1.0) -> list[Row]:
    return [trade(start + n * step, price + n / 8, conditions=f"{start}") for n in range(number)]


SENT: list[Append] = [
    batch(*trades(-MINUTE, 3, 10), request_key="0"),
    batch(*trades(0, 15, MINUTE), *trades(DAY, 15, MINUTE), fill=fill_of(0, 2 * DAY), request_key="1"),
    batch(*trades(0, 12, MINUTE), *trades(DAY, 5, MINUTE, 7.0), request_key="2"),
    batch(*trades(DAY + 5 * MINUTE, 3, 3 * MINUTE, 7.0), request_key="3"),
]


@pytest.fixture
def states() -> list[list[Row]]:
    """The rows after each number of batches."""
    store = MemoryStore(clock=Clock())
    found: list[list[Row]] = [[]]
    for each in SENT:
        receipt = store.append(each)
        found.append(all_rows(store))
    assert receipt.superseded
    return found


def look(folder: Path, states: list[list[Row]], acknowledged: int, tally: Tally) -> int:
    """Return how many batches a store has: all of each, with what it supersedes, or nothing."""
    rows = all_rows(CsvStore(folder))
    has = states.index(rows) if rows in states else -1
    lost = max(acknowledged - has, 0) if has >= 0 else 0
    tally.add(acknowledged=acknowledged, lost=lost, torn=int(has < 0))
    assert acknowledged <= has
    return has


def go_on(folder: Path, states: list[list[Row]]) -> None:
    store = CsvStore(folder, disk=UnsyncedDisk())
    for each in SENT:
        store.append(each)
    assert all_rows(store) == all_rows(CsvStore(folder)) == states[-1]


def test_a_power_cut_at_any_write_or_sync(
    tmp_path: Path, rng: random.Random, tallied: Tallies, states: list[list[Row]]
):
    tally = tallied("01 power cut at every write and sync")
    disk, folders = PowerCutDisk(tmp_path / "store"), count()
    store = CsvStore(tmp_path / "store", disk=disk)
    for number, each in enumerate(SENT):
        store.append(each)
        disk.acknowledged(number)
    disk.now()
    for moment in disk.moments:
        for luck in (Luck(rng, kept=False), Luck(rng, kept=True), *[Luck(rng)] * (10 if SOAK else 1)):
            folder = restored(moment, tmp_path / str(next(folders)), luck)
            look(folder, states, len(moment.acknowledged), tally)
            go_on(folder, states)
            shutil.rmtree(folder)
    tally.settle()


def test_ends_that_are_torn_at_any_byte(tmp_path: Path, tallied: Tallies, states: list[list[Row]]):
    """Of the record with whole rows and cancels, and of the rows and the cancels without the record."""
    tally = tallied("03 last record or last rows torn")
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, sent in ((before, SENT[:2]), (after, SENT[:3])):
        store = CsvStore(folder, clock=Clock())
        for each in sent:
            store.append(each)
    for path in (after / LOG).parent.iterdir():
        if not path.is_file():
            continue
        old = (before / LOG).with_name(path.name)
        start = old.stat().st_size if old.exists() else 0
        for length in range(start, path.stat().st_size, STEP * (1 if path.name == RECORDS else 20)):
            copy = tmp_path / "copy"
            shutil.copytree(before, copy)
            if path.name == RECORDS:
                for file in (after / LOG).parent.glob("*.csv"):
                    shutil.copy(file, (copy / LOG).with_name(file.name))
            (copy / LOG).with_name(path.name).write_bytes(path.read_bytes()[:length])
            assert look(copy, states, 2, tally) == 2
            go_on(copy, states)
            shutil.rmtree(copy)
    tally.settle()
