"""Splits and dividends take effect with the exchange's trading date, whatever instant of it was stored, in any order."""

from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS
from store.instruments import Instrument
from store.timestamps import parse_timestamp
from tests.trading.desks import BEGIN_NS, TradingDesk, coin, prints, stored
from trades.stores import market_store
from trading.core.configuration import Zone
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.engine.engine import Engine
from trading.engine.logs import DataClock
from trading.lease import lease_end
from trading.market.symbols import market
from trading.models import EventRow, ExecutionRow, LogProgress, TransactionRow

pytestmark = pytest.mark.django_db
SPLIT = {"kind": "split", "ratio": 2.0}
DIVIDEND = {"kind": "dividend", "amount": 1.0, "currency": "USD"}


def seconds(text: str) -> float:
    return (parse_timestamp(text) - BEGIN_NS) / 10**9


def share(exchange: str) -> None:
    market_store().set_instrument(Instrument("SHARE", exchange=exchange, currency="USD"))


def act(text: str, *actions: dict[str, Any]) -> None:
    stored(CORPORATE_ACTIONS, "SHARE", [{"timestamp": parse_timestamp(text), **each} for each in actions])


def held(text: str, price: float, shares: int = 900) -> TradingDesk:
    """An account that buys shares at an instant."""
    prints("SHARE", (seconds(text) - 1, price, 100_000))
    desk = TradingDesk(begin_ns=parse_timestamp(text))
    desk.order("SHARE", Side.BUY, shares, time_in_force=TimeInForce.GTC)
    prints("SHARE", (seconds(text) + 1, price, 100_000))
    desk.run()
    desk.run()
    assert desk.state.positions
    return desk


def show(desk: TradingDesk, text: str, price: float, symbol: str = "SHARE") -> None:
    prints(symbol, (seconds(text), price, 100_000))
    desk.run()
    desk.run()


def events(name: str) -> int:
    return EventRow.objects.filter(name=name).count()


def quantity(desk: TradingDesk) -> Decimal | None:
    position = desk.state.position("SHARE")
    return None if position is None else position.quantity


def dividends(desk: TradingDesk) -> Decimal:
    return -sum(
        (amount for key, amount in desk.state.balances.items() if key.startswith("dividends")), Decimal(0)
    )


@pytest.fixture(autouse=True)
def sydney(default_store: Any) -> None:
    share("XASX")


# Sydney's trading date 2025-11-07 opens at 23:00Z of the day before.
INSTANTS = ["2025-11-07T00:00:00Z", "2025-11-06T13:00:00Z", "2025-11-06T23:00:00Z"]


class TestSydney:
    @pytest.mark.parametrize("instant", INSTANTS, ids=["midnight UTC", "midnight", "open"])
    def test_a_split_moves_no_equity(self, instant):
        desk = held("2025-11-05T00:30:00Z", 100.0)
        act(instant, SPLIT)
        show(desk, "2025-11-06T00:30:00Z", 100.0)
        before = desk.state.equity
        show(desk, "2025-11-06T23:30:00Z", 50.0)
        show(desk, "2025-11-07T03:00:00Z", 50.0)
        assert quantity(desk) == 1_800
        assert abs(desk.state.equity - before) < 1
        assert (events("halt_latched"), events("split_applied")) == (0, 1)
        assert desk.state.high_water <= 100_000
        desk.check()

    @pytest.mark.parametrize("instant", INSTANTS, ids=["midnight UTC", "midnight", "open"])
    def test_who_buys_on_the_ex_date_has_no_dividend(self, instant):
        act(instant, DIVIDEND)
        desk = held("2025-11-06T23:30:10Z", 95.0)
        show(desk, "2025-11-07T03:00:00Z", 95.0)
        assert dividends(desk) == 0

    @pytest.mark.parametrize("instant", INSTANTS, ids=["midnight UTC", "midnight", "open"])
    def test_who_sold_before_midnight_utc_of_it_has_it(self, instant):
        desk = held("2025-11-06T00:30:00Z", 100.0)
        act(instant, DIVIDEND)
        desk.order("SHARE", Side.SELL, 900, time_in_force=TimeInForce.GTC)
        show(desk, "2025-11-06T23:30:00Z", 99.0)
        show(desk, "2025-11-07T03:00:00Z", 99.0)
        assert not desk.state.positions
        assert dividends(desk) == 900
        assert TransactionRow.objects.get(kind="dividend_paid").symbol == "SHARE"

    def test_a_late_print_from_before_it_does_not_pay_it(self):
        coin()
        desk = held("2025-11-06T00:30:00Z", 100.0)
        prints("COIN", (seconds("2025-11-06T00:30:00Z"), 10.0, 100_000))
        desk.order("COIN", Side.BUY, 1, time_in_force=TimeInForce.GTC)
        act("2025-11-07T00:00:00Z", DIVIDEND)
        show(desk, "2025-11-06T23:10:00Z", 10.0, "COIN")
        show(desk, "2025-11-06T05:59:00Z", 100.0)
        assert dividends(desk) == 0
        show(desk, "2025-11-06T23:30:00Z", 99.0)
        assert dividends(desk) == 900


