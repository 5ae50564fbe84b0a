"""Derived files that were damaged or exchanged never change an answer; `tests/faults` spoils and deletes them."""

import gc
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from store.bar_policies import EVERY_PRINT
from store.csv.derived.manifest import FORMAT, read_manifest, replace_manifest
from store.csv.files import arrow_file
from store.csv.files.arrow_file import ArrowFile, ColumnsDamaged, Seal, write_arrow
from store.csv.files.mapping import mapped_bytes
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, NOON, SECOND, trade, trades_of
from tests.store.csv.derived.derived_log import DerivedLog

pytestmark = pytest.mark.system


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """A derived log of two segments, with rollups of every level and an index of its commits."""
    log = DerivedLog(tmp_path)
    log.add_and_derive(*(trade(day * DAY + n * SECOND // 9, 1.0 + n) for day in range(2) for n in range(40)))
    log.derive(rebuild=True)
    return log


def test_damaged_files_that_cannot_be_deleted_are_looked_at_once(
    log: DerivedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in log.files.glob("*.arrow"):
        path.write_bytes(b"damaged")
    looked: list[str] = []

    def counted(path: Path) -> memoryview:
        looked.append(path.name)
        return mapped_bytes(path)

    monkeypatch.setattr(arrow_file, "mapped_bytes", counted)
    monkeypatch.setattr(Path, "unlink", refused)
    for _ in range(5):
        assert len(trades_of(log.store).at().rows(ALL_TIME)) == 80
    assert len(looked) == 1


def refused(_path: Path, *, missing_ok: bool = False) -> None:
    raise PermissionError(missing_ok)


def written(path: Path, numbers: Sequence[int]) -> Seal:
    """Write a file with one column."""
    return write_arrow(path, pa.RecordBatch.from_pydict({"n": pa.array(numbers)}), {})


def test_a_file_is_arrow_for_any_reader(log: DerivedLog) -> None:
    rows = sum(pa.ipc.open_file(path).read_all().num_rows for path in log.files.glob("*.rows.arrow"))
    assert rows == 80


def open_files() -> set[Path]:
    """The files of which this process has handles."""
    handles = Path("/proc/self/fd").iterdir()
    return {each.resolve() for each in handles}


def test_a_mapped_file_outlives_its_deletion_and_holds_no_handle(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    file = ArrowFile(path, written(path, range(100_000)))
    assert path.resolve() not in open_files()
    path.unlink()
    numbers, rows = file.numbers("n", 10, 100_000), file.rows(10, 100_000, ["n"])
    del file
    assert str(path) in Path("/proc/self/maps").read_text()
    assert (numbers == np.arange(10, 100_000)).all()
    assert (rows.column("n").to_numpy() == numbers).all()
    assert not numbers.flags.writeable
    del numbers, rows
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("place", [0, 8 * 40_000, 8 * 100_000 - 1])
def test_a_damaged_block_is_found_when_it_is_read_and_only_then(tmp_path: Path, place: int) -> None:
    path = tmp_path / "numbers.arrow"
    seal = written(path, range(1, 100_001))
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(1, 9).tobytes()) + place] ^= 1
    path.write_bytes(content)
    found: list[str] = []
    for start in range(0, 100_000, 1000):
        try:
            part = ArrowFile(path, seal).numbers("n", start, start + 1000)
            assert (part == np.arange(start + 1, start + 1001)).all()
        except ColumnsDamaged as error:
            found.append(str(error))
    assert 1 <= len(found) <= 4
    assert len({*found}) == 1
    assert found[0].startswith("numbers.arrow is not as written near byte")


def test_rows_are_never_made_of_a_flipped_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_file, "BLOCK_BYTES", 1)  # so no byte is verified because one beside it is
    columns = {
        "times": pa.array(range(7, 18)),
        "counts": pa.array([3, None, *range(9)], pa.int32()),
        "texts": pa.array([None, "", "a", "bc", None, "def", "", "g", "hi", None, "j"]),
        "marks": pa.array([True, None, False] * 3 + [True, True]),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    path = tmp_path / "rows.arrow"
    seal = write_arrow(path, batch, {})
    content, noticed = path.read_bytes(), 0
    for place in range(seal.start):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        for start, stop in [*((row, row + 1) for row in range(len(batch))), (0, len(batch))]:
            try:
                rows = ArrowFile(path, seal).rows(start, stop, batch.schema.names)
            except ColumnsDamaged:
                noticed += 1
            else:
                assert rows.equals(batch.slice(start, stop - start)), (place, start, stop)
    assert noticed > seal.start


def test_a_partial_file_of_a_killed_process_with_the_same_id_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    (tmp_path / f"numbers.arrow.{os.getpid()}.partial").write_bytes(b"x" * 10_000)
    assert ArrowFile(path, written(path, [1])).numbers("n", 0, 1).tolist() == [1]
    assert [each.name for each in tmp_path.iterdir()] == ["numbers.arrow"]


def test_another_file_of_the_same_name_is_not_usable(tmp_path: Path) -> None:
    path = tmp_path / "numbers.arrow"
    seal = written(path, [1])
    written(path, [2])
    with pytest.raises(ColumnsDamaged):
        ArrowFile(path, seal)


def test_files_of_another_version_are_made_again_and_that_is_logged_once(
    log: DerivedLog, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(log.files)
    assert manifest is not None
    replace_manifest(log.files, msgspec.structs.replace(manifest, format=FORMAT - 1))
    assert log.is_like_memory()
    log.derive()
    log.derive()
    assert len(caplog.records) == 1
    assert "are of another version or damaged: they are made again" in caplog.text
    assert log.is_like_memory()


@pytest.mark.parametrize("file", ["rows", "rollups"])
def test_a_read_of_a_window_needs_only_its_blocks(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a price damaged, reads before it use the files; a read of it does without and has them made."""
    monkeypatch.setattr(arrow_file, "BLOCK_BYTES", 1024)
    log = DerivedLog(tmp_path, segment_rows=20_000)
    log.add_and_derive(*(trade(n * SECOND // 8, 1.0 + n) for n in range(20_000)))
    kind = file if file == "rows" else f"{EVERY_PRINT.key}.{file}"
    (path,) = log.files.glob(f"*.{kind}.arrow")
    content = path.read_bytes()
    place = content.index(np.float64(15_000.0).tobytes())
    path.write_bytes(content[:place] + b"x" + content[place + 1 :])
    for start, is_kept in ((0, True), (1_800 * SECOND, False)):
        window = Window(NOON + start, NOON + start + 100 * SECOND)
        found, expected = (
            trades_of(store).at().rows(window)["price"].to_pylist()
            if file == "rows"
            else trades_of(store).at().bars(window, SECOND).close.tolist()
            for store in (log.opened(), log.memory)
        )
        assert found == expected
        assert len(found) >= 100
        assert (read_manifest(log.files) is not None) == is_kept
