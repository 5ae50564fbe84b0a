"""Whether trading is halted is read from the newest changes of `trading_status`."""

from typing import Any

import pytest

from store.datasets import TRADING_STATUS
from store.instruments import Instrument
from store.log_views.log_view import LogView
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS
from tests.trading.stored import NOON, SYMBOL, append
from trades.stores import market_store
from trading.core.events import RowRef
from trading.core.rows import StatusChange
from trading.market.symbols import followed_market, market

# Each minute of the two hours before noon, ten days before NOON, has a change.
_EARLIER = [
    {"timestamp": NOON - 10 * DAY_NS - minute * MINUTE_NS, "status": ("halted", "resumed")[minute % 2]}
    for minute in range(120, 0, -1)
]


@pytest.fixture
def read(default_store: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A store with early changes, and the numbers of rows that are read of them from now on."""
    market_store().set_instrument(Instrument(SYMBOL, exchange="XNYS"))
    append(market_store(), TRADING_STATUS, *_EARLIER)
    numbers, rows = list[int](), LogView.rows

    def counted(view: LogView, window: Window, **named: Any) -> Any:
        found = rows(view, window, **named)
        numbers.append(found.num_rows)
        return found

    monkeypatch.setattr(LogView, "rows", counted)
    return numbers


def change(minutes: int, status: str) -> dict[str, Any]:
    return {"timestamp": NOON + minutes * MINUTE_NS, "status": status}


def test_an_order_reads_the_newest_changes(read: list[int]):
    append(market_store(), TRADING_STATUS, change(0, "halted"), change(1, "resumed"), change(5, "halted"))
    found = [market().halted_from_ns(SYMBOL, NOON + minutes * MINUTE_NS) for minutes in (-1, 0, 2, 6)]
    assert found == [None, NOON, None, NOON + 5 * MINUTE_NS]
    assert sum(read) <= 4 * 5


def test_a_halt_that_was_resumed_days_later_lasts_until_then(read: list[int]):
    append(market_store(), TRADING_STATUS, change(0, "halted"), change(5 * 1_440, "resumed"))
    days = (0, 2, 4, 5)
    found = [market().halted_from_ns(SYMBOL, NOON + day * DAY_NS) for day in days]
    assert found == [NOON, NOON, NOON, None]


def test_the_engine_reads_the_newest_changes_after_each(read: list[int]):
    engine_market, found = followed_market(lambda _dataset, _symbol: None), []
    for minutes, status in ((0, "halted"), (1, "resumed"), (5, "halted")):
        row = change(minutes, status)
        receipt, at_ns = append(market_store(), TRADING_STATUS, row), row["timestamp"]
        ref = RowRef(
            dataset="trading_status",
            symbol=SYMBOL,
            commit=receipt.commit.token,
            ordinal=0,
            timestamp_ns=at_ns,
        )
        engine_market.take(StatusChange(ref, status, None, at_ns))
        for later_ns in (1, 2):
            halts = engine_market.halts(SYMBOL, at_ns + later_ns)
            found.append(halts is not None and halts.begun_ns(at_ns + later_ns))
    assert found == [NOON, NOON, None, None, NOON + 5 * MINUTE_NS, NOON + 5 * MINUTE_NS]
    # A row of before, as of a late print, is asked for again.
    halts = engine_market.halts(SYMBOL, NOON)
    assert halts is not None
    assert halts.begun_ns(NOON) == NOON
    assert sum(read) <= 4 * 5
