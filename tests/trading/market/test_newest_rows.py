"""The newest rows of a log at an instant."""

import pytest

from store.csv import CsvStore
from store.datasets import QUOTES, TRADES
from store.instruments import Instrument
from store.timestamps import SECOND_NS
from tests.store.builders import Clock
from tests.trading.stored import NOON, SYMBOL, append, quote, trade
from trading.market.newest_rows import last_price, newest_quote

pytestmark = pytest.mark.system

ACME = Instrument(SYMBOL)


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
