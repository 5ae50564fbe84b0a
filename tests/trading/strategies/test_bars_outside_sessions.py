"""Stored bars fill orders in regular sessions only, as prints with their prices do."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from store.csv import CsvStore
from store.datasets import BARS, TRADES, TRADING_STATUS
from store.instruments import CRYPTO, EQUITY, FUTURE, FX, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamp
from tests.trading.strategies.past import backtested, batch_of
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

SYMBOL = "QSE"
_STEPS = {"1m": "1min", "1h": "1h", "1d": "1d"}


class Dated(Strategy):
    """Places an order at the bar that starts at an instant."""

    name = "dated"

    class Parameters(StrategyParameters, frozen=True):
        at: str
        side: str = "buy"
        stop_price: float | None = None
        time_in_force: TimeInForce = TimeInForce.GTC

    parameters: Parameters

    def on_bar(self, bar: Bar) -> None:
        own = self.parameters
        if bar.start_ns != parse_timestamp(own.at):
            return
        stop = None if own.stop_price is None else Decimal(str(own.stop_price))
        self.broker.order(
            bar.symbol, Side(own.side), Decimal(7), time_in_force=own.time_in_force, stop_price=stop,
            type=OrderType.MARKET if stop is None else OrderType.STOP,
        )  # fmt: skip


def bars_of(resolution: str, prices: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the rows of bars, whose prices are all equal."""
    return [
        {"timestamp": parse_timestamp(start), "resolution": resolution, "volume": 1e6}
        | dict.fromkeys(("open", "high", "low", "close"), price)
        for start, price in prices.items()
    ]


