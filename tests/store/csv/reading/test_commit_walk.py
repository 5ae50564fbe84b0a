"""A walk over a log: commits are synced before they are yielded; writers remove records; logs change."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from store.commits import VERSION
from store.csv import CsvStore
from store.csv.files import part_reader
from store.csv.log.commit_log import CommitLog
from store.csv.reading import commit_walk
from store.datasets import TRADES
from store.exceptions import DataDamaged, StoreBusy, StoreUnavailable
from store.protocol import CommitId
from store.walk import BEGINNING, CommitPiece, CommitRecord, LogPosition, Resync
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import DAY, SYMBOL, amendment, batch, cancel, correct, open_log, record_batch, trade
from tests.store.csv.disks import FailingDisk, WatchedDisk
from tests.store.csv.writing.test_group_commit import wait_until
from tests.store.walking import flat, walk

pytestmark = pytest.mark.system

FILE = f"trades/{SYMBOL}/2025-01-02.csv"


def numbers(pieces: list[CommitPiece]) -> list[int]:
    return [piece.id.number for piece in pieces if isinstance(piece, CommitRecord)]


def test_commits_of_another_process_are_synced_once_before_they_are_yielded(tmp_path: Path):
    its_disk, disk = WatchedDisk(), FailingDisk(failing=1)
    writer, follower = CsvStore(tmp_path, disk=its_disk), CsvStore(tmp_path, disk=disk)
    writer.append(batch(trade(1)))
    with pytest.raises(StoreUnavailable):
        follower.log(TRADES, SYMBOL).commits(BEGINNING)
    disk.calls.clear()
    disk.heal()
    begun = follower.log(TRADES, SYMBOL).commits(BEGINNING)
    assert disk.calls == {"sync": 1, "sync_folder": 1}
    assert numbers(list(begun)) == numbers(walk(follower)) == [1]
    assert disk.calls.total() == 2
    writer.append(batch(trade(2)))
    assert numbers(walk(follower)) == [1, 2]
    assert disk.calls == {"sync": 2, "sync_folder": 1}
    its_disk.calls.clear()
    assert numbers(walk(writer)) == [1, 2]
    assert not its_disk.calls


class FillingDisk(WatchedDisk):
    """A disk that is full during the second write of commit records: one record of a group is written and removed."""

    def __init__(self) -> None:
        super().__init__()
        self.logs = 0

    def append(self, descriptor: int, data: bytes) -> None:
        is_log = data.startswith(VERSION)
        self.logs += is_log
        if is_log and self.logs == 2:
            os.write(descriptor, data[: data.index(b"\n") + 5])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(descriptor, data)


def test_a_record_that_its_writer_removes_is_not_yielded(tmp_path: Path):
    """A disk that is full during the records of a group: the first one is complete until it is cut off."""
    disk = FillingDisk()
    writer, follower = CsvStore(tmp_path, disk=disk), CsvStore(tmp_path)
    groups = open_log(writer).writer._groups
    seen: list[list[int]] = []
    following = threading.Thread(target=lambda: seen.append(numbers(walk(follower))))

    def gather(name: str, _number: int) -> None:
        if name == "append" and not disk.logs:  # during the first batch's rows two others come
            wait_until(lambda: len(groups._waiting) == 2)
        if name == "truncate" and disk.logs == 2 and not following.is_alive() and not seen:
            following.start()
            following.join(0.3)  # without the lock it would have ended by now

    disk.before = gather
    threads = [threading.Thread(target=append_quietly, args=(writer, number)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in [*threads, following]:
        thread.join(PATIENCE_SECONDS)
    assert disk.logs == 2
    assert seen == [[1]]
    assert numbers(walk(follower)) == [1]


def append_quietly(store: CsvStore, number: int) -> None:
    try:
        store.append(batch(trade(number)))
    except StoreUnavailable:
        return


def test_a_stopped_writer_delays_a_walk_only_if_records_must_be_synced(tmp_path: Path):
    writer, follower = CsvStore(tmp_path), CsvStore(tmp_path)
    writer.append(batch(trade(1)))
    assert numbers(walk(follower)) == [1]
    with open_log(writer).commits.locked():
        assert numbers(walk(follower)) == [1]
        with pytest.raises(StoreBusy):
            walk(CsvStore(tmp_path))


def test_a_walk_during_a_restore_is_resync(tmp_path: Path):
    store = CsvStore(tmp_path / "store")
    store.append(batch(trade(1)))
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    store.append(batch(trade(2), trade(DAY)))
    follower = CsvStore(tmp_path / "store")
    begun = follower.log(TRADES, SYMBOL).commits(BEGINNING)
    assert [next(begun).position.commit.number for _ in range(3)] == [1, 1, 2]
    shutil.rmtree(tmp_path / "store")
    shutil.copytree(tmp_path / "backup", tmp_path / "store")
    with pytest.raises(Resync) as caught:
        list(begun)
    assert caught.value.head == CsvStore(tmp_path / "store").log(TRADES, SYMBOL).head
    assert numbers(walk(follower)) == [1]


def test_a_log_restored_to_a_walks_position_is_not_damaged(tmp_path: Path):
    store = CsvStore(tmp_path / "store")
    place = LogPosition(store.append(batch(trade(1))).commit)
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    for number in range(2, 70):
        store.append(batch(trade(number)))
    open_log(store).commits.write_index()
    begun = CsvStore(tmp_path / "store").log(TRADES, SYMBOL).commits(place)
    shutil.rmtree(tmp_path / "store")
    shutil.copytree(tmp_path / "backup", tmp_path / "store")
    with pytest.raises(StoreUnavailable, match="restored") as caught:
        list(begun)
    assert not isinstance(caught.value, DataDamaged)


def forgetful(current):
    """As if a writer of the process discarded the history just after it was read."""

    def read(log: CommitLog) -> object:
        view = current(log)
        log.forget()
        return view

    return read


def test_a_walk_continues_after_a_writer_discards_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    CsvStore(tmp_path).append(batch(trade(1)))
    monkeypatch.setattr(CommitLog, "_current", forgetful(CommitLog._current))
    assert numbers(walk(CsvStore(tmp_path))) == [1]


def test_a_deleted_log_is_resync_for_its_followers(tmp_path: Path):
    store = CsvStore(tmp_path)
    place = LogPosition(store.append(batch(trade(1))).commit)
    begun = store.log(TRADES, SYMBOL).commits(BEGINNING)
    shutil.rmtree(tmp_path / "trades")
    for walked in (lambda: store.log(TRADES, SYMBOL).commits(place), lambda: list(begun)[2:]):
        with pytest.raises((Resync, DataDamaged)) as caught:
            walked()
        assert isinstance(caught.value, Resync)


def test_a_log_cut_before_it_is_read_is_resync(tmp_path: Path):
    store = CsvStore(tmp_path)
    commits = [store.append(batch(trade(number))).commit for number in range(70)]
    open_log(store).commits.write_index()
    begun = CsvStore(tmp_path).log(TRADES, SYMBOL).commits(LogPosition(commits[2]))
    shutil.rmtree(tmp_path / "trades")
    with pytest.raises(Resync):
        list(begun)


def test_a_walk_can_continue_after_damaged_rows(tmp_path: Path):
    store = CsvStore(tmp_path)
    for number in (1, 2, 3):
        store.append(batch(trade(number, float(number))))
    data = bytearray((tmp_path / FILE).read_bytes())
    data[data.index(b",2,1,")] ^= 1
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(DataDamaged, match="commit 2"):
        walk(store)
    begun = store.log(TRADES, SYMBOL).commits(BEGINNING)
    place = [next(begun) for _ in range(3)][-1].position
    assert place.commit.number == 2
    assert numbers(walk(store, LogPosition(place.commit))) == [3]


def test_indexed_records_are_read_from_the_log(tmp_path: Path):
    store = CsvStore(tmp_path)
    for number in range(70):
        store.append(batch(trade(number)))
    store.correct(amendment(cancel(3, price=100.0, volume=1.0)))
    whole = flat(walk(store))
    open_log(store).commits.write_index()
    store.append(batch(trade(99)))
    fresh = CsvStore(tmp_path)
    assert flat(walk(fresh, upto=71)) == whole
    place = LogPosition(fresh.log(TRADES, SYMBOL).at(40).commit, 0)
    assert flat(walk(fresh, place))[:-2] == [
        each for each in whole if commit_of(each).number > 40 or each is whole[79]
    ]


def commit_of(each: object) -> CommitId:
    return each.id if isinstance(each, CommitRecord) else each[0]  # type: ignore[index]


def test_a_large_commit_comes_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pieces of a few blocks are read correctly, wherever they cut a line, a quoted line end, or a character."""
    monkeypatch.setattr(part_reader, "SLICE_BLOCKS", 1)
    rows = [trade(n, 1.0 + n, conditions=f"é,{n}\n\n\n" * (n % 7)) for n in range(2000)]
    store = CsvStore(tmp_path)
    commit = store.append(batch(*rows)).commit
    _, *pieces = walk(store)
    assert len(pieces) > 20
    assert [each for _, _, each in flat(pieces)] == record_batch(*rows).to_pylist()
    assert [each[1] for each in flat(walk(store, LogPosition(commit, 1234)))] == [*range(1234, 2000)]


def test_a_line_without_an_end_is_not_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(part_reader, "SLICE_BLOCKS", 1)
    monkeypatch.setattr(part_reader, "_LONGEST_LINE", 5000)
    store = CsvStore(tmp_path)
    store.append(batch(trade(1, conditions="\n" * 9000)))
    with pytest.raises(DataDamaged, match="a line has over"):
        walk(store)


def test_corrections_come_in_bounded_pieces_from_any_ordinal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commit_walk, "PIECE_ROWS", 3)
    store = CsvStore(tmp_path)
    store.append(batch(*(trade(n, 1.0 + n, trade_id=str(n)) for n in range(4))))
    new = [correct(n % 4, trade_id=str(n % 4), new={"price": 50.0 + n}) for n in range(8)]
    commit = store.correct(amendment(*new, cancel(2, trade_id="2"))).commit
    whole = flat(walk(store, LogPosition(commit, 0)))
    assert len(whole) == 9
    for taken in range(10):
        assert flat(walk(store, LogPosition(commit, taken))) == whole[taken:]
