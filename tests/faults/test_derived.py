"""Derived files that are deleted, old or garbage: every answer is the same, to the last bit.

Where the store makes no derived files yet, what is put into their place must still change nothing.
"""

import random
import shutil
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.chance import SOAK
from tests.faults import derived
from tests.faults.batches import batch_of, rows_sent
from tests.faults.power import UnsyncedDisk
from tests.faults.processes import children
from tests.faults.table import Tallies
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, Clock, stored

BATCHES = 100 if SOAK else 12
TRIES = 100 if SOAK else 8
WINDOWS = [
    (ALL_TIME, DAY),
    (Window(NOON, NOON + DAY), MINUTE),
    (Window(NOON + DAY, NOON + DAY + 10 * MINUTE), MINUTE // 60),
]


def bars(store: MarketStore, window: Window, interval_ns: int, at: int | None) -> dict[str, bytes]:
    """A window's bars, column by column, to the last bit."""
    found: Any = store.log(TRADES, SYMBOL).at(at).bars(window, interval_ns)
    return {field.name: getattr(found, field.name).tobytes() for field in fields(found)}


def answers(store: MarketStore, at: int | None = None) -> list[Any]:
    """All that depends on rows; nothing that depends on a commit's hash."""
    return [
        *(stored(store, window, commit=at) for window, _ in WINDOWS),
        *(bars(store, window, interval, at) for window, interval in WINDOWS if window is not ALL_TIME),
        *(store.log(TRADES, SYMBOL).at(at).version(window).number for window, _ in WINDOWS),
        store.log(TRADES, SYMBOL).at(at).commit.number,
        store.log(TRADES, SYMBOL).as_of(NOON + 5).commit.number,
    ]


def oracle_of(length: int) -> MemoryStore:
    """The store in memory after so many batches."""
    oracle = MemoryStore(clock=Clock())
    for number in range(1, length + 1):
        oracle.append(batch_of(number))
    return oracle


@pytest.mark.parametrize("spoil", [derived.spoil_one, derived.delete], ids=["garbage", "deleted"])
def test_spoiled_derived_files_change_no_answer(
    tmp_path: Path, rng: random.Random, tallied: Tallies, spoil: Any
):
    tally = tallied("12 .derived garbage")
    template, length = tmp_path / "template", 6
    store = CsvStore(template, clock=Clock(), disk=UnsyncedDisk())
    for number in range(1, length):
        store.append(batch_of(number))
        derived.derive(store, template)
    store.append(batch_of(length))
    oracles = [oracle_of(n) for n in range(length + 2)]
    for turn in range(TRIES):
        folder = tmp_path / str(turn)
        shutil.copytree(template, folder)
        for _ in range(rng.randint(1, 4)):
            spoil(folder, rng)
        reopened = CsvStore(folder, clock=Clock(), disk=UnsyncedDisk())
        at = rng.randint(1, length)
        wrong = [answers(reopened) != answers(oracles[length])]
        wrong += [answers(reopened, at)[:-1] != answers(oracles[at])[:-1]]
        reopened.append(batch_of(length + 1))
        wrong += [answers(reopened) != answers(oracles[length + 1])]
        derived.derive(reopened, folder)
        wrong += [answers(CsvStore(folder)) != answers(oracles[length + 1])]
        tally.add(acknowledged=length + 1, torn=sum(wrong))
        shutil.rmtree(folder)
    tally.settle()


def test_derived_files_of_another_past_are_not_believed(tmp_path: Path, tallied: Tallies):
    """A backup is put back without its derived files: those that are there know commits that no longer exist."""
    tally = tallied("12 .derived of another history")
    for kept in range(1, TRIES + 1):
        folder, backup = tmp_path / str(kept), tmp_path / f"{kept}-backup"
        store = CsvStore(folder, clock=Clock(), disk=UnsyncedDisk())
        length = 1 + kept % 4
        for number in range(1, length + 1):
            store.append(batch_of(number))
        shutil.copytree(folder, backup, ignore=shutil.ignore_patterns(".derived"))
        for number in range(50, 50 + kept % 3 + 1):
            store.append(batch_of(number))
        derived.derive(store, folder)
        kept_derived = derived.derived_folder(folder)
        if kept_derived.exists():
            shutil.copytree(kept_derived, derived.derived_folder(backup))
        restored = CsvStore(backup, clock=Clock(), disk=UnsyncedDisk())
        oracle = oracle_of(length)
        wrong = [answers(restored) != answers(oracle)]
        restored.append(batch_of(90))
        oracle.append(batch_of(90))
        wrong += [answers(restored) != answers(oracle)]
        tally.add(acknowledged=length + 1, torn=sum(wrong))
    tally.settle()


def write(folder: Path, inbox: Connection, outbox: Connection) -> None:
    store = CsvStore(folder)
    for number in range(1, BATCHES + 1):
        store.append(batch_of(number))
        if number % 3 == 0:
            derived.derive_if_possible(store)
    outbox.send("written")
    inbox.recv()


def read(folder: Path, inbox: Connection, outbox: Connection) -> None:
    """Answers until told to end; sends how many there were and which of them were wrong."""
    store, oracle, reads, wrong = CsvStore(folder), MemoryStore(), 0, []
    while not inbox.poll() or not reads:
        try:
            head = store.log(TRADES, SYMBOL).head.number
        except UnknownSymbol:
            continue
        for number in range(
            1 + (oracle.symbols(TRADES) != [] and oracle.log(TRADES, SYMBOL).head.number), head + 1
        ):
            oracle.append(batch_of(number))
        if stored(store, commit=head) != rows_sent(range(1, head + 1)):
            wrong.append(("rows", head))
        for window, interval in WINDOWS[1:]:
            if bars(store, window, interval, head) != bars(oracle, window, interval, head):
                wrong.append((f"bars of {interval}", head))
        reads += 1
    outbox.send((reads, wrong))
    inbox.recv()


def test_derived_files_that_vanish_and_rot_while_others_read_and_write(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    tally = tallied("12 .derived deleted and replaced while in use")
    with children(write, [(tmp_path,)]) as [writer], children(read, [(tmp_path,)] * 2) as readers:
        spoiled = 0
        while not writer.inbox.poll() or spoiled < TRIES:
            if derived.derived_folder(tmp_path).parent.exists():
                rng.choice([derived.delete, derived.replace_one])(tmp_path, rng)
                spoiled += 1
            assert not writer.inbox.poll(0.01) or writer.process.is_alive()
        assert writer.received() == "written"
        for reader in readers:
            reader.outbox.send("end")
        seen = [reader.received() for reader in readers]
    wrong = [each for _, of_reader in seen for each in of_reader]
    assert all(reads for reads, _ in seen)
    tally.add(tried=spoiled, acknowledged=BATCHES, torn=len(wrong))
    assert stored(CsvStore(tmp_path)) == rows_sent(range(1, BATCHES + 1))
    assert not wrong
    tally.settle()
