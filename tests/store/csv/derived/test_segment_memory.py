"""What all logs map and hold is bounded; what was let go is had again, and nobody notices."""

import gc
import os
from pathlib import Path

import pytest

from store.csv.derived.segment_memory import SegmentMemory
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.store.builders import DAY, MINUTE, SYMBOL, batch, stored, trade
from tests.store.csv.derived.derived_log import DerivedLog


class Something:
    """A holder that says how much it holds, and when it was used."""

    def __init__(self, used: int, held_bytes: int = 0) -> None:
        self.used = used
        self.held_bytes = held_bytes
        self.is_released = False
        self.given_back = 0

    def release(self) -> None:
        self.is_released = True
        self.held_bytes = 0

    def give_back(self) -> None:
        self.given_back += 1


def test_too_many_release_those_used_longest_ago() -> None:
    held = SegmentMemory(segments_limit=8)
    some = [Something(used) for used in (5, 1, 7, 3, 8, 2, 6, 4)]
    for each in some:
        held.add(each)
    assert not any(each.is_released for each in some)
    held.add(newest := Something(9))
    assert [each.used for each in some if each.is_released] == [1, 3, 2]
    assert not newest.is_released
    assert len(held) == 6


def test_too_many_bytes_release_those_used_longest_ago_but_never_the_last() -> None:
    held = SegmentMemory(bytes_limit=100)
    some = [Something(used, 30) for used in (1, 2, 3)]
    for each in [*some, large := Something(4, 1000)]:
        held.add(each)
    assert [each.is_released for each in some] == [True] * 3
    assert (large.is_released, held.bytes) == (False, 1000)


def test_what_nobody_uses_any_more_is_not_kept_alive() -> None:
    held = SegmentMemory()
    held.add(Something(1, 10))
    gc.collect()
    assert (len(held), held.bytes) == (0, 0)


def test_when_much_was_read_those_give_back_that_were_read_since() -> None:
    held = SegmentMemory(pages_limit=100)
    one, two, three = some = [Something(used) for used in (1, 2, 3)]
    held.note_read(one, 60)
    held.note_read(two, 40)
    assert [each.given_back for each in some] == [0, 0, 0]
    held.note_read(three, 1)
    assert [each.given_back for each in some] == [1, 1, 0]
    held.note_read(two, 1000)
    assert [each.given_back for each in some] == [1, 1, 1]
    held.note_read(two, 1)
    assert [each.given_back for each in some] == [1, 2, 1]


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """Forty segments."""
    log = DerivedLog(tmp_path, segment_rows=2)
    log.add_and_derive(*(trade(day * DAY // 2 + n * MINUTE) for day in range(40) for n in range(2)))
    assert len(log.segments) == 40
    return log


def test_mappings_are_bounded_and_answers_are_the_same(log: DerivedLog) -> None:
    log.store = log.opened()
    log.store._segment_memory = held = SegmentMemory(segments_limit=10)
    for _ in range(2):
        assert len(stored(log.store)) == 80
        assert len(log.store.bars(SYMBOL, ALL_TIME, DAY)) == 21
        assert 0 < len(held) <= 10
        assert mappings_under(log.files) <= 20
    assert log.is_like_memory()


def test_bars_of_sparse_symbols_are_held_within_bytes(tmp_path: Path) -> None:
    store = DerivedLog(tmp_path).store
    store._segment_memory = held = SegmentMemory(bytes_limit=20_000)
    for number in range(20):
        store.append(batch(*(trade(n * MINUTE) for n in range(30)), symbol=f"S{number}"))
        store.derive(TRADES, f"S{number}")
    for _ in range(2):
        for number in range(20):
            assert len(store.bars(f"S{number}", ALL_TIME, MINUTE)) == 30
        assert 1_000 < held.bytes <= 20_000


def test_segments_that_a_fold_left_alone_stay_mapped(log: DerivedLog) -> None:
    stored(log.store)
    reader = log.store._known_log(TRADES, SYMBOL).reader
    before = [id(each) for each in reader._opened.segments.mapped]
    log.add_and_derive(trade(30 * DAY))
    stored(log.store)
    after = [id(each) for each in reader._opened.segments.mapped]
    assert len({*before} & {*after}) >= 38


def mappings_under(folder: Path) -> int:
    gc.collect()
    return sum(os.fspath(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())
