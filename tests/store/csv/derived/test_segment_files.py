"""Derived files that are missing, cut or of others never change an answer; a flipped bit is found when all is read."""

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.csv.derived import segment_files
from store.csv.derived.manifest import FORMAT, read_manifest, replace_manifest, rows_file
from store.csv.derived.mapping import mapped_bytes
from store.csv.derived.segment_files import SegmentRows, aggregates_of, check_file
from store.csv.files.disk import Disk
from store.protocol import ALL_TIME
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.window_list import level_for
from tests.store.builders import DAY, MINUTE, NOON, SECOND, record_batch, trade, trades_of
from tests.store.csv.derived.derived_log import DerivedLog

pytestmark = pytest.mark.system


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """A derived log of two segments."""
    log = DerivedLog(tmp_path)
    log.add_and_derive(*(trade(day * DAY + n * SECOND // 9, 1.0 + n) for day in range(2) for n in range(40)))
    return log


def files_of(log: DerivedLog) -> list[Path]:
    return sorted(path for path in log.files.iterdir() if path.suffix in (".arrow", ".rollups"))


def is_right(log: DerivedLog) -> bool:
    """Return whether rows and bars are those of the memory store, for a store that has no file open yet."""
    found, expected = (trades_of(store).at().bars(ALL_TIME, MINUTE) for store in (log.opened(), log.memory))
    return log.is_like_memory() and found.close.tobytes() == expected.close.tobytes()


def cut(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def exchange(file: Path, other: Path) -> None:
    """Put a file of another segment in its place. It has the same size."""
    assert file.stat().st_size == other.stat().st_size
    shutil.copy(other, file)


def overwrite(file: Path, _: Path) -> None:
    """Put bytes of no file in its place. It has the same size."""
    file.write_bytes(b"\xff" * file.stat().st_size)


@pytest.mark.parametrize("spoil", [cut, exchange, overwrite])
@pytest.mark.parametrize("suffix", [".rows.arrow", f".{EVERY_PRINT.key}.rollups"])
def test_cut_and_foreign_files_are_not_read(
    log: DerivedLog, suffix: str, spoil: Callable[[Path, Path], None]
) -> None:
    file, other = log.files.glob(f"*{suffix}")
    spoil(file, other)
    assert is_right(log)
    log.derive()
    assert read_manifest(log.files) is not None
    assert is_right(log)


def test_a_flipped_bit_is_found_when_the_fold_reads_the_file(log: DerivedLog) -> None:
    segment = log.segments[1]
    path = log.files / rows_file(segment.name)
    content = bytearray(path.read_bytes())
    content[content.index(b"\0\0\0\0\0\0\xf0\x3f")] ^= 1  # the price 1.0
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(segment_files.SegmentDamaged, match="is not as written"):
        check_file(path, segment.stored)
    before = log.names
    log.add_and_derive(trade(DAY + 1))
    assert {*log.names}.isdisjoint(before)
    assert is_right(log)


def test_damaged_files_that_cannot_be_deleted_are_looked_at_once(
    log: DerivedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in files_of(log):
        path.write_bytes(b"damaged")
    looked: list[str] = []

    def counted(path: Path) -> memoryview:
        looked.append(path.name)
        return mapped_bytes(path)

    def refused(_path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(missing_ok)

    monkeypatch.setattr(segment_files, "mapped_bytes", counted)
    monkeypatch.setattr(Path, "unlink", refused)
    for _ in range(5):
        assert len(trades_of(log.store).at().rows(ALL_TIME)) == 80
    assert len(looked) == 1


def test_a_file_of_rows_is_arrow_for_any_reader(log: DerivedLog) -> None:
    rows = sum(pa.ipc.open_file(path).read_all().num_rows for path in log.files.glob("*.arrow"))
    assert rows == 80


def test_files_are_durable_before_the_manifest_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, synced = DerivedLog(tmp_path), set[str]()
    log.append(trade(0), trade(DAY))

    def sync(_: Disk, descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").resolve().name)

    def sync_folder(_: Disk, folder: Path) -> None:
        assert {path.name for path in files_of(log)} == synced
        assert not (folder / "manifest.json").exists()
        synced.add(folder.name)

    monkeypatch.setattr(Disk, "sync", sync)
    monkeypatch.setattr(Disk, "sync_folder", sync_folder)
    log.derive()
    assert synced == {*(path.name for path in files_of(log)), ".derived"}


def open_files() -> set[Path]:
    """The files of which this process has handles."""
    handles = Path("/proc/self/fd").iterdir()
    return {each.resolve() for each in handles}


def test_a_mapped_file_outlives_its_deletion_and_holds_no_handle(log: DerivedLog) -> None:
    path = log.files / rows_file(log.names[0])
    file = SegmentRows(path, log.segments[0].stored)
    assert path.resolve() not in open_files()
    path.unlink()
    times, rows = file.times, file.at(slice(0, 40))
    del file
    assert str(path) in Path("/proc/self/maps").read_text()
    assert times.tolist() == [NOON + n * SECOND // 9 for n in range(40)]
    assert rows.column("price").to_pylist() == [1.0 + n for n in range(40)]
    assert not times.flags.writeable
    del times, rows
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("changed", [{"format": FORMAT - 1}, {"columns": ("timestamp", "price")}])
def test_files_of_another_version_are_made_again(log: DerivedLog, changed: dict[str, object]) -> None:
    manifest = read_manifest(log.files)
    assert manifest is not None
    before = log.names
    replace_manifest(log.files, msgspec.structs.replace(manifest, **changed))
    assert log.is_like_memory()
    log.derive()
    assert {*log.names}.isdisjoint(before)
    assert log.is_like_memory()


@pytest.mark.parametrize(
    ("policy", "levels"),
    [
        (EVERY_PRINT, [MINUTE, 30 * MINUTE, 60 * MINUTE, DAY]),
        (US_EQUITIES.session, [DAY]),
        (US_EQUITIES.auctions, [SECOND]),
    ],
)
def test_aggregates_that_are_stored(policy: BarPolicy, levels: list[int]) -> None:
    rows = pa.Table.from_batches([record_batch(*(trade(n * SECOND // 2) for n in range(480)))])
    assert [*aggregates_of(stored_rows(rows, [ArrivalRun(0, 1, 480)]), policy)] == levels


@pytest.mark.parametrize(
    ("interval_ns", "level"),
    [(90 * SECOND, None), (90 * MINUTE, 30 * MINUTE), (7 * DAY, DAY), (SECOND // 2, None)],
)
def test_the_coarsest_level_that_divides_an_interval_serves_it(interval_ns: int, level: int | None) -> None:
    assert level_for(interval_ns) == level
