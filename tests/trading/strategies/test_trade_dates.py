"""Trades by stored bars are dated at the bar's first price, and not before the end of the bar that decided them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.timestamps import parse_timestamp
from tests.trading.strategies.resolutions import Session, dates, run, write

# When a trade is dated that is decided by the Monday, 3 February 2025, and closed by a decision of the Friday.
DATES = {
    "XNYS": ("2025-02-04T14:30:00Z", "2025-02-10T14:30:00Z"),
    "XLON": ("2025-02-04T08:00:00Z", "2025-02-10T08:00:00Z"),
    "XTKS": ("2025-02-04T00:00:00Z", "2025-02-10T00:00:00Z"),
    # It opens at 23:00Z of the day before.
    "XASX": ("2025-02-04T00:00:00Z", "2025-02-10T00:00:00Z"),
    None: ("2025-02-04T00:00:00Z", "2025-02-10T00:00:00Z"),
}
SESSIONS = [Session(100, 100 + number) for number in range(7)]
GTC = {"quantity": Decimal(10), "time_in_force": "gtc"}
PLAN: dict[int, Any] = {0: [{"side": "buy", **GTC}], 4: [{"side": "sell", **GTC}]}


@pytest.mark.parametrize("exchange", DATES)
def test_a_trade_by_days_is_dated_at_the_opens_of_its_sessions(tmp_path: Path, exchange: str | None):
    write(tmp_path, "1d", SESSIONS, exchange=exchange)
    (trade,) = run(tmp_path, PLAN, len(SESSIONS)).outcome.document.trades
    assert (trade.opened_at, trade.closed_at) == DATES[exchange]
    assert parse_timestamp(trade.opened_at) >= dates(2)[1]


@pytest.mark.parametrize("resolution", ["1m", "1h"])
def test_a_trade_by_shorter_bars_is_dated_at_their_starts(tmp_path: Path, resolution: str):
    write(tmp_path, resolution, SESSIONS, exchange="XNYS")
    (trade,) = run(tmp_path, PLAN, len(SESSIONS)).outcome.document.trades
    assert (trade.opened_at, trade.closed_at) == ("2025-02-04T15:00:00Z", "2025-02-10T15:00:00Z")
