"""Reads and writes of a log's file while others write, cut, damage or replace it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.log import log_lock
from store.exceptions import StoreBusy, UnknownSymbol
from store.protocol import ALL_TIME
from tests.store.builders import DAY, SYMBOL, Clock, batch, open_log, stored, trade, trades_of
from tests.store.csv.disks import WatchedDisk

LOG = f"trades/{SYMBOL}/commits.jsonl"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with three commits."""
    store = CsvStore(tmp_path / "store", clock=Clock())
    for number in (1, 2, 3):
        store.append(batch(trade(number, trade_id=str(number)), trade(DAY + number), request_key=str(number)))
    return tmp_path / "store"


def times(store: CsvStore) -> list[int]:
    return [row["timestamp"] for row in stored(store)]


class FakeTime:
    """A clock on which each sleep takes `seconds`; `release` is called after `sleeps` of them."""

    def __init__(self, seconds: float, *, sleeps: int = -1, release: Callable[[], None]) -> None:
        self._seconds, self._sleeps, self._release = seconds, sleeps, release
        self._now = 100.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, _seconds: float) -> None:
        self._now += self._seconds
        self._sleeps -= 1
        if self._sleeps == 0:
            self._release()


def test_a_writer_waits_for_the_lock(written: Path, monkeypatch):
    with (written / LOG).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        release = partial(fcntl.flock, other, fcntl.LOCK_UN)
        monkeypatch.setattr(log_lock, "time", FakeTime(0.001, sleeps=2_000, release=release))
        assert CsvStore(written).append(batch(trade(4))).stored == 1


def test_a_lock_that_is_not_free_in_time_is_store_busy(written: Path, monkeypatch):
    with (written / LOG).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(log_lock, "time", FakeTime(0.001, release=lambda: None))
        with pytest.raises(StoreBusy):
            CsvStore(written).append(batch(trade(4)))


def test_a_read_during_a_write_does_not_count_the_commit_twice(tmp_path: Path):
    disk = WatchedDisk()
    store = CsvStore(tmp_path, disk=disk)
    store.append(batch(trade(0)))
    seen: list[int] = []
    disk.after = lambda _name, _number: seen.append(len(stored(store)))
    for number in range(1, 4):
        assert store.append(batch(trade(number))).commit.number == number + 1
    assert sorted(seen) == seen
    assert len(seen) == 12
    assert trades_of(store).head.number == 4
    assert len(stored(store)) == 4
    assert stored(store) == stored(CsvStore(tmp_path))
    assert CsvStore(tmp_path).append(batch(trade(9))).commit.number == 5


def restored_by_rename(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def restored_in_place(backup: Path, folder: Path) -> None:
    for path in folder.iterdir():
        source = backup / path.name
        path.write_bytes(source.read_bytes() if source.exists() else b"")


@pytest.fixture(params=[restored_by_rename, restored_in_place])
def restored(request, tmp_path: Path) -> tuple[CsvStore, CsvStore]:
    """Return a store that read three commits of a log, which was then restored to two and got another one."""
    clock = Clock()
    open_before = CsvStore(tmp_path / "store", clock=clock)
    for number in (1, 2):
        open_before.append(batch(trade(number, trade_id=str(number))))
    shutil.copytree(tmp_path / f"store/trades/{SYMBOL}", tmp_path / "backup")
    open_before.append(batch(trade(3, trade_id="3")))
    assert len(stored(open_before)) == 3
    request.param(tmp_path / "backup", tmp_path / f"store/trades/{SYMBOL}")
    return open_before, CsvStore(tmp_path / "store", clock=clock)


def test_a_restored_log_repeats_numbers_with_other_hashes(restored):
    open_before, other = restored
    lost = open_log(open_before).commits._loaded.history.head()
    assert times(open_before) == [trade(1)["timestamp"], trade(2)["timestamp"]]
    again = other.append(batch(trade(4, trade_id="4"))).commit
    assert (again.number, lost.number) == (3, 3)
    assert again.hash != lost.hash
    assert trades_of(open_before).head == trades_of(open_before).at().version(ALL_TIME) == again
    assert times(open_before) == times(other)


def test_a_restored_log_of_the_old_length_is_noticed(restored):
    open_before, other = restored
    again = other.append(batch(trade(4, trade_id="4"))).commit
    assert trades_of(open_before).head == again
    assert times(open_before) == times(other)


def test_rows_that_a_restored_log_lacks_are_stored_again(restored):
    open_before, other = restored
    other.append(batch(trade(4, trade_id="4")))
    assert open_before.append(batch(trade(3, trade_id="3"))).stored == 1
    assert open_before.append(batch(trade(4, trade_id="4"))).stored == 0
    assert len(stored(other)) == 4


def test_a_deleted_log_is_unknown_and_can_begin_again(written: Path):
    store = CsvStore(written)
    assert len(stored(store)) == 6
    shutil.rmtree(written / f"trades/{SYMBOL}")
    with pytest.raises(UnknownSymbol):
        stored(store)
    assert store.append(batch(trade(1))).commit.number == 1
    assert len(stored(store)) == 1


def test_a_record_that_replaced_a_torn_one_of_its_length_is_not_cut_off(written: Path):
    log = (written / LOG).read_bytes()
    last = log.rindex(b"\n", 0, -1) + 1
    (written / LOG).write_bytes(log[:last] + b"x" * (len(log) - last))
    store = CsvStore(written)
    assert trades_of(store).head.number == 2
    read_at = (written / LOG).stat()
    with (written / LOG).open("r+b") as file:
        file.write(log)
    os.utime(written / LOG, ns=(read_at.st_atime_ns, read_at.st_mtime_ns))
    assert store.append(batch(trade(9))).commit.number == 4
    assert len(stored(CsvStore(written))) == 7
