"""The equity at instants of the past is that of the positions and the prices of then, also where no mark was recorded."""

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from store.instruments import Instrument
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamp
from tests.trading.desks import BEGIN_NS, TradingDesk, at_ns, coin, prints
from tests.trading.engine.test_ex_dates import SPLIT, act, held, show
from tests.trading.engine.test_ex_dates import seconds as seconds_to
from trades.stores import market_store
from trading.core.orders import TimeInForce
from trading.core.terms import Side
from trading.market.symbols import market
from trading.reading.past_equity import equities_at
from trading.services.accounts import account_transfer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def store(default_store: Any) -> None:
    """An empty store."""


def equities(desk: TradingDesk, first_ns: int, last_ns: int, step_ns: int = MINUTE_NS) -> list[float]:
    instants = np.arange(first_ns, last_ns + 1, step_ns)
    equity, _, _ = equities_at(desk.account, instants, min(step_ns, 15 * MINUTE_NS)).T
    return [round(each, 6) for each in equity.tolist()]


def test_each_step_has_the_prices_and_the_positions_of_then() -> None:
    prints(coin(), (0, 100.0, 50))
    desk = TradingDesk()
    desk.order("COIN", Side.BUY, 2, time_in_force=TimeInForce.GTC)
    # No mark is recorded of so small changes.
    for seconds, price in ((70, 101.0), (130, 102.0), (190, 99.0), (330, 103.0)):
        prints("COIN", (seconds, price, 50))
        desk.run()
        desk.run()
        if seconds == 190:
            held_cash = float(desk.state.cash)
            desk.order("COIN", Side.SELL, 2, time_in_force=TimeInForce.GTC)
            account_transfer(name="ACC", transfer="second", amount=desk.state.cash)
    expected = [100_000.0, 100_000.0, *(held_cash + 2 * price for price in (101.0, 102.0))]
    after = 2 * held_cash + 2 * 99.0
    assert equities(desk, BEGIN_NS, at_ns(360)) == [*expected, after, after, float(desk.state.cash)]


def test_another_currency_has_the_rate_of_then() -> None:
    market_store().set_instrument(Instrument("COIN", instrument_class="crypto", currency="EUR"))
    prints("EUR-USD", (0, 1.25, 1))
    prints("COIN", (0, 100.0, 50))
    desk = TradingDesk()
    desk.order("COIN", Side.BUY, 2, time_in_force=TimeInForce.GTC)
    for seconds, price in ((30, 100.0), (90, 101.0), (150, 101.0)):
        show(desk, format_timestamp(at_ns(seconds)), price, "COIN")
    cash = float(desk.state.cash)
    assert equities(desk, at_ns(60), at_ns(120)) == [cash + 2 * price * 1.25 for price in (100.0, 101.0)]


def test_a_split_moves_no_step() -> None:
    market_store().set_instrument(Instrument("SHARE", exchange="XASX", currency="USD"))
    desk = held("2025-11-05T00:30:00Z", 100.0)
    act("2025-11-06T23:00:00Z", SPLIT)
    show(desk, "2025-11-06T00:30:00Z", 100.0)
    show(desk, "2025-11-06T23:30:00Z", 50.0)
    show(desk, "2025-11-07T03:00:00Z", 50.0)
    found = equities(
        desk, parse_timestamp("2025-11-05T01:00:00Z"), parse_timestamp("2025-11-07T02:00:00Z"), 60 * MINUTE_NS
    )
    assert len(found) == 50
    assert max(found) - min(found) < 1


@pytest.mark.parametrize(
    ("dividend", "price"),
    [
        ({"amount": 12.0, "currency": "USD"}, 88.0),
        ({"amount": 24.0, "currency": "AUD"}, 88.0),
        # A liquidation pays more than the last price: what is left is worth nothing, and not less.
        ({"amount": 120.0, "currency": "USD"}, 0.0),
    ],
    ids=["its currency", "another currency", "more than the price"],
)
def test_a_dividend_is_taken_off_the_price_before_it_as_off_a_mark(
    dividend: dict[str, Any], price: float
) -> None:
    prints("AUD-USD", (seconds_to("2025-11-05T00:00:00Z"), 0.5, 1))
    market_store().set_instrument(Instrument("SHARE", exchange="XASX", currency="USD"))
    coin()
    prints("COIN", (seconds_to("2025-11-05T00:30:00Z"), 10.0, 100_000))
    desk = held("2025-11-05T00:30:00Z", 100.0)
    desk.order("COIN", Side.BUY, 10, time_in_force=TimeInForce.GTC)
    show(desk, "2025-11-05T00:31:00Z", 10.0, "COIN")
    act("2025-11-06T23:00:00Z", {"kind": "dividend", **dividend})
    show(desk, "2025-11-06T00:30:00Z", 100.0)
    # The night after the ex-date, on which the share was not printed.
    show(desk, "2025-11-07T10:00:00Z", 10.0, "COIN")
    now_ns = parse_timestamp("2025-11-07T11:00:00Z")
    marks = market().marks(desk.state, now_ns=now_ns)
    assert marks["SHARE"].price == price
    with CaptureQueriesContext(connection) as queries:
        found = equities(desk, parse_timestamp("2025-11-05T01:00:00Z"), now_ns, 60 * MINUTE_NS)
    value = sum(marks[each.symbol].price * each.quantity for each in desk.state.positions.values())
    assert found[-1] == pytest.approx(float(desk.state.cash + value))
    # Of all symbols at once.
    assert sum("dividend_paid" in each["sql"] for each in queries) == 1
