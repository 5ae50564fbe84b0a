"""Volume without a price is credited to a bar before it of the same trading date, from rollups and from rows."""

from pathlib import Path

import pytest

from store.arrays import Integers
from store.bar_policies import US_EQUITIES
from store.bars.credit import DatesOf, utc_dates
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Window
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, amendment, batch, cancel, trade

MORNING = NOON // DAY * DAY
FIRST_DAY = Window(MORNING, MORNING + DAY)


def long_dates(time_ns: Integers) -> Integers:
    """Trading dates of four UTC days, such as one before which the exchange was closed."""
    return (time_ns - MORNING) // (4 * DAY)


def volumes(
    store: CsvStore | MemoryStore, dates_of: DatesOf = long_dates, interval_ns: int = MINUTE
) -> list[float]:
    bars = store.log(TRADES, SYMBOL).at().bars(FIRST_DAY, interval_ns, policy=US_EQUITIES, dates_of=dates_of)
    return bars.volume.tolist()  # type: ignore[no-any-return]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[CsvStore, MemoryStore]:
    """Two stores with a price today, in two and in three days. The store of files is derived."""
    stores = CsvStore(tmp_path), MemoryStore()
    for store in stores:
        store.append(batch(trade(volume=1.0), trade(2 * DAY, volume=1.0, trade_id="later"), trade(3 * DAY)))
    assert stores[0].derive(TRADES, SYMBOL) is not None
    return stores


@pytest.mark.parametrize(
    ("dates_of", "interval_ns", "expected"),
    [(long_dates, MINUTE, 8.0), (utc_dates, MINUTE, 1.0), (long_dates, DAY, 1.0)],
    ids=["same trading date", "another date", "days"],
)
def test_volume_of_a_later_utc_date_that_no_segment_holds_yet(
    stores: tuple[CsvStore, MemoryStore], dates_of: DatesOf, interval_ns: int, expected: float
) -> None:
    assert [volumes(store, dates_of, interval_ns) for store in stores] == [[1.0], [1.0]]
    for store in stores:
        store.append(batch(trade(DAY, volume=7.0, conditions="odd_lot")))
    assert [volumes(store, dates_of, interval_ns) for store in stores] == [[expected], [expected]]


def test_volume_behind_the_next_price_once_that_is_cancelled(stores: tuple[CsvStore, MemoryStore]) -> None:
    for store in stores:
        store.append(batch(trade(2 * DAY + MINUTE, volume=7.0, conditions="odd_lot")))
    assert stores[0].derive(TRADES, SYMBOL) is not None
    assert [volumes(store) for store in stores] == [[1.0], [1.0]]
    for store in stores:
        store.correct(amendment(cancel(2 * DAY, trade_id="later")))
    assert [volumes(store) for store in stores] == [[8.0], [8.0]]