class TestOneDate:
    """A dividend is per old share, as adjusted bars take it."""

    @pytest.mark.parametrize(
        "order", [(SPLIT, DIVIDEND), (DIVIDEND, SPLIT)], ids=["split first", "dividend first"]
    )
    @pytest.mark.parametrize("is_late", [False, True], ids=["one batch", "the second later"])
    def test_a_dividend_is_per_old_share(self, order, is_late):
        desk = held("2025-11-05T00:30:00Z", 100.0, shares=100)
        first, second = order
        act("2025-11-07T00:00:00Z", first, *([] if is_late else [second]))
        show(desk, "2025-11-06T23:30:00Z", 50.0)
        if is_late:
            act("2025-11-07T00:00:00Z", second)
        show(desk, "2025-11-07T03:00:00Z", 50.0)
        assert quantity(desk) == 200
        assert dividends(desk) == 100
        desk.check()

    def test_also_if_their_instants_of_the_date_differ(self):
        desk = held("2025-11-05T00:30:00Z", 100.0, shares=100)
        act("2025-11-07T00:00:00Z", SPLIT)
        act("2025-11-06T23:00:00Z", DIVIDEND)
        show(desk, "2025-11-06T23:30:00Z", 50.0)
        assert quantity(desk) == 200
        assert dividends(desk) == 100


class TestBetweenTheExDateAndItsFirstPrint:
    """A coin that is held trades through the night, and values the share at its price of the day before."""

    def night(self, action: dict[str, Any]) -> TradingDesk:
        """900 shares at 100 and a coin, until the night after the ex-date, on which the share was not printed."""
        share("XNYS")
        coin()
        prints("COIN", (seconds("2025-11-05T15:00:00Z"), 10.0, 100_000))
        desk = held("2025-11-05T15:00:00Z", 100.0)
        desk.order("COIN", Side.BUY, 10, time_in_force=TimeInForce.GTC)
        show(desk, "2025-11-05T16:00:00Z", 10.0, "COIN")
        act("2025-11-07T00:00:00Z", action)
        show(desk, "2025-11-06T20:00:00Z", 100.0)
        for text in ("2025-11-07T06:00:00Z", "2025-11-07T12:00:00Z", "2025-11-08T01:00:00Z"):
            show(desk, text, 10.0, "COIN")
        return desk

    def test_the_last_price_is_of_old_shares(self):
        """It is divided by the split's ratio."""
        desk = self.night(SPLIT)
        assert quantity(desk) == 1_800
        assert desk.state.high_water <= 100_000
        show(desk, "2025-11-10T15:00:00Z", 50.0)
        assert (desk.state.high_water <= 100_000, events("halt_latched")) == (True, 0)

    def test_the_last_price_has_the_dividend_that_was_paid(self):
        """It is taken off."""
        desk = self.night(DIVIDEND | {"amount": 12.0})
        assert dividends(desk) == 900 * 12
        # The first row after midnight.
        assert EventRow.objects.get(name="dividend_paid").at_ns == parse_timestamp("2025-11-08T01:00:00Z")
        assert abs(desk.state.equity - 100_000) < 50
        marks = market().marks(desk.state, now_ns=parse_timestamp("2025-11-08T02:00:00Z"))
        assert marks["SHARE"].price == 88
        show(desk, "2025-11-10T15:00:00Z", 88.0)
        assert (desk.state.high_water <= 100_000, events("halt_latched")) == (True, 0)
        desk.check()


def test_the_bar_of_the_day_before_a_split_fills():
    """It is known when the split has taken effect, and divided as the order is."""
    days = [parse_timestamp(f"2025-11-0{day}") for day in (4, 5, 6)]
    bars = [
        dict.fromkeys(("open", "high", "low", "close"), 100.0)
        | {"timestamp": at_ns, "resolution": "1d", "volume": 1e6}
        for at_ns in days
    ]
    stored(BARS, "SHARE", bars[:2])
    desk = TradingDesk(begin_ns=days[2])
    desk.run()
    desk.order("SHARE", Side.BUY, 900, time_in_force=TimeInForce.GTC)
    act("2025-11-07T00:00:00Z", SPLIT)
    stored(BARS, "SHARE", bars[2:])
    desk.run()
    desk.run()
    (row,) = ExecutionRow.objects.all()
    # With a tick of slippage.
    assert desk.execution(row)[:2] == (Decimal(1_800), Decimal("50.01"))
    assert quantity(desk) == 1_800
    desk.check()


def test_a_late_print_from_before_a_split_fills_nothing_after_it():
    coin("SHARE")
    desk = held("2025-11-06T20:00:00Z", 100.0, shares=100)
    terms = {"type": OrderType.LIMIT, "limit_price": 104, "time_in_force": TimeInForce.GTC}
    desk.order("SHARE", Side.SELL, 100, **terms)
    act("2025-11-07T00:00:00Z", SPLIT)
    show(desk, "2025-11-07T00:00:00.5Z", 50.0)
    show(desk, "2025-11-06T23:59:59.9Z", 100.0)
    assert [each.quantity for each in desk.state.positions.values()] == [200]
    show(desk, "2025-11-07T00:00:02Z", 53.0)
    assert not desk.state.positions
    assert ExecutionRow.objects.count() == 2
    desk.check()


def test_an_action_under_the_number_of_one_that_was_cut_off_is_not_taken_for_it(store_path: Path):
    share("XNAS")
    desk = held("2025-06-05T15:00:00Z", 100.0)
    act("2025-06-10", DIVIDEND)
    show(desk, "2025-06-11T15:00:00Z", 100.0)
    assert LogProgress.objects.get(dataset="corporate_actions", symbol="SHARE").commit == 1
    store = cast("CsvStore", market_store())
    store.cut(CORPORATE_ACTIONS, "SHARE", store.planned_cut(CORPORATE_ACTIONS, "SHARE", 0))
    act("2025-06-12", SPLIT)
    lease_end(desk.engine._holder)
    desk.engine = Engine(DataClock())
    desk.run()
    assert (desk.state.zone, desk.state.halt and desk.state.halt.symbol) == (Zone.HALT, "SHARE")
