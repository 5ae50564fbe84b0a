"""Nothing fills and triggers orders while trading in a symbol is halted; orders wait until it is resumed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.datasets import QUOTES, TRADING_STATUS
from store.timestamps import MINUTE_NS
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.desks import BEGIN_NS, TradingDesk, coin, prints, stored
from tests.trading.strategies.test_bars_outside_sessions import fills
from trading.core.orders import OrderState, OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from trading.services.previews import preview_document, trade_preview

# Opens of the minutes of a Tuesday in New York.
_PRICES = {
    f"2025-06-10T15:{minute:02}": price
    for minute, price in {8: 100, 9: 100, 15: 96, 20: 94, 29: 97, 30: 98, 31: 97, 32: 99, 33: 99}.items()
}
_HALT = [("2025-06-10T15:10", "halted"), ("2025-06-10T15:30", "resumed")]
_MARKET: dict[str, Any] = {}
_STOP = {"side": "sell", "stop_price": 95}
_HALTED_SINCE = (
    "trading in COIN has been halted since 2025-06-05T14:01:00Z: the order waits until it is resumed"
)


@pytest.mark.parametrize("as_prints", [False, True], ids=["bars", "prints"])
@pytest.mark.parametrize(
    ("order", "changes", "expected"),
    [
        (_MARKET, _HALT, [("2025-06-10T15:30", 98)]),
        (_MARKET, [], [("2025-06-10T15:15", 96)]),
        (_STOP, _HALT, []),
        # Without a resumption it lasts until the end of the trading date.
        (_MARKET, _HALT[:1], []),
    ],
    ids=["a market order", "without a halt", "a stop", "until the end of the day"],
)
def test_an_order_waits_until_trading_is_resumed(
    tmp_path: Path,
    as_prints: bool,
    order: dict[str, Any],
    changes: list[tuple[str, str]],
    expected: list[tuple[str, float]],
):
    found = fills(tmp_path, "1m", _PRICES, "2025-06-10T15:09", as_prints=as_prints, changes=changes, **order)
    assert found == expected


@pytest.mark.parametrize(
    ("halted", "resumed", "expected"),
    [
        ("2025-06-11T13:30", "2025-06-12T13:00", "2025-06-12"),
        ("2025-06-11T13:30", "2025-06-11T14:00", "2025-06-11"),
    ],
    ids=["of the whole session", "of its beginning"],
)
def test_a_bar_of_a_day_fills_nothing_if_its_whole_session_is_halted(
    tmp_path: Path, halted: str, resumed: str, expected: str
):
    prices = {"2025-06-10": 100.0, "2025-06-11": 101.0, "2025-06-12": 102.0}
    changes = [(halted, "halted"), (resumed, "resumed")]
    found = fills(tmp_path, "1d", prices, "2025-06-10", changes=changes)
    assert found == [(expected, prices[expected])]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not IS_OF_FILES, reason="reads files")
def test_in_the_engine_previews_and_checks_name_the_halt(tmp_path: Path, settings: Any):
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    symbol, desk = coin(), TradingDesk()
    order = OrderTerms(symbol=symbol, side=Side.BUY, quantity=Decimal(1), time_in_force=TimeInForce.GTC)

    def checks() -> dict[str, str]:
        # The time of the rows that were taken last is told by the next run.
        desk.run()
        document = preview_document(trade_preview(account=desk.account, order=order, owner="test"), "USD")
        assert document.would_be_accepted
        return {check.name: check.message for check in document.checks if check.name == "halted"}

    prints(symbol, (0, 100, 10))
    desk.run()
    assert checks() == {}
    resting = desk.order(
        symbol, Side.BUY, 1, type=OrderType.LIMIT, limit_price=97, time_in_force=TimeInForce.GTC
    )
    halt = {"timestamp": BEGIN_NS + MINUTE_NS, "status": "halted", "reason": "T1"}
    stored(TRADING_STATUS, symbol, [halt])
    stored(
        QUOTES,
        symbol,
        [
            dict.fromkeys(QUOTES.schema.names)
            | {"timestamp": BEGIN_NS + 70 * 10**9, "bid": 99.0, "ask": 100.0}
        ],
    )
    prints(symbol, (80, 96, 10))
    desk.run()
    assert checks() == {"halted": _HALTED_SINCE}
    waiting = desk.order(symbol, Side.BUY, 1, time_in_force=TimeInForce.GTC)
    prints(symbol, (90, 96, 10))
    desk.run()
    assert [desk.find(each).filled for each in (resting, waiting)] == [0, 0]
    stored(TRADING_STATUS, symbol, [{"timestamp": BEGIN_NS + 2 * MINUTE_NS, "status": "resumed"}])
    prints(symbol, (121, 98, 10))
    desk.run()
    assert checks() == {}
    assert [desk.find(each).state for each in (resting, waiting)] == [OrderState.WORKING, OrderState.FILLED]
    desk.check()
