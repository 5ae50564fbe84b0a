"""A limit that rested over the night fills at the session's first price if that is better, live and in backtests."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.datasets import TRADES
from store.instruments import EQUITY, Instrument
from store.timestamps import SECOND_NS, parse_timestamp
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.desks import FREE, TradingDesk, stored
from tests.trading.strategies.past import backtested
from trades.stores import market_store
from trading.core.events import Print
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.models import ExecutionRow
from trading.strategies.strategy import Strategy

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not IS_OF_FILES, reason="reads files"),
]

SYMBOL, LIMIT = "AAPL", 95
_EVENING_NS, _MORNING_NS = map(parse_timestamp, ("2025-06-05T19:00:00Z", "2025-06-06T13:30:00Z"))
# Prices by seconds after the opening, with the conditions of some; and the price of the fill.
_MORNINGS: dict[str, tuple[list[tuple[float, float, str | None]], float]] = {
    "the first price": ([(1, 90, None), (2, 89, None)], 90),
    "after a price above": ([(1, 96, None), (2, 90, None)], 95),
    "after an auction": ([(1, 90, "opening_print"), (2, 91, None)], 91),
    "after extended hours": ([(-60, 90, None), (1, 91, None)], 91),
}


@pytest.fixture
def market(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    market_store().set_instrument(
        Instrument(SYMBOL, instrument_class=EQUITY, exchange="XNYS", currency="USD", tick_size=0.01)
    )
    return tmp_path


def trade(at_ns: int, price: float, conditions: str | None = None) -> dict[str, Any]:
    return {"timestamp": at_ns, "price": price, "volume": 1_000.0, "conditions": conditions}


def morning(name: str) -> list[dict[str, Any]]:
    rows, _ = _MORNINGS[name]
    return [trade(_MORNING_NS + round(at * SECOND_NS), price, conditions) for at, price, conditions in rows]


@pytest.mark.parametrize("in_one_commit", [True, False])
@pytest.mark.parametrize("name", _MORNINGS)
def test_in_the_engine(market: Path, name: str, in_one_commit: bool):
    desk = TradingDesk(begin_ns=_EVENING_NS)
    stored(TRADES, SYMBOL, [trade(_EVENING_NS, 100)])
    desk.run()
    desk.order(SYMBOL, Side.BUY, 10, type=OrderType.LIMIT, limit_price=LIMIT, time_in_force=TimeInForce.GTC)
    rows = morning(name)
    for some in [rows] if in_one_commit else [[row] for row in rows]:
        stored(TRADES, SYMBOL, some)
        desk.run()
    (row,) = ExecutionRow.objects.all()
    assert float(desk.execution(row)[1]) == _MORNINGS[name][1]
    desk.check()


class Resting(Strategy):
    """Rests a limit after its first trade."""

    name = "resting"

    def on_trade(self, trade: Print) -> None:
        if not self.broker.has_orders(SYMBOL) and not self.broker.position(SYMBOL):
            terms: dict[str, Any] = {"type": OrderType.LIMIT, "limit_price": Decimal(LIMIT)}
            self.broker.order(SYMBOL, Side.BUY, Decimal(10), time_in_force=TimeInForce.GTC, **terms)


@pytest.mark.parametrize("name", _MORNINGS)
def test_in_a_backtest(market: Path, name: str):
    stored(TRADES, SYMBOL, [trade(_EVENING_NS, 100), *morning(name)])
    end_ns = _MORNING_NS + 60 * SECOND_NS
    found = backtested(Resting, market, SYMBOL, start_ns=_EVENING_NS, end_ns=end_ns, config=FREE)
    assert [each.price for _, each in found.fills] == [_MORNINGS[name][1]]
