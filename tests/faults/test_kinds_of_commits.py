"""Commits of rows, of corrections and of both at once: power cuts, ends torn at any byte, and errors at any call."""

import errno
import random
import shutil
from itertools import count
from pathlib import Path

import orjson
import pytest

from store.csv import CsvStore
from store.exceptions import (
    CorrectionTargetMissing,
    OutcomeUnknown,
    StorageError,
    StoreFull,
    StoreUnavailable,
    UnknownSymbol,
)
from store.market_store import MarketStore
from store.protocol import Amendment, Append, Receipt
from tests.chance import SOAK
from tests.faults.batches import all_rows
from tests.faults.power import RECORDS, PowerCutDisk, UnsyncedDisk, restored
from tests.faults.table import Tallies, Tally
from tests.faults.test_power_cut import lucks
from tests.memory_store import MemoryStore
from tests.store.builders import (
    DAY,
    MINUTE,
    SYMBOL,
    Clock,
    Row,
    amendment,
    batch,
    cancel,
    correct,
    fill_of,
    trade,
)
from tests.store.csv.disks import FailingDisk

STEP = 1 if SOAK else 61
STRIDE = 1 if SOAK else 4
LOG = f"trades/{SYMBOL}/{RECORDS}"


def trades(start: int, number: int, step: int, price: float = 1.0) -> list[Row]:
    return [trade(start + n * step, price + n / 8, conditions=f"{start}") for n in range(number)]


# Two of them repeat no row and have no key: only their rows and values tell that they come again.
SENT: list[Append | Amendment] = [
    batch(*trades(-MINUTE, 3, 10), request_key="0"),
    batch(*trades(0, 15, MINUTE), *trades(DAY, 15, MINUTE), fill=fill_of(0, 2 * DAY), request_key="1"),
    batch(*trades(0, 12, MINUTE), *trades(DAY, 5, MINUTE, 7.0), request_key="2"),
    amendment(correct(0, price=1.0, new={"price": 2.5}), cancel(DAY, price=7.0), cancel(-MINUTE, price=1.0)),
    batch(*trades(DAY + 5 * MINUTE, 3, 3 * MINUTE, 7.0), request_key="3"),
    batch(trade(-DAY), trade(2 * DAY, trade_id="a"), trade(DAY + 1)),
]


def send(store: MarketStore, each: Append | Amendment) -> Receipt:
    return store.correct(each) if isinstance(each, Amendment) else store.append(each)


@pytest.fixture
def states() -> list[list[Row]]:
    """The rows after each number of batches."""
    store = MemoryStore(clock=Clock())
    superseded, found = 0, [list[Row]()]
    for each in SENT:
        superseded += send(store, each).superseded or 0
        found.append(all_rows(store))
    assert superseded
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
        send(store, each)
    assert all_rows(store) == all_rows(CsvStore(folder)) == states[-1]
    assert has_no_other_bytes(folder)


def has_no_other_bytes(folder: Path) -> bool:
    """Whether the files of rows and corrections end with the last commit that names them."""
    records = [orjson.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    parts = [part for record in records for part in record["parts"]]
    ends = {part["file"]: part["offset"] + part["length"] for part in parts}
    return ends == {path.name: path.stat().st_size for path in (folder / LOG).parent.glob("*.csv")}


def test_a_power_cut_at_any_write_or_sync(
    tmp_path: Path, rng: random.Random, tallied: Tallies, states: list[list[Row]]
):
    tally = tallied("01 power cut at every write and sync")
    disk, folders = PowerCutDisk(tmp_path / "store"), count()
    store = CsvStore(tmp_path / "store", disk=disk)
    for number, each in enumerate(SENT):
        send(store, each)
        disk.acknowledged(number)
    disk.now()
    for moment in disk.moments:
        for luck in lucks(rng):
            folder = restored(moment, tmp_path / str(next(folders)), luck)
            look(folder, states, len(moment.acknowledged), tally)
            go_on(folder, states)
            shutil.rmtree(folder)
    tally.settle()


@pytest.mark.parametrize("last", [2, 3], ids=["rows and cancels", "corrections"])
def test_ends_that_are_torn_at_any_byte(tmp_path: Path, tallied: Tallies, states: list[list[Row]], last: int):
    """Of the record with whole rows and cancels, and of the rows and the cancels without the record."""
    tally = tallied("03 last record or last rows torn")
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, sent in ((before, SENT[:last]), (after, SENT[: last + 1])):
        store = CsvStore(folder, clock=Clock())
        for each in sent:
            send(store, each)
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
            assert look(copy, states, last, tally) == last
            go_on(copy, states)
            shutil.rmtree(copy)
    tally.settle()


def refusal_of(store: MarketStore, each: Append | Amendment) -> type[StorageError] | None:
    try:
        send(store, each)
    except StorageError as error:
        return type(error)
    return None


def sent_to(store: CsvStore, oracle: MarketStore, folder: Path, expected: type[StorageError]) -> int:
    """Send all, to the oracle what is acknowledged, or is in doubt and there; return how many were acknowledged."""
    refusals, rows = [], all_rows(oracle)
    for each in SENT:
        refusal = refusal_of(store, each)
        refusals.append(refusal)
        seen = [all_rows(store), all_rows(CsvStore(folder))]
        is_there = seen[1] != rows
        if refusal in {CorrectionTargetMissing, UnknownSymbol}:
            assert refusal_of(oracle, each) is refusal
        elif refusal is None or (refusal is OutcomeUnknown and is_there):
            send(oracle, each)
        rows = all_rows(oracle)
        assert seen == [rows, rows]
    assert {*refusals} <= {None, CorrectionTargetMissing, UnknownSymbol, OutcomeUnknown, expected}
    return refusals.count(None)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from there on"])
def test_an_error_at_any_call_to_the_disk(
    tmp_path: Path, rng: random.Random, tallied: Tallies, *, lasting: bool
):
    """What is refused is not there, in no reader, and nothing keeps the store from going on."""
    tally = tallied("13 I/O error at every call to the disk")
    refusals = {errno.EIO: StoreUnavailable, errno.ENOSPC: StoreFull, errno.EROFS: StoreUnavailable}
    for failing in count(rng.randint(1, STRIDE), STRIDE):
        code, share = rng.choice([*refusals]), rng.choice([rng.random(), 1.0, 1.0])
        disk, folder = FailingDisk(failing, code=code, lasting=lasting, share=share), tmp_path / str(failing)
        store, oracle = CsvStore(folder, disk=disk), MemoryStore()
        tally.add(acknowledged=sent_to(store, oracle, folder, refusals[code]))
        if not disk.failed:
            break
        disk.heal()
        for each in SENT:
            assert send(store, each).commit.number == send(oracle, each).commit.number
        assert all_rows(store) == all_rows(CsvStore(folder)) == all_rows(oracle)
        assert has_no_other_bytes(folder)
    assert failing > 30
    tally.settle()
