"""The caches of a store of files stay within their limits, and the answers are the same."""

import gc
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.csv_log import MAX_LOGS
from store.csv.derived.segments import SegmentMappings
from store.csv.store import MEMORY_MIB
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.store.builders import DAY, MINUTE, SYMBOL, batch, stored, trade
from tests.store.csv.derived.derived_log import DerivedLog

pytestmark = pytest.mark.system


def test_the_logs_used_least_recently_are_closed_and_opened_again(tmp_path: Path) -> None:
    store = CsvStore(tmp_path, memory_mib=1)
    for number in range(3):
        for symbol in range(80):
            store.append(batch(trade(number), symbol=f"S{symbol}"))
    assert len(store._logs._logs) == MAX_LOGS // MEMORY_MIB
    for symbol in range(80):
        assert len(stored(store, symbol=f"S{symbol}")) == 3
        assert store.log(TRADES, f"S{symbol}").head.number == 3


def test_segments_are_mapped_within_a_limit(tmp_path: Path) -> None:
    log = DerivedLog(tmp_path, segment_rows=2)
    log.add_and_derive(*(trade(day * DAY // 2 + n * MINUTE) for day in range(40) for n in range(2)))
    log.store = log.opened()
    log.store._mappings = mappings = SegmentMappings(10)
    for _ in range(2):
        assert len(stored(log.store)) == 80
        assert len(log.store.log(TRADES, SYMBOL).at().bars(ALL_TIME, DAY)) == 21
        assert 0 < len(mappings) <= 10
        gc.collect()
        assert Path("/proc/self/maps").read_text().count(f"{log.files}/") <= 20


def test_a_store_needs_some_memory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory_mib must be 1 or more"):
        CsvStore(tmp_path, memory_mib=0)
