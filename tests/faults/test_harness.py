"""Disks that promise what they do not keep: the account of what a power cut leaves shows each of them."""

import random
from itertools import count
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.exceptions import DataDamaged, OtherVersion
from tests.faults.batches import all_rows, batch_of, findings, rows_of
from tests.faults.derived import derive
from tests.faults.power import Luck, PowerCutDisk, is_log, restored
from tests.faults.table import Tally, table

BATCHES = range(1, 5)


class NoSync(PowerCutDisk):
    def sync(self, descriptor: int) -> None:
        pass


class NoSyncOfRows(PowerCutDisk):
    def sync(self, descriptor: int) -> None:
        if is_log(descriptor):
            super().sync(descriptor)


class NoSyncOfRecords(PowerCutDisk):
    def sync(self, descriptor: int) -> None:
        if not is_log(descriptor):
            super().sync(descriptor)


class NoSyncOfNames(PowerCutDisk):
    def sync_folder(self, folder: Path) -> None:
        pass


def finds_something(disk: PowerCutDisk, tmp_path: Path) -> bool:
    store, folders, rng = CsvStore(tmp_path / "store", disk=disk), count(), random.Random(5)
    for number in BATCHES:
        store.append(batch_of(number))
        disk.acknowledged(number)
    disk.now()
    for moment in disk.moments:
        for luck in (Luck(rng, kept=False), Luck(rng)):
            folder = restored(moment, tmp_path / str(next(folders)), luck)
            try:
                if findings(all_rows(CsvStore(folder)), moment.acknowledged):
                    return True
            except (DataDamaged, OtherVersion):
                return True
    return False


@pytest.mark.parametrize("disk", [NoSync, NoSyncOfRows, NoSyncOfRecords, NoSyncOfNames])
def test_a_sync_that_is_left_out_is_found(tmp_path: Path, disk: type[PowerCutDisk]):
    assert finds_something(disk(tmp_path / "store"), tmp_path)


def test_a_disk_that_keeps_its_word_is_not_suspected(tmp_path: Path):
    assert not finds_something(PowerCutDisk(tmp_path / "store"), tmp_path)


def test_rows_that_are_missing_doubled_or_altered_are_found():
    rows = [*rows_of(3), *rows_of(4), *rows_of(5)]
    assert not findings(rows, {3, 4})
    assert findings(rows_of(3), {3, 4}).lost == {4}
    assert findings([*rows, rows[0]], set()).torn == {3}
    assert findings([rows[0] | {"price": 2.5}, *rows[1:]], set()).torn == {3}
    assert len(rows_of(6)) > 1
    assert findings(rows_of(6)[:-1], {6}).torn == {6}


def test_tallies_of_one_fault_are_one_line_and_a_loss_is_no_success():
    lines = table([("b", 1, 2, 0, 0), ("a", 9, 9, 0, 1), ("b", 2, 3, 4, 0)])
    assert [line.replace(" ", "") for line in lines[2:]] == ["|a|9|9|0|1|", "|b|3|5|4|0|"]
    for lost, torn in ((1, 0), (0, 1)):
        with pytest.raises(AssertionError):
            Tally("x", tried=1000, lost=lost, torn=torn).settle()
    with pytest.raises(AssertionError):
        Tally("never tried").settle()


def test_derived_files_that_are_promised_and_not_made_are_found(tmp_path: Path):
    class Idle(CsvStore):
        def derive(self, *_: object, **__: object) -> None:
            pass

    store = Idle(tmp_path)
    store.append(batch_of(1))
    with pytest.raises(AssertionError, match="nothing was made"):
        derive(store, tmp_path)
