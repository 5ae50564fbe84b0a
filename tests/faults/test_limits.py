"""A full disk, a folder that may not be written, no more handles: real ones, in processes of their own."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.csv.log.history import TAIL_COMMITS
from store.exceptions import StoreFull, StoreUnavailable
from tests.chance import SOAK
from tests.faults import handles_process, limited_process
from tests.faults.batches import all_rows, batch_of, findings, rows_of, rows_sent
from tests.faults.handles_process import Subject
from tests.faults.processes import children
from tests.faults.table import Tallies, Tally

PRIOR_ROWS, ALL_ROWS = 20, 100
TRIES = 100 if SOAK else 6
MANY = (600, 10, 100) if SOAK else (200, 4, 10)
HANDLES = 256
DISK_BYTES = 2**20


def answers_of(work: Any, *arguments: object) -> Any:
    with children(work, [arguments]) as [child]:
        return child.received()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    if os.geteuid() != 0:
        reason = "a file system can be mounted by root only; limits of a process are tested all the same"
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)(reason)
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


LIMITS = {
    "space": ("05 full disk", "StoreFull", 20),
    "handles": ("07 out of file handles", "StoreUnavailable", 3),
    "permission": ("06 read-only folder", "StoreUnavailable", 10),
}
"""The fault, how its batches are refused, how many of them at least."""


@pytest.mark.parametrize("limit", LIMITS)
def test_a_batch_that_meets_a_limit_is_refused_whole_and_stored_once_afterwards(
    folder: Path, tallied: Tallies, limit: str
):
    fault, error, at_least = LIMITS[limit]
    tally = tallied(fault)
    answers = answers_of(limited_process.main, limit, folder)
    refused = [tried for tried in answers["tries"] if tried[0] is not None]
    accepted = [tried for tried in answers["tries"] if tried[0] is None]
    for _, *rows in refused:
        wrong = rows != [PRIOR_ROWS, PRIOR_ROWS]
        tally.add(acknowledged=1, torn=wrong)
    assert len(refused) >= at_least
    assert {name for name, *_ in refused} == {error}
    assert accepted == ([] if limit == "permission" else [(None, ALL_ROWS, ALL_ROWS)])
    assert (answers["commit"], answers["rows"]) == (2, ALL_ROWS)
    assert (tally.lost, tally.torn) == (0, 0)


def test_derived_files_that_cannot_be_written_change_no_answer(folder: Path, tallied: Tallies):
    tally = tallied("06 .derived cannot be written")
    answers = answers_of(limited_process.main, "derived", folder)
    tally.add(tried=answers["answers"], acknowledged=answers["answers"], torn=answers["wrong"])
    tally.settle()


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    filler = disk / "filler"
    state = os.statvfs(disk)
    filler.write_bytes(bytes(max(state.f_bavail * state.f_frsize - left, 0)))
    return filler


def refused_on_a_full_disk(store: CsvStore, batches: Iterator[int]) -> tuple[list[int], int]:
    """The batches that were stored until one was refused, and that one."""
    acknowledged: list[int] = []
    for number in batches:
        try:
            store.append(batch_of(number))
        except StoreFull:
            return acknowledged, number
        acknowledged.append(number)
    raise AssertionError("the disk never became full")


def test_a_small_disk_that_is_full(small_disk: Path, rng: random.Random, tallied: Tallies):
    tally = tallied("05 full disk")
    for turn in range(TRIES):
        folder = small_disk / str(turn)
        store, batches = CsvStore(folder), count(rng.randrange(10**6))
        first = next(batches)
        store.append(batch_of(first))
        filler = fill(small_disk, rng.randrange(0, 80_000))
        acknowledged, refused = refused_on_a_full_disk(store, batches)
        acknowledged.append(first)
        for reader in (store, CsvStore(folder)):
            look(reader, acknowledged, tally)
        filler.unlink()
        assert store.append(batch_of(refused)).stored == len(rows_of(refused))
        store.append(batch_of(next(batches)))
        assert all_rows(CsvStore(folder)) == all_rows(store)
        look(store, [*acknowledged, refused], tally)
        shutil.rmtree(folder)
    tally.settle()


def look(store: CsvStore, acknowledged: list[int], tally: Tally) -> None:
    found = findings(all_rows(store), acknowledged)
    tally.add(acknowledged=len(acknowledged), lost=len(found.lost), torn=len(found.torn))


def test_a_disk_that_is_mounted_read_only_is_read(small_disk: Path, tallied: Tallies):
    tally = tallied("06 read-only folder")
    store = CsvStore(small_disk)
    before = range(1, 2 + TAIL_COMMITS)  # so many that the index is written
    for number in before:
        store.append(batch_of(number))
    for number in range(before.stop, before.stop + TRIES):
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        for symbol in ("AAPL", "MSFT"):
            with pytest.raises(StoreUnavailable) as raised:
                store.append(batch_of(number, symbol))
            assert raised.type is StoreUnavailable
        for reader in (store, CsvStore(small_disk)):
            look(reader, list(range(1, number)), tally)
        subprocess.run(["mount", "-o", f"remount,rw,size={64 * DISK_BYTES}", str(small_disk)], check=True)
        store.append(batch_of(number))
        assert all_rows(store) == rows_sent(range(1, number + 1))
    tally.settle()


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(Subject(*MANY, HANDLES), id="many symbols"),
        pytest.param(Subject(2, 2, HANDLES + 50, HANDLES), id="many dates"),
    ],
)
def test_many_symbols_and_dates_need_few_handles(tmp_path: Path, tallied: Tallies, subject: Subject):
    """Also a batch with rows of more dates than there may be handles."""
    tally = tallied("07 out of file handles")
    reports = answers_of(handles_process.main, tmp_path, subject)
    for report in reports:
        wrong = report["asked"] - report["right"]
        tally.add(tried=report["asked"], acknowledged=report["asked"], torn=wrong)
    assert [report["pass"] for report in reports] == ["write", "read", "write_late", "read_late", "read_late"]
    assert (tally.lost, tally.torn) == (0, 0), reports
    before, after = (report["handles"] for report in reports[-2:])
    assert after <= before + 2 < HANDLES - 32, reports
