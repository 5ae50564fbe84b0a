"""The tape of a backtest: its rows are those that the engine's logs have."""

from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, Instrument
from store.protocol import ALL_TIME, Append
from store.timestamps import DAY_NS, MINUTE_NS
from store.walk import BEGINNING
from tests.trading.strategies.past import START_NS, batch_of
from trading.core.events import BarPrint
from trading.engine.clock import DataClock
from trading.engine.logs import FollowedLog, ReadPosition
from trading.strategies.tape import EVERY_ROW, Tape

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
        tape = Tape(
            replay, {SYMBOL: store.instrument(SYMBOL)}, {(BARS.name, SYMBOL)}, {SYMBOL: ALL_TIME.end_ns}
        )
        rows = list(iter(lambda: tape.next({SYMBOL: EVERY_ROW}, START_NS + DAY_NS), None))
    assert minutes_of(rows) == minutes_of(arrival.row for arrival in log.arrivals()) == [0, 14, 25]


def minutes_of(rows: Iterable[object]) -> list[int]:
    """The minutes in which eligible bars begin."""
    bars = [row for row in rows if isinstance(row, BarPrint) and row.is_eligible]
    return [(each.ref.timestamp_ns - START_NS) // MINUTE_NS for each in bars]
