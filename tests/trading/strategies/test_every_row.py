"""What a backtest must not pass over, nor see too early: each case was missed once."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import msgspec
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import QUOTES, TRADES
from store.instruments import CRYPTO, EQUITY, Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS, SECOND_NS, parse_timestamp
from tests.trading.strategies.past import START_NS, batch_of, inputs_of
from trading.core.configuration import Zone
from trading.core.events import Event, Executed, Marked, OrderAccepted, Print
from trading.core.rows import Quote
from trading.strategies import catalogue
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.strategy import Bar, Strategy

SYMBOL = "A-USD"
E = TypeVar("E")
Decide = Callable[[Strategy, Bar, int], object]


def store_of(path: Path, *symbols: str, tick: float | None = 0.01, **more: Any) -> CsvStore:
    store = CsvStore(path, **more)
    for symbol in symbols or (SYMBOL,):
        instrument = Instrument(
            symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=tick, settle=0.0
        )
        store.set_instrument(instrument)
    return store


def trades_of(store: CsvStore, prices: Mapping[Any, float], symbol: str = SYMBOL) -> None:
    """Store a trade at each second."""
    rows = [
        {"timestamp": START_NS + int(second * SECOND_NS), "price": price, "volume": 1e6}
        for second, price in prices.items()
    ]
    store.append(Append(TRADES, symbol, batch_of(TRADES, rows), "test"))


def run(
    path: Path, inputs: BacktestInputs, decide: Decide, timed: list[tuple[int, Event]] | None = None
) -> list[Event]:
    """Run a strategy that decides by each bar and its number, from 1 on; return its events. A timer buys a unit for each bar.

    timed: is given the events with their instants.
    """

    class Tested(Strategy):
        name = "tested"
        number = 0

        def on_bar(self, bar: Bar) -> None:
            self.number += 1
            decide(self, bar, self.number)

        def on_timer(self, now_ns: int) -> None:
            self.buy(SYMBOL, Decimal(len(self.broker.bars(SYMBOL, 100))))

    events = [] if timed is None else timed
    with mock.patch.dict(catalogue.SHIPPED, {"tested": Tested}):
        Backtest(inputs, open_store(path), lambda each: events.append((each.at_ns, each.event))).run()
    return [event for _, event in events]


def of_type(events: list[Event], kind: type[E]) -> list[E]:
    return [each for each in events if isinstance(each, kind)]


def buys(quantity: int, at: int, **terms: Any) -> Decide:
    def decide(strategy: Strategy, bar: Bar, number: int) -> None:
        if number == at:
            strategy.broker.order(bar.symbol, "buy", Decimal(quantity), **terms)  # type: ignore[arg-type]

    return decide


def test_a_timer_without_an_order_sees_no_later_bar(tmp_path: Path):
    trades_of(store_of(tmp_path), dict.fromkeys(range(20, 1200, 20), 100.0))

    def decide(strategy: Strategy, bar: Bar, number: int) -> None:
        if number == 2:
            strategy.broker.wake(bar.end_ns + 30 * SECOND_NS)

    events = run(tmp_path, inputs_of("tested", SYMBOL, minutes=10), decide)
    assert [int(each.order.quantity) for each in of_type(events, OrderAccepted)] == [2]


def test_a_quote_without_a_side_is_no_mark(tmp_path: Path):
    """The account is valued at each minute, and its equity is recorded if it has changed."""
    store = store_of(tmp_path)
    trades_of(store, dict.fromkeys(range(10, 310, 10), 100.0) | {395.0: 90.0})
    quotes = [
        {"timestamp": START_NS + second * SECOND_NS, "bid": bid, "ask": 101.0}
        for second, bid in ((15, 99.0), (75, 99.0), (290, 99.0), (400, None), (500, 98.0))
    ]
    store.append(Append(QUOTES, SYMBOL, batch_of(QUOTES, quotes), "test"))
    free = {"fee_basis_points": Decimal(0), "slippage_basis_points": Decimal(0)}
    events = run(tmp_path, inputs_of("tested", SYMBOL, minutes=10, **free), buys(100, at=1))
    marks = [
        (int(mark.price), mark.at_ns - START_NS) for each in of_type(events, Marked) for mark in each.marks
    ]
    assert marks == [(99, 15 * SECOND_NS), (98, 500 * SECOND_NS)]


def test_a_zone_is_entered_at_the_end_of_the_bar(tmp_path: Path):
    """Of 100,000 USD half is held: a price of 94 is a drawdown of 3 %, which is seen at the bar's end."""
    prices = dict.fromkeys(range(10, 400, 10), 100.0) | {400: 94.0, 410: 100.0, 450: 94.0}
    trades_of(store_of(tmp_path), prices)
    free = {"fee_basis_points": Decimal(0), "slippage_basis_points": Decimal(0)}
    events: list[tuple[int, Event]] = []
    run(tmp_path, inputs_of("tested", SYMBOL, minutes=10, **free), buys(500, at=1), events)
    zones = [(at_ns - START_NS, each.zone) for at_ns, each in events if isinstance(each, Marked)]
    assert zones[-1] == (480 * SECOND_NS, Zone.CAUTION)
    assert {zone for _, zone in zones[:-1]} == {Zone.NORMAL}


