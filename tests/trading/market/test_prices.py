"""The newest rows of a log at an instant."""

from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.csv.csv_log import CsvSnapshot
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import Window
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.store.builders import Clock, Row
from tests.trading.stored import NOON, SYMBOL, append, quote, trade
from trading.market.prices import last_price, newest_quote

pytestmark = pytest.mark.system

ACME = Instrument(SYMBOL)
# After the close of New York.
EVENING = NOON + 300 * MINUTE_NS


@pytest.mark.parametrize("ahead_seconds", [1, 3_600])
def test_a_row_that_is_dated_ahead_is_found_once_its_time_has_come(tmp_path, ahead_seconds: int):
    store = CsvStore(tmp_path / "store", clock=Clock(NOON))
    append(store, TRADES, trade(0, 100.0), trade(ahead_seconds, 101.0))
    append(store, QUOTES, quote(0), quote(ahead_seconds))
    its_ns = NOON + ahead_seconds * SECOND_NS
    found = [last_price(store, ACME, now_ns) for now_ns in (NOON, its_ns - 1, its_ns, its_ns + SECOND_NS)]
    assert [float(each.price) for each in found if each] == [100.0, 100.0, 101.0, 101.0]
    quotes = [newest_quote(store, ACME, now_ns) for now_ns in (NOON, its_ns - 1, its_ns)]
    assert [each.ref.timestamp_ns for each in quotes if each] == [NOON, NOON, its_ns]


def bar(minutes: int, close: float) -> Row:
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"timestamp": EVENING + minutes * MINUTE_NS, "resolution": "1m", "volume": 1.0} | prices


def test_bars_outside_of_sessions_are_searched_once_until_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = CsvStore(tmp_path / "store", clock=Clock(EVENING))
    shares = Instrument(SYMBOL, exchange="XNYS")
    append(store, BARS, *(bar(minute, 100.0 + minute) for minute in range(300)))
    reads, take_window = list[Window](), CsvSnapshot.take_window

    def counted(snapshot: CsvSnapshot, window: Window, *arguments: Any, **named: Any) -> Window:
        reads.append(window)
        return take_window(snapshot, window, *arguments, **named)

    monkeypatch.setattr(CsvSnapshot, "take_window", counted)

    def closes(*minutes: float) -> list[float]:
        instants = [EVENING + round(minute * MINUTE_NS) for minute in minutes]
        found = [last_price(store, shares, now_ns) for now_ns in instants]
        return [float(each.price) for each in found if each]

    # The last bar ends after 300 minutes.
    assert closes(299.5) == [398.0]
    # Each of these is of 8, 128 and 2,048 rows.
    assert len(reads) == 3
    assert closes(299.6, 299.9) == [398.0] * 2
    assert len(reads) == 3
    assert closes(300, 301, 400) == [399.0] * 3
    assert len(reads) == 6
    # An instant of the past is not that of the last search.
    assert closes(299.5, 10) == [398.0, 109.0]
    append(store, BARS, bar(300, 90.0))
    assert closes(500) == [90.0]
