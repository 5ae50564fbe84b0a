"""The number of mapped segments is bounded; released ones are mapped again."""

import gc
import os
from pathlib import Path

import pytest

from store.csv.derived.segments import SegmentMappings
from store.protocol import ALL_TIME
from tests.store.builders import DAY, MINUTE, stored, trade, trades_of
from tests.store.csv.derived.derived_log import DerivedLog

pytestmark = pytest.mark.system


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """Forty segments."""
    log = DerivedLog(tmp_path, segment_rows=2)
    log.add_and_derive(*(trade(day * DAY // 2 + n * MINUTE) for day in range(40) for n in range(2)))
    assert len(log.segments) == 40
    return log


def test_mappings_are_bounded_and_answers_are_the_same(log: DerivedLog) -> None:
    log.store = log.opened()
    log.store._mappings = mappings = SegmentMappings(10)
    for _ in range(2):
        assert len(stored(log.store)) == 80
        assert len(trades_of(log.store).at().bars(ALL_TIME, DAY)) == 21
        assert 0 < len(mappings) <= 10
        assert mappings_under(log.files) <= 20
    assert log.is_like_memory()


def mappings_under(folder: Path) -> int:
    gc.collect()
    return sum(os.fspath(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())
