"""Rows that no segment has are decoded once and cached within a limit."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.bar_policies import EVERY_PRINT
from store.csv.derived.tail import ROWS_OF_A_READ, TailCache, TailRows
from store.csv.files.commit_records import StoredPart
from store.csv.files.part_reader import read_rows
from store.csv.log.history import CommitHistory
from store.datasets import TRADES
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, batch, open_log, stored, trade
from tests.store.csv.derived.derived_log import DerivedLog


class Tail:
    """The tail of one log. It records the commits that the cache reads."""

    def __init__(self, folder: Path, *, rows_limit: int = 1000) -> None:
        self.log = DerivedLog(folder)
        self.cache = TailCache(rows_limit)
        self.read: list[int] = []

    @property
    def history(self) -> CommitHistory:
        return open_log(self.log.store).commits.history()

    def append(self, *times: int) -> None:
        self.log.append(*(trade(at) for at in times))

    def rows(self, day: int = 0) -> Sequence[TailRows]:
        start = (NOON // DAY + day) * DAY
        parts = self.history.parts_in(Window(start, start + DAY))
        return self.cache.rows(("trades", SYMBOL, 0), self.history, parts, self._read)

    def _read(self, parts: Sequence[StoredPart]) -> pa.Table:
        self.read += [stored.commit for stored in parts]
        return read_rows(TRADES, self.log.files.parent, parts)


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    return Tail(tmp_path)


def test_every_commit_is_read_once_and_blocks_are_few(tail: Tail) -> None:
    for number in range(40):
        tail.append(number)
        blocks = tail.rows()
        sizes = [block.rows.num_rows for block in blocks]
        assert sum(sizes) == number + 1
        assert all(before > after for before, after in pairwise(sizes))
        assert len(blocks) <= math.log2(number + 1) + 1
        assert blocks[-1].newest == number + 1
    assert tail.read == [*range(1, 41)]


def test_least_recently_used_dates_are_evicted(tmp_path: Path) -> None:
    tail = Tail(tmp_path, rows_limit=7)
    tail.append(*(day * DAY + n for day in range(3) for n in range(2)))
    for day in (0, 1, 0, 2):  # the third evicts the second
        tail.rows(day)
    tail.read.clear()
    tail.rows(0)
    assert tail.read == []
    tail.rows(1)
    assert tail.read == [1]


def test_aggregates_are_made_once_and_are_not_kept_of_ever_more_levels(tail: Tail) -> None:
    tail.append(1)
    (rows,) = tail.rows()
    first = rows.aggregates(EVERY_PRINT, MINUTE, ALL_TIME)
    assert rows.aggregates(EVERY_PRINT, MINUTE, ALL_TIME) is first
    assert len(rows.aggregates(EVERY_PRINT, MINUTE, Window(0, NOON))) == 0
    assert not first.volume.flags.writeable
    for level in range(1, 100):
        rows.aggregates(EVERY_PRINT, level * SECOND, ALL_TIME)
    assert len(rows._aggregates) < 10


def test_a_restore_under_a_running_store_is_noticed(tmp_path: Path) -> None:
    log = DerivedLog(tmp_path)
    log.add_and_derive(trade(1))
    kept = tmp_path / "kept"
    shutil.copytree(log.files.parent, kept)
    log.append(trade(2))
    assert log.is_like_memory()
    shutil.rmtree(log.files.parent)
    shutil.copytree(kept, log.files.parent)
    assert len(stored(log.store)) == 1
    log.store.append(batch(trade(9)))
    assert [row["timestamp"] - NOON for row in stored(log.store)] == [1, 9]


def test_a_writer_does_not_read_back_what_it_adds_to_a_cached_date(tail: Tail) -> None:
    store = tail.log.store
    store.append(batch(trade(1)))
    assert len(stored(store)) == 1
    times = NOON + np.arange(2, ROWS_OF_A_READ + 2)
    rows = batch(*[trade(0)] * len(times)).rows.set_column(0, TRADES.schema.field(0), pa.array(times))
    store.append(replace(batch(trade(0)), rows=rows))
    times += DAY  # the caller uses its array again
    for file in tail.log.files.parent.glob("*.csv"):
        file.unlink()
    assert [row["timestamp"] - NOON for row in stored(store)] == [*range(1, ROWS_OF_A_READ + 2)]


def test_segments_of_a_log_that_was_replaced_by_another_are_not_read(tmp_path: Path) -> None:
    log, other = DerivedLog(tmp_path / "log"), DerivedLog(tmp_path / "other")
    log.append(trade(1))
    other.append(trade(9))
    log.derive()
    assert len(stored(log.store)) == 1
    for path in other.files.parent.iterdir():
        if path.is_file():  # the derived files stay
            path.replace(log.files.parent / path.name)
    assert [row["timestamp"] - NOON for row in stored(log.store)] == [9]
