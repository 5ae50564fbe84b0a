"""Declarations in files: faults of their log."""

import fcntl
import multiprocessing
import random
import shutil
from pathlib import Path

import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.csv import CsvStore
from store.csv.log import log_lock
from store.datasets import DECLARED_INSTRUMENTS
from store.exceptions import AliasTaken, DataDamaged, StoreBusy
from store.instruments import Instrument
from store.protocol import Append
from tests.store.builders import NOON, SYMBOL, Clock, batch, trade
from tests.store.csv.disks import WatchedDisk

US = Instrument(SYMBOL, US_EQUITIES.name)
CHANGES = 11
MANY = [Instrument(name, exchange="XNYS") for name in ("B", "C", "D")]
INSTANTS = [None, 0, NOON]


@pytest.fixture
def store(tmp_path: Path) -> CsvStore:
    return CsvStore(tmp_path, clock=Clock(NOON))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "instruments" / "ALL"


def answers(store: CsvStore) -> list[object]:
    return [
        (store.declared_instruments(as_of_ns=at), *(store.declarations(s, as_of_ns=at) for s in (SYMBOL, "B")))
        for at in INSTANTS
    ]  # fmt: skip


def damages(store: CsvStore) -> list[str]:
    return [each.message for each in store.check(*DECLARED_INSTRUMENTS).findings()]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def test_flipped_and_torn_bytes_are_found_and_give_no_other_answer(store: CsvStore, log: Path) -> None:
    store.append(batch(trade(), symbol="IBM"))
    store.set_instruments([Instrument(SYMBOL, exchange="XNAS", aliases=("APL",)), *MANY])
    store.set_instruments([Instrument("Y"), Instrument("Z")])
    right, chance = answers(store), random.Random(44)
    for file in (log / "commits.jsonl", log / "1970.csv"):
        data = file.read_bytes()
        places = chance.sample(range(len(data)), 60)
        torn = [] if file.suffix == ".jsonl" else [data[:place] for place in places]
        for changed in (*(flipped(data, place) for place in places), *torn):
            file.write_bytes(changed)
            damaged = CsvStore(log.parents[1])
            assert damages(damaged)
            try:
                assert answers(damaged) == right
            except DataDamaged:
                assert damaged.canonical("IBM") == "IBM"
                with pytest.raises(DataDamaged):
                    damaged.canonical("APL")
        file.write_bytes(data)
    assert (answers(store), damages(store)) == (right, [])


def test_a_log_that_was_restored_is_read_from_its_beginning(
    store: CsvStore, log: Path, tmp_path: Path
) -> None:
    store.set_instrument(US)
    shutil.copytree(log, tmp_path / "kept")
    store.set_instruments(MANY)
    assert store.declared_instruments() == [US, *MANY]
    shutil.rmtree(log)
    (tmp_path / "kept").rename(log)
    assert store.declared_instruments() == [US]
    CsvStore(tmp_path, clock=Clock(NOON)).set_instruments([Instrument("Z"), Instrument("Y")])
    assert [each.symbol for each in store.declared_instruments()] == [SYMBOL, "Y", "Z"]


def test_a_thousand_at_once_are_one_write(tmp_path: Path) -> None:
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    instruments = [Instrument(f"S{number:04}", exchange="XNAS") for number in range(1000)]
    store.set_instruments(instruments)
    assert CsvStore(tmp_path).declared_instruments() == instruments
    # The folder's format, the rows, the commit record.
    assert (disk.calls["append"], disk.calls["sync"]) == (3, 3)


def test_a_declaration_does_not_wait_for_ever_for_another_process(
    store: CsvStore, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `manage.py instrument` that was stopped keeps its lock."""
    store.set_instrument(US)
    monkeypatch.setattr(log_lock, "LOCK_PATIENCE_SECONDS", 0.01)
    with (log / "commits.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy):
            store.set_instrument(MANY[0])
        assert store.instrument("B") == CsvStore(store._path).instrument("B") == Instrument("B")
    store.set_instrument(MANY[0])
    assert store.instrument("B") == MANY[0]


def change(folder: Path, name: str) -> None:
    """Declare an instrument repeatedly, last under the policy of US equities. Runs as a process."""
    store = CsvStore(folder)
    for number in range(CHANGES):
        policy = EVERY_PRINT if number % 2 else US_EQUITIES
        store.set_instrument(Instrument(name, policy.name))
        assert store.instrument(name).policy is policy


def test_declarations_of_several_processes_are_all_stored(tmp_path: Path) -> None:
    names = ["X", "Y", "Z"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([change.__module__])
    processes = [context.Process(target=change, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = CsvStore(tmp_path)
    assert [len(store.declarations(name)) for name in names] == [CHANGES] * 3
    assert {store.instrument(name).bar_policy for name in names} == {US_EQUITIES.name}


def test_only_one_of_two_processes_gets_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one declares it between the check and the write."""
    store, other = CsvStore(tmp_path), CsvStore(tmp_path)
    append = store.append

    def later(declared: Append) -> object:
        monkeypatch.setattr(store, "append", append)
        other.set_instrument(Instrument("META", aliases=("FB",)))
        return append(declared)

    monkeypatch.setattr(store, "append", later)
    with pytest.raises(AliasTaken, match="FB"):
        store.set_instrument(Instrument("FACEBOOK", aliases=("FB",)))
    assert [each.symbol for each in store.declared_instruments()] == ["META"]
