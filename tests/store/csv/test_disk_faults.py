"""Which folders are synced, and what is undone if the disk refuses; `tests/faults` tries an error at any call."""

import errno
import shutil
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreFull, StoreUnavailable
from tests.store.builders import DAY, SYMBOL, batch, trade
from tests.store.csv.disks import FailingDisk

pytestmark = pytest.mark.system


def synced_folders(disk: FailingDisk, store: CsvStore, symbol: str) -> int:
    disk.calls.clear()
    store.append(batch(trade(1), symbol=symbol))
    return disk.calls["sync_folder"]


def test_the_folders_of_all_symbols_are_synced_once_by_each_store(tmp_path: Path):
    disk = FailingDisk()
    store = CsvStore(tmp_path / "store", disk=disk)
    # The first one also writes the folder's format.
    assert synced_folders(disk, store, "A") == 5
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
    assert synced_folders(disk, store, "B") == 5


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
