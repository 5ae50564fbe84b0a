"""A day order ends with its session also if no stored bar of the session comes, and orders of a symbol end with its prices."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instruments import CRYPTO, EQUITY, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.desks import TradingDesk, stored
from tests.trading.strategies.past import backtested, batch_of
from tests.trading.strategies.test_bars_outside_sessions import bars_of
from trades.stores import market_store
from trading.core.configuration import RiskConfig
from trading.core.events import OrderEnded
from trading.core.orders import OrderState, TimeInForce
from trading.core.terms import Side
from trading.strategies.outcome import BacktestOutcome
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

# The collar and the age of the price refuse nothing.
_ANY_AGE = RiskConfig(collar=Decimal(50), stale_after_seconds=10**6).without_limits()
# Tuesday to Friday, and the Monday after.
DATES = ("2025-03-04", "2025-03-05", "2025-03-06", "2025-03-07", "2025-03-10", "2025-03-11")


class Plan(Strategy):
    """Places orders of the symbol B by the bars of the symbol A: a list of start, side, quantity and time in force."""

    name = "plan"

    class Parameters(StrategyParameters, frozen=True):
        orders: str

    parameters: Parameters

    def on_bar(self, bar: Bar) -> None:
        for at, side, time_in_force in json.loads(self.parameters.orders):
            if bar.symbol == "A" and bar.start_ns == parse_timestamp(at):
                self.broker.order("B", Side(side), Decimal(5), time_in_force=TimeInForce(time_in_force))


def run(
    path: Path, of_b: dict[str, float], orders: list[tuple[str, str, str]], **more: Any
) -> tuple[list[tuple[str, float]], list[tuple[str, str]], BacktestOutcome]:
    """Return the fills, the instants and reasons of ends, and the outcome. A has a bar of each date, at 50."""
    resolution, instrument = more.get("resolution", "1d"), more.get("instrument", {"exchange": "XNYS"})
    store = CsvStore(path)
    of_a = more.get("of_a", dict.fromkeys(DATES, 50.0))
    for symbol, prices in (("A", of_a), ("B", of_b)):
        declared: dict[str, Any] = {"instrument_class": EQUITY, "currency": "USD", "tick_size": 0.01}
        store.set_instrument(Instrument(symbol, **(declared | instrument)))
        if more.get("as_prints"):
            # The last price before the close of each date.
            rows = [
                {"timestamp": parse_timestamp(f"{date}T20:00"), "price": price, "volume": 1e6}
                for date, price in prices.items()
            ]
            store.append(Append(TRADES, symbol, batch_of(TRADES, rows), "test"))
        else:
            store.append(Append(BARS, symbol, batch_of(BARS, bars_of(resolution, prices)), "test"))
    parameters = {"orders": json.dumps(orders), "interval": {"1m": "1min"}.get(resolution, resolution)}
    start_ns, end_ns = parse_timestamp(min(of_a)), parse_timestamp(max(of_a)) + 2 * DAY_NS
    found = backtested(
        Plan, path, "A", "B", start_ns=start_ns, end_ns=end_ns, parameters=parameters, config=_ANY_AGE
    )
    fills = [
        (format_timestamp(each.print.ref.timestamp_ns)[:16], float(each.price)) for _, each in found.fills
    ]
    ends = [
        (format_timestamp(each.at_ns)[:13], each.event.reason)
        for each in found.recorded
        if isinstance(each.event, OrderEnded)
    ]
    return fills, ends, found.outcome


_B = {"2025-03-04": 10.0, "2025-03-05": 11.0, "2025-03-10": 12.0, "2025-03-11": 13.0}


@pytest.mark.parametrize("instrument", [{"exchange": "XNYS"}, {"exchange": "XTKS"}, {"exchange": "XASX"}])
def test_a_day_order_ends_with_its_session_if_no_bar_comes(tmp_path: Path, instrument: dict[str, Any]):
    """Decided after the bar of the 5th, for the 6th, of which there is no bar."""
    orders = [("2025-03-05", "buy", "day"), ("2025-03-05", "buy", "gtc")]
    fills, ends, _ = run(tmp_path, _B, orders, instrument=instrument)
    assert fills == [("2025-03-10T00:00", 12)]
    assert ends == [("2025-03-07T01", "session")]


@pytest.mark.parametrize("last", ["2025-03-11", "2025-03-20"])
def test_it_does_so_if_the_prices_end_later(tmp_path: Path, last: str):
    """A has bars after the last one of B, or ends with it."""
    of_a = dict.fromkeys(
        (*DATES, *(f"2025-03-{day}" for day in range(12, int(last[-2:]) + 1) if day not in {15, 16})), 50.0
    )
    fills, ends, outcome = run(tmp_path, _B, [("2025-03-05", "buy", "day")], of_a=of_a)
    assert (fills, ends) == ([], [("2025-03-07T01", "session")])
    assert ("Prices ended" in (outcome.notice or "")) is (last > "2025-03-12")


def test_a_day_order_fills_by_the_bar_of_its_session(tmp_path: Path):
    fills, ends, _ = run(tmp_path, _B, [("2025-03-07", "buy", "day")])
    assert (fills, ends) == ([("2025-03-10T00:00", 12)], [])


def test_without_an_exchange_a_day_order_waits_for_its_first_bar(tmp_path: Path):
    fills, ends, _ = run(tmp_path, _B, [("2025-03-05", "buy", "day")], instrument={})
    assert (fills, ends) == ([("2025-03-10T00:00", 12)], [])


def test_a_day_order_of_minutes_ends_with_its_session(tmp_path: Path):
    of_a = {f"2025-03-0{day}T{time}": 50.0 for day in (5, 6) for time in ("19:00", "19:01", "20:59")}
    of_b = {"2025-03-05T19:00": 10.0, "2025-03-06T20:59": 11.0}
    fills, ends, _ = run(tmp_path, of_b, [("2025-03-05T19:00", "buy", "day")], of_a=of_a, resolution="1m")
    assert (fills, ends) == ([], [("2025-03-05T21", "session")])


@pytest.mark.parametrize("as_prints", [False, True], ids=["bars", "prints"])
def test_orders_of_a_symbol_end_with_its_prices_and_the_notice_names_it(tmp_path: Path, as_prints: bool):
    of_b = {"2025-03-04": 10.0, "2025-03-05": 11.0}
    orders = [("2025-03-04", "buy", "gtc"), ("2025-03-05", "sell", "gtc")]
    if as_prints:
        orders = [(f"{date}T00:00", side, "gtc") for date, side, _ in orders]
    fills, ends, outcome = run(tmp_path, of_b, orders, as_prints=as_prints)
    assert fills == [("2025-03-05T20:00" if as_prints else "2025-03-05T00:00", 11)]
    assert [reason for _, reason in ends] == ["session"]
    assert outcome.notice is not None
    last = "2025-03-05T20:00:00Z" if as_prints else "2025-03-06T00:00:00Z"
    assert f"Prices ended before the run did: B at {last}." in outcome.notice
    (position,) = outcome.document.positions
    assert (position.symbol, position.quantity, position.is_stale) == ("B", 5, True)


def test_a_symbol_that_has_prices_to_the_end_is_not_named(tmp_path: Path):
    _, _, outcome = run(tmp_path, _B, [("2025-03-05", "buy", "gtc")], instrument={"instrument_class": CRYPTO})
    assert outcome.notice is None
    (position,) = outcome.document.positions
    assert not position.is_stale


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not IS_OF_FILES, reason="reads files")
def test_in_the_engine_the_bar_of_the_next_session_ends_a_day_order(tmp_path: Path, settings: Any):
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    market_store().set_instrument(Instrument("B", exchange="XNYS", currency="USD"))
    desk = TradingDesk(begin_ns=parse_timestamp("2025-03-05T19:01"))

    def post(prices: dict[str, float]) -> None:
        stored(BARS, "B", bars_of("1m", prices))
        desk.run()

    post({"2025-03-05T19:00": 10.0})
    late, missed = (
        desk.order("B", Side.BUY, 5, time_in_force=each) for each in (TimeInForce.GTC, TimeInForce.DAY)
    )
    post({"2025-03-06T15:00": 10.2})
    assert [desk.find(each).state for each in (late, missed)] == [OrderState.FILLED, OrderState.EXPIRED]
    desk.check()
