"""Folds write disjoint segments and rewrite each row only a few times; the newest build applies."""

import math
import random
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pytest

from store.bar_policies import US_EQUITIES
from store.csv.derived.fold import derived_lock
from store.csv.derived.manifest import Segment, read_manifest
from store.csv.derived.segment_files import SegmentRows
from store.csv.derived.segment_writer import SegmentWriter
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.instruments import Instrument
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, Row, amendment, batch, cancel, trade
from tests.store.csv.derived.derived_log import DerivedLog


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    return DerivedLog(tmp_path)


def rows_of_day(day: int, count: int = 40) -> list[Row]:
    return [trade(day * DAY + n * SECOND, 1.0 + n) for n in range(count)]


def test_segments_are_disjoint_ordered_and_within_their_limit(log: DerivedLog) -> None:
    chooser = random.Random(7)
    for _ in range(12):
        times = [
            chooser.randint(-3, 3) * DAY + chooser.randint(0, 10**9) for _ in range(chooser.randint(1, 90))
        ]
        log.add_and_derive(*(trade(at) for at in times))
        assert all(before.last_ns < after.first_ns for before, after in pairwise(log.segments))
        assert all(1 <= segment.rows <= log.segment_rows for segment in log.segments)
        spans = [(segment.first_ns, segment.last_ns, segment.rows) for segment in log.segments]
        assert spans == [(times[0], times[-1], len(times)) for times in log.times()]
    assert log.is_like_memory()


def test_rows_of_one_time_are_never_split(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0, 30), *[trade(DAY, 1.0 + n) for n in range(130)], trade(DAY + 1))
    assert [segment.rows for segment in log.segments] == [30, 130, 1]


def test_late_rows_and_corrections_rewrite_only_the_segments_that_they_touch(log: DerivedLog) -> None:
    log.add_and_derive(*(row for day in range(4) for row in rows_of_day(day)))
    before = log.names
    log.add_and_derive(trade(DAY + 5))
    for store in (log.store, log.memory):
        store.correct(amendment(cancel(3 * DAY, price=1.0, volume=1.0)))
    after = [*log.names]
    log.derive()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert [old == new for old, new in zip(before, log.names, strict=True)] == [True, False, True, False]
    assert log.is_like_memory()
    assert log.is_like_memory(commit=1)


def test_small_commits_are_written_again_only_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = SegmentWriter.write

    def counted(self: SegmentWriter, rows: pa.Table) -> Iterator[Segment]:
        written.append(len(rows))
        return write(self, rows)

    monkeypatch.setattr(SegmentWriter, "write", counted)
    log, commits = DerivedLog(tmp_path, segment_rows=10**6), 64
    for number in range(commits):
        log.add_and_derive(trade(number), trade(number))
        assert len(log.segments) <= math.log2(number + 1) + 2
    assert sum(written) <= 2 * commits * (math.log2(commits) + 2)


def test_a_fold_without_new_commits_writes_nothing(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0), *rows_of_day(1))
    before = log.contents()
    assert log.derive() == log.derive()
    assert log.contents() == before


def test_compacting_joins_all_neighbours_that_fit(tmp_path: Path) -> None:
    log = DerivedLog(tmp_path, segment_rows=100)
    for number, count in enumerate([70, 25, 9, 3, 1]):
        log.add_and_derive(*(trade(number * DAY + n) for n in range(count)))
    assert [segment.rows for segment in log.segments] == [70, 25, 9, 3, 1]
    assert log.derive(compact=True).segments == 2
    assert log.is_like_memory()


def test_a_rebuild_writes_all_files_again(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0), *rows_of_day(1))
    before = log.names
    rebuilt = log.derive(rebuild=True)
    assert {*log.names}.isdisjoint(before)
    assert (rebuilt.commit, rebuilt.rows, rebuilt.segments) == (1, 80, 2)
    assert {path.name.split(".")[0] for path in log.files.glob("*.arrow")} == {*log.names}


def test_files_of_killed_builds_are_deleted(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0))
    left = ["0123456789abcdef.rows.arrow", "manifest.json.1.partial", "0123456789abcdef.rows.arrow.1.partial"]
    left += [f"{log.names[0]}.gone-000000000000.rollups", f"{log.names[0]}.rows.arrow.1.partial"]
    for name in left:
        (log.files / name).write_bytes(b"half")
    log.derive()
    assert {path.name for path in log.files.iterdir()}.isdisjoint(left)
    assert log.is_like_memory()


