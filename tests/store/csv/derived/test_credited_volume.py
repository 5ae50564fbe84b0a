"""Volume without a price is credited to the bar before it, from rollups and from rows."""

from pathlib import Path

import pytest

from store.bar_policies import US_EQUITIES
from store.csv import CsvStore
from store.datasets import TRADES
from store.memory import MemoryStore
from store.protocol import Window
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, amendment, batch, cancel, trade

MORNING = NOON // DAY * DAY
FIRST_DAY = Window(MORNING, MORNING + DAY)


def volumes(store: CsvStore | MemoryStore, interval_ns: int = DAY) -> list[float]:
    bars = store.bars(SYMBOL, FIRST_DAY, interval_ns, policy=US_EQUITIES)
    return bars.volume.tolist()  # type: ignore[no-any-return]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[CsvStore, MemoryStore]:
    """Two stores with a price today and one in two days. The store of files is derived."""
    stores = CsvStore(tmp_path), MemoryStore()
    for store in stores:
        store.append(batch(trade(volume=1.0), trade(2 * DAY, volume=1.0, trade_id="later"), trade(3 * DAY)))
    assert stores[0].derive(TRADES, SYMBOL) is not None
    return stores


@pytest.mark.parametrize("interval_ns", [MINUTE, DAY])
def test_volume_of_a_later_date_that_no_segment_holds_yet(
    stores: tuple[CsvStore, MemoryStore], interval_ns: int
) -> None:
    assert [volumes(store, interval_ns) for store in stores] == [[1.0], [1.0]]
    for store in stores:
        store.append(batch(trade(DAY, volume=7.0, conditions="odd_lot")))
    assert [volumes(store, interval_ns) for store in stores] == [[8.0], [8.0]]


def test_volume_behind_the_next_price_once_that_is_cancelled(
    stores: tuple[CsvStore, MemoryStore],
) -> None:
    for store in stores:
        store.append(batch(trade(2 * DAY + MINUTE, volume=7.0, conditions="odd_lot")))
    assert stores[0].derive(TRADES, SYMBOL) is not None
    assert [volumes(store) for store in stores] == [[1.0], [1.0]]
    for store in stores:
        store.correct(amendment(cancel(2 * DAY, trade_id="later")))
    assert [volumes(store) for store in stores] == [[8.0], [8.0]]
