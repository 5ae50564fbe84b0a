"""The caches of a store of files stay within their limits, and the answers are the same."""

from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from tests.store.builders import batch, stored, trade

pytestmark = pytest.mark.system


def test_logs_with_many_commits_are_closed_and_opened_again(tmp_path: Path) -> None:
    store = CsvStore(tmp_path, memory_mib=1)
    for number in range(40):
        for symbol in range(30):
            store.append(batch(trade(number), symbol=f"S{symbol}"))
    assert sum(log.nbytes for log in store._logs._logs.values()) <= 2**20
    assert 0 < len(store._logs._logs) < 30
    for symbol in range(30):
        assert len(stored(store, symbol=f"S{symbol}")) == 40
        assert store.log(TRADES, f"S{symbol}").head.number == 40


def test_a_store_needs_some_memory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory_mib must be 1 or more"):
        CsvStore(tmp_path, memory_mib=0)
