"""A walk over commits, in another process, over kills and a restore; what it yielded, over power cuts."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.csv.files.format_file import FORMAT_FILE
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.walk import CommitRecord
from tests.chance import SOAK
from tests.faults import following
from tests.faults.batches import batch_of
from tests.faults.following import RESYNC, amendment_of, gaps
from tests.faults.power import RECORDS, PowerCutDisk, restored
from tests.faults.processes import THREADS, Child, children
from tests.faults.table import Tallies
from tests.faults.test_limits import folder, small_disk  # noqa: F401 fixtures
from tests.faults.test_power_cut import lucks
from tests.faults.test_processes import WRITERS, lived
from tests.store.builders import SYMBOL
from tests.store.csv.disks import Ended
from tests.store.walking import flat, walk

KILLS = 100 if SOAK else 8
BACKUP, RESTORE, RESTORE_UNSEEN = KILLS // 4, KILLS // 2, 3 * KILLS // 4


def back_up(store: Path, to: Path) -> None:
    """The folder's format, and the records before the rows that they name."""
    log = Path("trades") / SYMBOL
    shutil.rmtree(to, ignore_errors=True)
    (to / log).mkdir(parents=True)
    shutil.copy(store / FORMAT_FILE, to)
    shutil.copy(store / log / RECORDS, to / log)
    for file in (store / log).glob("*.csv"):
        shutil.copy(file, to / log)


def found_by(follower: Child) -> list[list[Any]]:
    """What a follower found so far: of the first log, and of each that was restored."""
    follower.outbox.send("report")
    found: list[list[Any]] = [[]]
    for each in follower.received():
        if each == RESYNC:
            found.append([])
        else:
            found[-1].append(each)
    return found


def numbers_of(found: list[Any]) -> set[int]:
    """The batches whose rows were found."""
    rows = (each[2] for each in found if not isinstance(each, CommitRecord))
    return {int(row["conditions"].split(":")[0]) for row in rows if isinstance(row, dict)}


@contextmanager
def stood_still(child: Child) -> Iterator[None]:
    pid = child.process.pid or 0
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def restore(backup: Path, data: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(backup, data)


def restore_and_outgrow(backup: Path, data: Path, first: int) -> int:
    """Restore, and write until the log has as many commits as before; returns the next batch's number."""
    before = CsvStore(data).log(TRADES, SYMBOL).head.number
    restore(backup, data)
    store = CsvStore(data)
    while store.log(TRADES, SYMBOL).head.number <= before:
        store.append(batch_of(first))
        first += 1
    return first


def test_a_follower_over_kill_9_of_the_writers_and_restores(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    """It sees one restore as it happens; during the other one it stands still, until the log is longer than before."""
    tally, data, first = tallied("14 follower, writers killed and logs restored"), tmp_path / "data", 0
    acknowledged: set[int] = set()
    with children(following.follow, [(data, rng.randrange(2**32))]) as [follower]:
        for kill in range(KILLS):
            if kill == RESTORE:
                restore(tmp_path / "backup", data)
            if kill == RESTORE_UNSEEN:
                with stood_still(follower):
                    first = restore_and_outgrow(tmp_path / "backup", data, first)
            if kill in {RESTORE, RESTORE_UNSEEN}:
                acknowledged &= numbers_of(flat(walk(CsvStore(data))))
            arguments = [(data, count(first + n, WRITERS)) for n in range(WRITERS)]
            with children(following.write_until_killed, arguments) as pair:
                lived_through = lived(pair, rng)
            if kill == BACKUP:
                back_up(data, tmp_path / "backup")
            acknowledged |= lived_through
            first = max(lived_through) + 2 * WRITERS * THREADS
            found = found_by(follower)
            lost = acknowledged - numbers_of(found[-1])
            torn = len(gaps(found[-1])) + (found[-1] != flat(walk(CsvStore(data))))
            tally.add(acknowledged=len(acknowledged), lost=len(lost), torn=torn)
            assert len(found) == 1 + (kill >= RESTORE) + (kill >= RESTORE_UNSEEN)
    tally.settle()


class Outlived(PowerCutDisk):
    """Keeps account of a disk on which a writer ends before the nth call from now on; others use it after that."""

    ending: int | None = None

    @contextmanager
    def _boundary(self, name: str) -> Iterator[None]:
        if self.ending is not None:
            self.ending -= 1
            if self.ending <= 0:
                raise Ended
        with super()._boundary(name):
            yield


def write_a_part(disk: Outlived, data: Path, prior: int, ending: int) -> bool:
    """Some batches, and another one that ends amid its write, or (False) gets to its end."""
    store = CsvStore(data, disk=disk)
    for number in range(1, prior + 1):
        store.append(batch_of(number))
    disk.ending = ending
    try:
        store.correct(amendment_of(prior)) if prior == 3 else store.append(batch_of(prior + 1))
    except Ended:
        return True
    finally:
        disk.ending = None
    return False


@pytest.mark.parametrize("prior", [0, 1, 3], ids=["first batch", "later batch", "corrections"])
def test_what_was_yielded_before_a_power_cut_is_there_after_it(
    tmp_path: Path, rng: random.Random, tallied: Tallies, prior: int
):
    """Behind a writer that died at any of its calls to the disk: its record may be there, and not durable."""
    tally = tallied("14 follower, then a power cut")
    for ending in count(1):
        case = tmp_path / str(ending)
        disk = Outlived(case / "data")
        is_amid = write_a_part(disk, case / "data", prior, ending)
        try:
            yielded = flat(walk(CsvStore(case / "data", disk=disk)))
        except UnknownSymbol:
            yielded = []
        moment = disk.now()
        for luck in lucks(rng):
            image = restored(moment, case / "image", luck)
            found = flat(walk(CsvStore(image))) if yielded else []
            tally.add(acknowledged=len(yielded), lost=yielded != found[: len(yielded)])
            shutil.rmtree(image)
        if not is_amid:
            break
    assert ending > 3
    tally.settle(of=3)


def test_who_may_only_read_walks(folder: Path):  # noqa: F811
    CsvStore(folder).append(batch_of(1))
    with children(following.walk_without_permission, [(folder,)]) as [child]:
        assert child.received() == flat(walk(CsvStore(folder)))


def test_a_disk_that_is_mounted_read_only_is_walked(small_disk: Path):  # noqa: F811
    store = CsvStore(small_disk)
    store.append(batch_of(1))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert flat(walk(CsvStore(small_disk))) == flat(walk(store))