def test_a_failed_fold_leaves_the_old_files_only(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0))
    log.append(*rows_of_day(1), *rows_of_day(2), *rows_of_day(3))
    before = log.contents()
    csv = log.files.parent / "2025-01-05.csv"
    csv.write_bytes(csv.read_bytes().replace(b"AAPL", b"AAPK", 1))
    for rebuild in (False, True):
        with pytest.raises(StoreUnavailable):
            log.derive(rebuild=rebuild)
        assert log.contents() == before


def test_a_second_concurrent_build_returns_none(log: DerivedLog) -> None:
    log.append(*rows_of_day(0))
    with derived_lock(log.files.parent) as is_ours:
        assert is_ours
        assert log.store.derive(TRADES, SYMBOL) is None
        assert log.opened().derive(TRADES, SYMBOL, rebuild=True) is None
    assert log.derive().commit == 1


def test_a_builder_folds_commits_that_came_while_it_waited(
    log: DerivedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(*rows_of_day(0))
    other = log.opened()

    def late(folder: Path) -> AbstractContextManager[bool]:
        monkeypatch.undo()
        other.append(batch(trade(DAY)))
        assert other.derive(TRADES, SYMBOL) is not None
        return derived_lock(folder)

    monkeypatch.setattr("store.csv.derived.fold.derived_lock", late)
    assert log.derive().commit == 2
    manifest = read_manifest(log.files)
    assert manifest is not None
    assert manifest.head == other.log(TRADES, SYMBOL).head


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_segments_of_a_log_that_was_restored_are_replaced(log: DerivedLog, commits: int) -> None:
    log.add_and_derive(trade(1, 1.0))
    log.add_and_derive(trade(2, 2.0))
    before = log.names
    kept = log.files.rename(log.folder / "kept")
    shutil.rmtree(log.folder / "trades")
    log.memory = DerivedLog(log.folder).memory
    for number in range(commits):
        log.append(trade(number, 7.0))
    shutil.rmtree(log.files, ignore_errors=True)
    kept.rename(log.files)
    assert log.is_like_memory()
    assert log.derive().commit == commits
    assert {*log.names}.isdisjoint(before)
    assert log.is_like_memory()


def test_a_reader_that_saw_the_manifest_before_its_commits_takes_it_later(log: DerivedLog) -> None:
    log.append(*rows_of_day(0))
    known = log.store._logs.get(TRADES, SYMBOL)
    history = known.commits.history()
    other = log.opened()
    other.append(batch(trade(DAY)))
    assert other.derive(TRADES, SYMBOL) is not None
    number = known.reader.with_state(history, None, lambda state: state.segments.head.number)
    assert number == 0
    assert len(log.store.log(TRADES, SYMBOL).at().rows(ALL_TIME)) == 41
    number = known.reader.with_state(known.commits.history(), None, lambda state: state.segments.head.number)
    assert number == 2


def test_an_open_store_uses_rollups_that_another_process_has_made_at_the_same_commit(
    log: DerivedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_and_derive(*rows_of_day(0))
    reader = log.opened()
    assert reader.rows_behind(TRADES, SYMBOL) == 0
    log.store.set_instrument(Instrument(SYMBOL, US_EQUITIES.name))
    log.derive()
    monkeypatch.setattr(SegmentRows, "__init__", Mock(side_effect=AssertionError("rows are read")))
    found, expected = (
        store.log(TRADES, SYMBOL).at().bars(ALL_TIME, MINUTE, policy=US_EQUITIES)
        for store in (reader, log.memory)
    )
    assert found.close.tolist() == expected.close.tolist()


def test_shared_bars_are_read_only(log: DerivedLog) -> None:
    log.add_and_derive(*rows_of_day(0))
    for window in (Window(NOON, NOON + MINUTE), ALL_TIME):
        bars = log.store.log(TRADES, SYMBOL).at().bars(window, MINUTE)
        assert not any(getattr(bars, name).flags.writeable for name in bars.__slots__)
