"""Each call to the disk fails, once or from then on: the store is unchanged, and a retry stores once."""

import errno
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import OutcomeUnknown, StoreFull, StoreUnavailable, UnknownSymbol
from store.protocol import Append
from tests.chance import cases_of
from tests.store.builders import DAY, SYMBOL, Row, batch, stored, trade
from tests.store.csv.disks import Ended, EndingDisk, FailingDisk

pytestmark = pytest.mark.system

PRIOR = [batch(trade(1), trade(2)), batch(trade(3, trade_id="a"), request_key="old")]
NEW = batch(trade(4, trade_id="b"), trade(DAY), trade(-1), trade(2 * DAY, trade_id="b"), request_key="new")
NEW_ROWS = [trade(-1), trade(4, trade_id="b"), trade(DAY), trade(2 * DAY, trade_id="b")]


def all_rows(store: CsvStore) -> list[Row]:
    try:
        return stored(store)
    except UnknownSymbol:
        return []


def by_time(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["timestamp"])


def lines_in_files(folder: Path) -> int:
    return sum(path.read_text().count("\n") - 1 for path in (folder / TRADES.name / SYMBOL).glob("*.csv"))


def fault(
    store: CsvStore, disk: FailingDisk, failing: int, request_key: str | None
) -> StoreUnavailable | None:
    """Return the batch's error if the nth call to the disk fails; None if there are fewer calls."""
    disk.calls.clear()
    disk.failing = failing
    try:
        store.append(replace(NEW, request_key=request_key))
    except StoreUnavailable as error:
        return error
    finally:
        disk.heal()
    assert not disk.failed
    return None


FAILURES: dict[str, dict[str, Any]] = {
    "ENOSPC once": {"code": errno.ENOSPC, "lasting": False, "share": 0.5},
    "EIO once": {"code": errno.EIO, "lasting": False, "share": 0.0},
    "ENOSPC lasting": {"code": errno.ENOSPC, "lasting": True, "share": 1.0},
    "EIO lasting": {"code": errno.EIO, "lasting": True, "share": 0.5},
}


@pytest.mark.parametrize(("name", "prior", "request_key"), cases_of(FAILURES, [0, 2], ["new", None]))
def test_any_failure_leaves_the_store_as_it_was_and_a_retry_stores_once(
    tmp_path: Path, name: str, prior: int, request_key: str | None
):
    failure, doubts = FAILURES[name], 0
    for failing in count(1):
        folder = tmp_path / str(failing)
        disk = FailingDisk(**failure)
        store = CsvStore(folder, disk=disk)
        for each in PRIOR[:prior]:
            store.append(each)
        before = all_rows(store)
        whole = by_time(before + NEW_ROWS)
        error = fault(store, disk, failing, request_key)
        if error is None:
            break
        seen = [all_rows(store), all_rows(CsvStore(folder))]
        if isinstance(error, OutcomeUnknown):
            doubts += 1
            assert seen in ([before, before], [whole, whole])
        else:
            assert type(error) is (StoreFull if failure["code"] == errno.ENOSPC else StoreUnavailable)
            assert seen == [before, before]
        again = store.append(replace(NEW, request_key=request_key))
        assert again.commit.number == prior + 1
        assert all_rows(store) == all_rows(CsvStore(folder)) == whole
        assert lines_in_files(folder) == len(whole)
        assert CsvStore(folder).append(batch(trade(9))).commit.number == prior + 2
    assert failing > 8
    assert doubts >= 1


@pytest.mark.parametrize("prior", [0, 2], ids=["first batch", "later batch"])
def test_a_killed_writer_leaves_all_of_its_batch_or_nothing(tmp_path: Path, prior: int):
    for ending in count(1):
        folder = tmp_path / str(ending)
        disk = EndingDisk()
        store = CsvStore(folder, disk=disk)
        for each in PRIOR[:prior]:
            store.append(each)
        before = all_rows(store)
        disk.calls.clear()
        disk.ending = ending
        try:
            store.append(NEW)
        except Ended:
            rows = all_rows(CsvStore(folder))
            assert rows in (before, by_time(before + NEW_ROWS))
            CsvStore(folder).append(NEW)
            assert all_rows(CsvStore(folder)) == by_time(before + NEW_ROWS)
            assert lines_in_files(folder) == len(before) + len(NEW_ROWS)
        else:
            break
    assert ending > 8