def fills(
    path: Path, resolution: str, prices: Mapping[str, float], at: str, *, as_prints: bool = False, **more: Any
) -> list[tuple[str, float]]:
    """Return when and at what prices an order fills that is decided by the bar at `at`.

    prices: of bars, by their starts: all prices of a bar are equal. as_prints: each bar is stored as two prints of its
    first minute instead, the second for a stop that the first triggers. changes: of the trading status, with their times.
    """
    statuses = [{"timestamp": parse_timestamp(at), "status": each} for at, each in more.pop("changes", ())]
    declared: dict[str, Any] = {"instrument_class": EQUITY, "exchange": "XNYS"} | more.pop("instrument", {})
    store = CsvStore(path)
    store.set_instrument(Instrument(SYMBOL, currency="USD", tick_size=0.01, **declared))
    if as_prints:
        rows = [
            {"timestamp": parse_timestamp(start) + seconds * SECOND_NS, "price": price, "volume": 1e6}
            for start, price in prices.items()
            for seconds in (10, 20)
        ]
        store.append(Append(TRADES, SYMBOL, batch_of(TRADES, rows), "test"))
    else:
        store.append(Append(BARS, SYMBOL, batch_of(BARS, bars_of(resolution, prices)), "test"))
    if statuses:
        store.append(Append(TRADING_STATUS, SYMBOL, batch_of(TRADING_STATUS, statuses), "test"))
    instants = [parse_timestamp(start) for start in prices]
    parameters = {"at": at, "interval": _STEPS[resolution]} | more
    found = backtested(
        Dated, path, SYMBOL, start_ns=instants[0], end_ns=instants[-1] + 4 * DAY_NS, parameters=parameters
    )
    starts = {parse_timestamp(start) // MINUTE_NS: start for start in prices}
    return [(starts[each.print.ref.timestamp_ns // MINUTE_NS], float(each.price)) for _, each in found.fills]


_AFTER_CLOSE = {
    "2025-06-10T13:28": 120, "2025-06-10T13:29": 121, "2025-06-10T13:30": 100, "2025-06-10T19:58": 100,
    "2025-06-10T19:59": 100, "2025-06-10T20:00": 90, "2025-06-10T20:01": 85, "2025-06-11T13:30": 99,
}  # fmt: skip
Case = tuple[str, Mapping[str, float], str, dict[str, Any], tuple[str, float]]
# Resolution, prices by the starts of bars, the bar that decides, the order, and the bar that fills it with its price.
_CASES: dict[str, Case] = {
    "after the close": ("1m", _AFTER_CLOSE, "2025-06-10T19:59", {}, ("2025-06-11T13:30", 99)),
    "hours after the close, by a late bar": (
        "1m", dict(sorted((_AFTER_CLOSE | {"2025-06-10T23:10": 91}).items())), "2025-06-10T23:10", {}, ("2025-06-11T13:30", 99),
    ),
    "decided on a Saturday": (
        "1m", {"2025-06-13T19:59": 100, "2025-06-14T15:00": 70, "2025-06-14T15:01": 71, "2025-06-16T13:30": 101},
        "2025-06-14T15:00", {}, ("2025-06-16T13:30", 101),
    ),
    "after the close, by a bar after it": (
        "1m", _AFTER_CLOSE, "2025-06-10T20:00", {}, ("2025-06-11T13:30", 99),
    ),
    "a day order after the close": (
        "1m", _AFTER_CLOSE, "2025-06-10T19:59", {"time_in_force": "day"}, ("2025-06-11T13:30", 99),
    ),
    "before the open": (
        "1m", {"2025-06-09T19:59": 119} | _AFTER_CLOSE, "2025-06-10T13:28", {}, ("2025-06-10T13:30", 100),
    ),
    "a short": ("1m", _AFTER_CLOSE, "2025-06-10T19:59", {"side": "sell"}, ("2025-06-11T13:30", 99)),
    "a stop after the close": (
        "1m", _AFTER_CLOSE | {"2025-06-11T13:31": 94}, "2025-06-10T19:58", {"side": "sell", "stop_price": 95},
        ("2025-06-11T13:31", 94),
    ),
    "a Saturday": (
        "1m", {"2025-06-13T19:58": 100, "2025-06-13T19:59": 100, "2025-06-14T15:00": 70, "2025-06-16T13:30": 101},
        "2025-06-13T19:59", {}, ("2025-06-16T13:30", 101),
    ),
    "a holiday": (
        "1m", {"2025-06-18T19:59": 100, "2025-06-19T15:00": 60, "2025-06-20T13:30": 102},
        "2025-06-18T19:59", {}, ("2025-06-20T13:30", 102),
    ),
    "an early close": (
        "1m", {"2025-07-03T16:59": 100, "2025-07-03T17:00": 90, "2025-07-07T13:30": 103},
        "2025-07-03T16:59", {"time_in_force": "day"}, ("2025-07-07T13:30", 103),
    ),
    "hours after the close": (
        "1h", {"2025-06-10T18:00": 100, "2025-06-10T19:00": 100, "2025-06-10T20:00": 90, "2025-06-11T14:00": 99},
        "2025-06-10T19:00", {}, ("2025-06-11T14:00", 99),
    ),
    "before London opens": (
        "1m", {"2025-06-09T15:29": 119, "2025-06-10T06:58": 120, "2025-06-10T06:59": 121, "2025-06-10T07:00": 100},
        "2025-06-10T06:58", {"instrument": {"exchange": "XLON"}}, ("2025-06-10T07:00", 100),
    ),
    "lunch in Tokyo": (
        "1m", {"2025-06-10T02:29": 100, "2025-06-10T02:30": 90, "2025-06-10T03:29": 90, "2025-06-10T03:30": 101},
        "2025-06-10T02:29", {"instrument": {"exchange": "XTKS"}}, ("2025-06-10T03:30", 101),
    ),
    "before Sydney opens": (
        "1m", {"2025-06-10T05:59": 119, "2025-06-10T23:58": 120, "2025-06-10T23:59": 121, "2025-06-11T00:00": 100},
        "2025-06-10T23:58", {"instrument": {"exchange": "XASX"}}, ("2025-06-11T00:00", 100),
    ),
    "the break of a future": (
        "1m", {"2025-06-10T20:59": 100, "2025-06-10T21:30": 90, "2025-06-10T22:00": 101},
        "2025-06-10T20:59", {"instrument": {"exchange": "XCME", "instrument_class": FUTURE, "multiplier": 1.0}},
        ("2025-06-10T22:00", 101),
    ),
    "a weekend of currencies": (
        "1m", {"2025-06-13T20:59": 1.1, "2025-06-14T12:00": 1.0, "2025-06-15T21:00": 1.11},
        "2025-06-13T20:59", {"instrument": {"exchange": None, "instrument_class": FX}}, ("2025-06-15T21:00", 1.11),
    ),
    "crypto at all hours": (
        "1m", _AFTER_CLOSE, "2025-06-10T19:59", {"instrument": {"exchange": None, "instrument_class": CRYPTO}},
        ("2025-06-10T20:00", 90),
    ),
    "an equity without sessions": (
        "1m", {"2025-06-13T19:59": 100, "2025-06-14T15:00": 70, "2025-06-16T13:30": 101},
        "2025-06-13T19:59", {"instrument": {"exchange": None}}, ("2025-06-14T15:00", 70),
    ),
    "a special session that an hour proves": (
        "1m", {"2025-06-13T19:59": 100, "2025-06-14T15:00": 70, "2025-06-14T16:00": 71, "2025-06-16T13:30": 101},
        "2025-06-13T19:59", {}, ("2025-06-14T15:00", 70),
    ),
}  # fmt: skip


@pytest.mark.parametrize("as_prints", [False, True], ids=["bars", "prints"])
@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
def test_bars_fill_where_prints_fill(tmp_path: Path, case: Case, as_prints: bool):
    resolution, prices, at, more, expected = case
    assert fills(tmp_path, resolution, prices, at, as_prints=as_prints, **more) == [expected]


def test_an_hour_that_begins_before_the_open_fills_nothing_but_its_close_is_a_price(tmp_path: Path):
    """An order that the hour decides is checked at its close: 20 % above the day before, it fills."""
    prices = {
        "2025-06-10T18:00": 100, "2025-06-10T19:00": 100, "2025-06-11T13:00": 120, "2025-06-11T14:00": 121,
    }  # fmt: skip
    assert fills(tmp_path / "a", "1h", prices, "2025-06-10T19:00", side="sell") == [("2025-06-11T14:00", 121)]
    assert fills(tmp_path / "b", "1h", prices, "2025-06-11T13:00") == [("2025-06-11T14:00", 121)]


def test_before_the_first_session_the_last_bar_is_the_reference_price(tmp_path: Path):
    assert fills(tmp_path, "1m", _AFTER_CLOSE, "2025-06-10T13:28") == [("2025-06-10T13:30", 100)]


def test_a_day_fills_in_its_session(tmp_path: Path):
    """A bar of a day on a Saturday proves a session, which prints fill in, too."""
    prices = {"2025-06-12": 100, "2025-06-13": 101, "2025-06-14": 102, "2025-06-16": 103}
    assert fills(tmp_path, "1d", prices, "2025-06-12") == [("2025-06-13", 101)]