@pytest.mark.parametrize("rows_at_once", [1 << 18, 1])
def test_a_limit_gets_the_opening_price_also_at_the_end_of_a_part(tmp_path: Path, rows_at_once: int):
    store = CsvStore(tmp_path)
    store.set_instrument(
        Instrument(symbol="SAP", instrument_class=EQUITY, exchange="XNYS", currency="EUR", tick_size=0.01)
    )
    last_ns, open_ns = parse_timestamp("2025-01-06T20:00Z"), parse_timestamp("2025-01-07T14:30Z")
    times = [
        *(last_ns + minute * MINUTE_NS for minute in range(20)),
        open_ns + SECOND_NS // 2,
        *(open_ns + minute * MINUTE_NS for minute in range(1, 40)),
    ]
    prices = [100.0] * 20 + [94.0] + [96.0] * 39
    rows = [
        {"timestamp": time, "price": price, "volume": 1e6} for time, price in zip(times, prices, strict=True)
    ]
    store.append(Append(TRADES, "SAP", batch_of(TRADES, rows), "test"))
    quotes = [
        {"timestamp": last_ns + minute * MINUTE_NS, "bid": 1.0999, "ask": 1.1001} for minute in range(-5, 5)
    ]
    store.append(Append(QUOTES, "EUR-USD", batch_of(QUOTES, quotes), "test"))
    inputs = msgspec.structs.replace(
        inputs_of("tested", "SAP"), start_ns=last_ns - 10 * MINUTE_NS, end_ns=open_ns + 60 * MINUTE_NS
    )
    limit = buys(100, at=1, type="limit", limit_price=Decimal(95), time_in_force="gtc")
    with mock.patch.multiple("store.reading.replay", ROWS_AT_ONCE=rows_at_once, _LEAST_ROWS=1):
        events = run(tmp_path, inputs, limit)
    assert [each.price for each in of_type(events, Executed)] == [94]


def test_a_strategy_is_shown_also_the_rows_that_count_for_nothing(tmp_path: Path):
    """Trades outside of sessions and odd lots fill nothing, and are no price; nor is a quote that is not firm."""
    share = Instrument("SHARE", instrument_class=EQUITY, exchange="XNYS", currency="USD", settle=0.0)
    store = CsvStore(tmp_path)
    store.set_instrument(share)
    open_ns = parse_timestamp("2025-01-06T14:30")
    times = [open_ns + minute * MINUTE_NS for minute in range(-30, 30)]
    rows: list[dict[str, Any]] = [{"timestamp": each, "price": 100.0, "volume": 5.0} for each in times]
    rows[40]["conditions"] = "odd_lot"
    store.append(Append(TRADES, "SHARE", batch_of(TRADES, rows), "test"))
    quotes = [{"timestamp": open_ns + 1, "bid": 99.0, "ask": 100.0, "conditions": "non_firm"}]
    store.append(Append(QUOTES, "SHARE", batch_of(QUOTES, quotes), "test"))
    shown: list[tuple[int, bool]] = []

    class Watcher(Strategy):
        name = "watcher"

        def on_bar(self, bar: Bar) -> None:
            pass

        def on_trade(self, trade: Print) -> None:
            shown.append((trade.ref.timestamp_ns, trade.is_eligible))

        def on_quote(self, quote: Quote) -> None:
            shown.append((quote.ref.timestamp_ns, quote.is_eligible))

    inputs = msgspec.structs.replace(
        inputs_of("watcher", "SHARE"), start_ns=times[0], end_ns=times[-1] + MINUTE_NS
    )
    with mock.patch.dict(catalogue.SHIPPED, {"watcher": Watcher}):
        Backtest(inputs, open_store(tmp_path), lambda _: None).run()
    eligible = [*[False] * 30, *[True] * 30]
    eligible[40] = False
    assert shown == sorted([*zip(times, eligible, strict=True), (open_ns + 1, False)])