def test_an_unconfirmed_record_is_synced_before_it_is_replayed(tmp_path: Path):
    disk = FailingDisk()
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(1)))
    disk.calls.clear()
    disk.failing = 4
    keyed = batch(trade(2), request_key="k")
    with pytest.raises(OutcomeUnknown):
        store.append(keyed)
    assert disk.failed == ["sync"]
    for again in (keyed, batch(trade(2))):
        disk.calls.clear()
        disk.failing = 1
        with pytest.raises(OutcomeUnknown):
            store.append(again)
    disk.heal()
    assert store.append(keyed).replayed
    assert disk.calls["sync"] == 2
    assert store.append(batch(trade(2))).stored == 0
    assert disk.calls["sync"] == 2


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        pytest.param([], "append append sync sync sync_folder append sync", id="first batch"),
        pytest.param([batch(trade(0))], "append append sync sync sync_folder append sync", id="new file"),
        pytest.param([batch(trade(0), trade(DAY))], "append append sync sync append sync", id="no new file"),
    ],
)
def test_rows_are_durable_before_the_record_and_the_record_before_the_answer(
    tmp_path: Path, prior: list[Append], expected: str
):
    disk = FailingDisk()
    store = CsvStore(tmp_path / "store", disk=disk)
    for each in prior:
        store.append(each)
    calls: list[str] = []
    disk.after = lambda name, _number: calls.append(name)
    store.append(batch(trade(5), trade(DAY + 5)))
    made_folders = ["sync_folder"] * (0 if prior else 3)
    assert calls == [*made_folders, *expected.split()]


def synced_folders(disk: FailingDisk, store: CsvStore, symbol: str) -> int:
    disk.calls.clear()
    store.append(batch(trade(1), symbol=symbol))
    return disk.calls["sync_folder"]


def test_the_folders_of_all_symbols_are_synced_once_by_each_store(tmp_path: Path):
    disk = FailingDisk()
    store = CsvStore(tmp_path / "store", disk=disk)
    assert synced_folders(disk, store, "A") == 4
    assert synced_folders(disk, store, "B") == 2
    other = CsvStore(tmp_path / "store", disk=(its_disk := FailingDisk()))
    assert synced_folders(its_disk, other, "C") == 4


def test_a_folder_that_was_deleted_is_synced_when_it_is_made_again(tmp_path: Path):
    disk = FailingDisk()
    store = CsvStore(tmp_path / "store", disk=disk)
    store.append(batch(trade(1), symbol="A"))
    shutil.rmtree(tmp_path / "store")
    disk.failing = 1
    with pytest.raises(StoreUnavailable):
        synced_folders(disk, store, "B")
    disk.heal()
    assert synced_folders(disk, store, "B") == 4


def test_a_failure_of_one_symbol_does_not_affect_another(tmp_path: Path):
    disk = FailingDisk(1, lasting=True)
    store = CsvStore(tmp_path, disk=disk)
    with pytest.raises(StoreUnavailable):
        store.append(batch(trade(1)))
    disk.heal()
    store.append(batch(trade(1), symbol="MSFT"))
    assert store.symbols(TRADES) == ["MSFT"]


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_rows_that_could_not_be_written_are_cut_off(tmp_path: Path, failing: int):
    disk = FailingDisk(code=errno.ENOSPC)
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(0), trade(DAY)))
    files = sorted((tmp_path / TRADES.name / SYMBOL).glob("*.csv"))
    sizes = [path.stat().st_size for path in files]
    disk.calls.clear()
    disk.failing = failing
    with pytest.raises(StoreFull):
        store.append(batch(trade(5), trade(DAY + 5)))
    assert [path.stat().st_size for path in files] == sizes


def test_reads_work_on_a_full_disk(tmp_path: Path):
    disk = FailingDisk()
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(1)))
    disk.calls.clear()
    disk.failing, disk.lasting = 1, True
    for number in range(3):
        with pytest.raises(StoreUnavailable):
            store.append(batch(trade(2 + number)))
        assert stored(store) == [trade(1)]
    assert store.append(batch(trade(1))).stored == 0
