"""The rows of a backtest are those that the engine's logs have."""

from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import ALL_TIME, Append
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from store.walk import BEGINNING
from tests.trading.strategies.past import START_NS, batch_of
from trading.core.events import BarPrint
from trading.engine.logs import DataClock, FollowedLog, ReadPosition
from trading.strategies.replayed_rows import ReplayedRows

SYMBOL = "A-USD"


def test_of_bars_of_two_resolutions_those_count_that_count_in_the_engine(tmp_path: Path) -> None:
    """A bar does not count that began before the end of another one, also of an earlier part of the replay."""
    store = CsvStore(tmp_path)
    store.set_instrument(Instrument(symbol=SYMBOL, instrument_class=CRYPTO, currency="USD", settle=0.0))
    for minute, resolution in ((0, "5m"), (4, "10m"), (14, "5m"), (18, "5m"), (25, "5m")):
        bar = {"timestamp": START_NS + minute * MINUTE_NS, "resolution": resolution}
        bar |= dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
        store.append(Append(BARS, SYMBOL, batch_of(BARS, [bar]), "test"))
    log = FollowedLog(store, DataClock(), BARS, SYMBOL, ReadPosition(BEGINNING, 0))
    with mock.patch.multiple("store.reading.replay", ROWS_AT_ONCE=1, _LEAST_ROWS=1):
        replay = open_store(tmp_path).replay([SYMBOL], START_NS, START_NS + DAY_NS, [BARS.name])
        assert len(list(replay)) > 1
        replayed = ReplayedRows(
            replay, {SYMBOL: store.instrument(SYMBOL)}, {(BARS.name, SYMBOL)}, {SYMBOL: ALL_TIME.end_ns}
        )
        rows = list(iter(lambda: replayed.next([SYMBOL], START_NS + DAY_NS), None))
    assert minutes_of(rows) == minutes_of(arrival.row for arrival in log.arrivals()) == [0, 14, 25]


@pytest.mark.parametrize("rows_at_once", [1 << 18, 1], ids=["in one part", "in parts"])
def test_an_older_price_is_never_the_newest(tmp_path: Path, rows_at_once: int) -> None:
    """Neither an older one that is known later, nor the one before a row that is no price, also in later parts."""
    store = CsvStore(tmp_path)
    times = [(10, 100, 0), (9, 85, 2), (13, 101, 0), (12, 86, 2), (11, 87, 4), (2, 5, 20)]
    for symbol, trades in ((SYMBOL, times), ("B-USD", [(second, 50, 0) for second in range(1, 30)])):
        store.set_instrument(Instrument(symbol=symbol, instrument_class=CRYPTO, currency="USD", settle=0.0))
        rows = [
            {
                "timestamp": START_NS + second * SECOND_NS,
                "price": float(price),
                "volume": 1.0,
                "received_at": START_NS + (second + late) * SECOND_NS + 1,
            }
            for second, price, late in trades
        ]
        store.append(Append(TRADES, symbol, batch_of(TRADES, rows), "test"))
    symbols = [SYMBOL, "B-USD"]
    with mock.patch.multiple("store.reading.replay", ROWS_AT_ONCE=rows_at_once, _LEAST_ROWS=1):
        replay = open_store(tmp_path).replay(symbols, START_NS, START_NS + DAY_NS, [TRADES.name])
        assert (len(list(replay)) > 5) is (rows_at_once == 1)
        logs = {(TRADES.name, symbol) for symbol in symbols}
        replayed = ReplayedRows(
            replay, {each: store.instrument(each) for each in symbols}, logs, dict.fromkeys(symbols, 0)
        )
        newest = []
        for instant_ns in range(START_NS + 11 * SECOND_NS, START_NS + 30 * SECOND_NS, SECOND_NS):
            replayed.next((), instant_ns + 1)
            newest.append(replayed.newest(SYMBOL)[1])
    assert [each and int(each.price) for each in newest] == [*[100] * 3, *[101] * 16]


def minutes_of(rows: Iterable[object]) -> list[int]:
    """The minutes in which eligible bars begin."""
    bars = [row for row in rows if isinstance(row, BarPrint) and row.is_eligible]
    return [(each.ref.timestamp_ns - START_NS) // MINUTE_NS for each in bars]
