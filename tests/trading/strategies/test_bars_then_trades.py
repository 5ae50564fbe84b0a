"""A symbol with both is matched, and valued, by its bars before its first trade, and by its trades from then on."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.datasets import BARS, TRADES
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.desks import BEGIN_NS, FREE, TradingDesk, coin, stored
from tests.trading.strategies.past import backtested
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.market.symbols import market
from trading.models import ExecutionRow
from trading.strategies.strategy import Bar, Strategy

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not IS_OF_FILES, reason="reads files"),
]

FIRST_TRADE_NS = BEGIN_NS + 4 * MINUTE_NS + 10 * SECOND_NS
# Opens of the bars by minute. Those from the fourth minute on end after the first trade.
OPENS = {-1: 99, 0: 100, 1: 101, 2: 102, 3: 103, 4: 101.5, 5: 101.6}
# Prices by seconds after the first trade.
PRICES = {0: 103.5, 10: 104.1, 60: 104.2, 120: 104.4}


def bars(*minutes: int) -> list[dict[str, Any]]:
    rows = []
    for minute in minutes:
        prices = {
            "open": OPENS[minute],
            "high": OPENS[minute] + 1,
            "low": OPENS[minute] - 1,
            "close": OPENS[minute],
        }
        start_ns = BEGIN_NS + minute * MINUTE_NS
        rows.append({"timestamp": start_ns, "resolution": "1m", **prices, "volume": 1e6})
    return rows


def trades(*seconds: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": FIRST_TRADE_NS + each * SECOND_NS, "price": PRICES[each], "volume": 1e6}
        for each in seconds
    ]


@pytest.fixture
def symbol(tmp_path: Path, settings: Any) -> str:
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    return coin()


class EachBar(Strategy):
    """Buys one at each bar, and looks at the equity."""

    name = "each-bar"
    gains: list[Decimal]

    def on_bar(self, bar: Bar) -> None:
        self.gains.append(self.broker.equity - 100_000)
        self.broker.order(bar.symbol, Side.BUY, Decimal(1), time_in_force=TimeInForce.GTC)


def test_in_a_backtest(symbol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(EachBar, "gains", [], raising=False)
    stored(BARS, symbol, bars(*OPENS))
    stored(TRADES, symbol, trades(*PRICES))
    end_ns = BEGIN_NS + 8 * MINUTE_NS
    found = backtested(EachBar, tmp_path, symbol, start_ns=BEGIN_NS, end_ns=end_ns, config=FREE)
    assert [(each.print.ref.dataset, each.price) for _, each in found.fills] == [
        *[("bars", Decimal(price)) for price in (101, 102, 103)],
        *[("trades", Decimal(price)) for price in ("103.5", "104.2", "104.4")],
    ]
    # At the closes 100, 101, 102 and 103, then at the prints 104.1, 104.2 and 104.4.
    gains = ("0", "0", "1", "3", "6.9", "7.3", "8.3")
    assert EachBar.gains == [Decimal(gain) for gain in gains]


def test_in_the_engine(symbol: str):
    """An order on bars waits for a trade once there is a first one; a bar that ends after it neither fills nor is a price."""
    desk = TradingDesk()
    stored(BARS, symbol, bars(-1))
    desk.order(symbol, Side.BUY, 1, time_in_force=TimeInForce.GTC)
    stored(BARS, symbol, bars(1))
    desk.run()
    desk.order(symbol, Side.BUY, 1, time_in_force=TimeInForce.GTC)
    limit = desk.order(
        symbol, Side.BUY, 1, type=OrderType.LIMIT, limit_price=103, time_in_force=TimeInForce.GTC
    )
    stored(TRADES, symbol, trades(0))
    stored(BARS, symbol, bars(4, 5))
    desk.run()
    fills = [desk.execution(row)[1] for row in ExecutionRow.objects.order_by("number")]
    assert fills == [Decimal("101.0202"), Decimal("103.5207")]
    assert not desk.find(limit).filled
    (mark,) = market().marks(desk.state, now_ns=BEGIN_NS + 8 * MINUTE_NS).values()
    assert mark.price == Decimal("103.5")
    desk.check()
