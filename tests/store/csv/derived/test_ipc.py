"""Derived files that were changed, cut, deleted or exchanged never change an answer."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.csv.derived.arrow_files import NotUsable, as_numpy, map_batches, write_batches
from store.csv.derived.manifest import MANIFEST_FILE, read_manifest
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.chance import SOAK
from tests.store.builders import DAY, MINUTE, SECOND, SYMBOL, trade
from tests.store.csv.derived.derived_log import DerivedLog

FLIPS = 600 if SOAK else 24


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """A derived log of two segments, with rollups of every level and an index of its commits."""
    log = DerivedLog(tmp_path)
    log.add_and_derive(*(trade(day * DAY + n * SECOND // 9, 1.0 + n) for day in range(2) for n in range(40)))
    log.derive(rebuild=True)
    return log


def same_answers(log: DerivedLog) -> bool:
    """Compare rows, merged bars and finished bars of a store that has read nothing yet."""
    if not log.is_like_memory():
        return False
    for interval_ns in (SECOND, MINUTE, 5 * MINUTE):
        found, expected = (store.bars(SYMBOL, ALL_TIME, interval_ns) for store in (log.opened(), log.memory))
        if not all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in found.__slots__):
            return False
    return True


def test_no_flipped_bit_of_any_file_changes_an_answer(log: DerivedLog) -> None:
    chooser = random.Random(3)
    kept = log.files.with_name("kept")
    shutil.copytree(log.files, kept)
    paths = [path for path in sorted(kept.iterdir()) if path.stat().st_size]
    assert len(paths) == 6
    for path in paths:
        data = path.read_bytes()
        for place in chooser.sample(range(len(data)), min(FLIPS // len(paths), len(data))):
            shutil.rmtree(log.files)
            shutil.copytree(kept, log.files)
            flipped = bytearray(data)
            flipped[place] ^= 1 << chooser.randrange(8)
            (log.files / path.name).write_bytes(flipped)
            assert same_answers(log), (path.name, place)


@pytest.mark.parametrize("end", [0, 1, -1, -8])
def test_a_cut_file_is_ignored(log: DerivedLog, end: int) -> None:
    for path in log.files.glob("*.arrow"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:end])
    assert same_answers(log)
    assert same_answers(log)


@pytest.mark.parametrize("pattern", ["*.columns.arrow", "*.rollups.arrow", MANIFEST_FILE, "*"])
def test_a_deleted_file_is_ignored_and_made_again(log: DerivedLog, pattern: str) -> None:
    for path in log.files.glob(pattern):
        path.unlink()
    assert same_answers(log)
    assert read_manifest(log.files) is None  # makes the missing file noticed
    log.derive()
    assert len(log.segments) == 2
    assert same_answers(log)


def test_a_folder_instead_of_a_file_is_ignored(log: DerivedLog) -> None:
    for path in log.files.glob("*.arrow"):
        path.unlink()
        path.mkdir()
    assert same_answers(log)


def test_damaged_files_that_cannot_be_deleted_are_looked_at_once(
    log: DerivedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in log.files.glob("*.arrow"):
        path.write_bytes(b"damaged")
    looked: list[str] = []

    def counted(path: Path, checksum: int) -> list[pa.RecordBatch]:
        looked.append(path.name)
        return map_batches(path, checksum)

    monkeypatch.setattr("store.csv.derived.arrow_files.map_batches", counted)
    monkeypatch.setattr(Path, "unlink", refused)
    for _ in range(5):
        assert len(log.store.rows(TRADES, SYMBOL, ALL_TIME)) == 80
    assert len(looked) == 1


def refused(_path: Path, *, missing_ok: bool = False) -> None:
    raise PermissionError(missing_ok)


def test_a_mapped_file_outlives_its_deletion_and_holds_no_handle(tmp_path: Path) -> None:
    handles = len(list(Path("/proc/self/fd").iterdir()))
    path = tmp_path / "numbers.arrow"
    rows = pa.record_batch({"n": pa.array(range(100_000))})
    checksum = write_batches(path, rows.schema, [rows])
    (mapped,) = map_batches(path, checksum)
    assert len(list(Path("/proc/self/fd").iterdir())) == handles
    path.unlink()
    numbers = as_numpy(mapped.slice(10).column(0))
    assert (numbers == np.arange(10, 100_000)).all()
    del mapped
    assert numbers.sum() == sum(range(10, 100_000))


def test_a_store_continues_to_read_mapped_files(log: DerivedLog) -> None:
    before = log.store.rows(TRADES, SYMBOL, ALL_TIME)
    shutil.rmtree(log.files)
    assert log.store.rows(TRADES, SYMBOL, ALL_TIME).equals(before)
    log.add_and_derive(trade(3 * DAY))
    assert len(before) == 80
    assert same_answers(log)


def test_a_partial_file_of_a_killed_process_with_the_same_id_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    rows = pa.record_batch({"n": [1]})
    (tmp_path / f"numbers.arrow.{os.getpid()}.partial").write_bytes(b"x" * 10_000)
    assert map_batches(path, write_batches(path, rows.schema, [rows])) == [rows]
    assert [each.name for each in tmp_path.iterdir()] == ["numbers.arrow"]


def test_another_file_of_the_same_name_is_not_usable(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    one, two = (pa.record_batch({"n": [number]}) for number in (1, 2))
    checksum = write_batches(path, one.schema, [one])
    write_batches(path, two.schema, [two])
    with pytest.raises(NotUsable):
        map_batches(path, checksum)
