"""Rows of fills that the feed confirmed under an earlier version are its own: tests/store/data/before_replaced_fills."""

import shutil
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.csv.verify import CsvLogCheck
from store.datasets import BARS, TRADES
from store.exceptions import IdConflict
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.walk import BEGINNING
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, SYMBOL, append_of, bar, batch, fill_of, stored, trade

BEFORE = Path(__file__).parent.parent / "data" / "before_replaced_fills" / "store"


@pytest.fixture(params=["csv", "csv, indexed", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MarketStore:
    files = CsvStore(shutil.copytree(BEFORE, tmp_path / "store"))
    if request.param == "csv, indexed":
        for dataset in (TRADES, BARS):
            files.derive(dataset, SYMBOL, rebuild=True)
    if request.param != "memory":
        return files
    memory = MemoryStore()
    for dataset in (TRADES, BARS):
        memory.log(dataset, SYMBOL).apply(files.log(dataset, SYMBOL).commits(BEGINNING))
    return memory


def prices(store: MarketStore) -> list[float]:
    return [row["price"] for row in stored(store)]


def test_hashes_of_rows_and_corrections_stay_the_same():
    for dataset in (TRADES, BARS):
        assert list(CsvLogCheck(dataset, SYMBOL, BEFORE / dataset.name / SYMBOL).findings()) == []


def test_confirmed_rows_stay_when_the_feed_passes_over_them(store: MarketStore):
    assert prices(store) == [1.0, 3.0, 4.0]
    receipt = store.append(batch(trade(0, 7.0), trade(5, 8.0)))
    assert (receipt.stored, receipt.superseded) == (2, None)
    assert prices(store) == [7.0, 1.0, 3.0, 8.0, 4.0]
    assert store.append(batch(trade(1, 1.0), trade(3, 3.0, trade_id="a"))).stored == 0
    with pytest.raises(IdConflict):
        store.append(batch(trade(3, 9.0, trade_id="a")))


def test_other_rows_of_the_fill_are_replaced(store: MarketStore):
    assert store.append(batch(trade(1, 1.0), trade(9, 4.0))).superseded == 1
    assert prices(store) == [1.0, 3.0, 4.0]


def test_a_row_that_was_superseded_is_stored_if_it_comes_again(store: MarketStore):
    assert store.append(batch(trade(2, 2.0), fill=fill_of(0, 5))).stored == 1
    assert store.append(batch(trade(2, 2.0))).superseded == 1
    assert prices(store) == [1.0, 2.0, 3.0, 4.0]


def test_bars_are_confirmed_within_their_resolution(store: MarketStore):
    receipt = store.append(
        append_of(BARS, bar(0, 6.0, "5m"), bar(5, 6.0, "5m"), bar(0, 1.0), bar(1, 2.0), bar(3, 2.0))
    )
    assert (receipt.stored, receipt.duplicate_rows, receipt.superseded) == (4, (2,), 1)
    found = store.log(BARS, SYMBOL).at().rows(ALL_TIME).to_pylist()
    assert [(row["resolution"], row["close"]) for row in found] == [
        ("1m", 1.0),
        ("5m", 6.0),
        ("1m", 2.0),
        ("1m", 1.0),
        ("1m", 2.0),
        ("5m", 6.0),
    ]
    assert store.append(append_of(BARS, bar(2, 1.0), fill=fill_of(0, DAY))).stored == 0
