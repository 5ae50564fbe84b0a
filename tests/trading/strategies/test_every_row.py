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
from store.protocol import Action, Amendment, Append, Correction
from store.timestamps import MINUTE_NS, SECOND_NS, parse_timestamp
from tests.trading.strategies.past import START_NS, batch_of, inputs_of
from trading.core.events import Event, Executed, ExecutionQuestioned, Marked, OrderAccepted, Print
from trading.core.rows import Quote
from trading.strategies import backtest, catalogue
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.strategy import Bar, Strategy
from trading.strategies.tape import EVERY_ELIGIBLE_ROW

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


def run(path: Path, inputs: BacktestInputs, decide: Decide) -> list[Event]:
    """Run a strategy that decides by each bar and its number, from 1 on; return its events. A timer buys a unit for each bar."""

    class Tested(Strategy):
        name = "tested"
        number = 0

        def on_bar(self, bar: Bar) -> None:
            self.number += 1
            decide(self, bar, self.number)

        def on_timer(self, now_ns: int) -> None:
            self.buy(SYMBOL, Decimal(len(self.broker.bars(SYMBOL, 100))))

    events: list[Event] = []
    with mock.patch.dict(catalogue.SHIPPED, {"tested": Tested}):
        Backtest(inputs, open_store(path), lambda each: events.append(each.event)).run()
    return events


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


@pytest.mark.parametrize(
    ("side", "price"), [({"bid": 120.0, "ask": None}, None), ({"bid": None, "ask": 100.01}, 90.0)]
)
def test_a_quote_without_a_side_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: dict[str, Any], price: float | None
):
    store = store_of(tmp_path)
    trades_of(store, dict.fromkeys(range(10, 310, 10), 100.0) | ({} if price is None else {395.0: price}))
    whole = {"bid": 99.99, "ask": 100.01}
    quotes = [{"timestamp": START_NS + second * SECOND_NS, **whole} for second in (*range(11, 311, 10), 500)]
    quotes.append({"timestamp": START_NS + 400 * SECOND_NS, **side})
    store.append(Append(QUOTES, SYMBOL, batch_of(QUOTES, quotes), "test"))
    inputs = inputs_of("tested", SYMBOL, minutes=10)
    quick = run(tmp_path, inputs, buys(500, at=1))
    monkeypatch.setattr(
        backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ELIGIBLE_ROW)
    )
    assert run(tmp_path, inputs, buys(500, at=1)) == quick
    assert len(of_type(quick, Marked)) > 2


def test_a_zone_is_entered_by_a_drawdown_that_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prices = dict.fromkeys(range(10, 400, 10), 100.0) | {400: 94.05, 410: 94.0000007, 500: 94.02}
    trades_of(store_of(tmp_path, tick=0.0001), prices)
    inputs = inputs_of(
        "tested", SYMBOL, minutes=10, fee_basis_points=Decimal(0), slippage_basis_points=Decimal(0)
    )
    quick = run(tmp_path, inputs, buys(500, at=1))
    monkeypatch.setattr(
        backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ELIGIBLE_ROW)
    )
    assert run(tmp_path, inputs, buys(500, at=1)) == quick
    assert "caution" in [each.zone.lower() for each in of_type(quick, Marked)]


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


def test_an_execution_is_questioned_also_when_nothing_is_held_any_more(tmp_path: Path):
    clock = [START_NS]
    store = store_of(tmp_path, clock=lambda: clock[0])
    for second in range(10, 590, 10):
        clock[0] = START_NS + second * SECOND_NS
        trades_of(store, {second: 100.0})
        if second == 420:
            # The print that filled the order.
            cancel = Correction(Action.CANCEL, START_NS + 70 * SECOND_NS, {"price": 100.0}, {})
            store.correct(Amendment(TRADES, SYMBOL, (cancel,), "test"))

    def decide(strategy: Strategy, bar: Bar, number: int) -> None:
        if number == 1:
            strategy.buy(SYMBOL, Decimal(100))
        elif number == 4:
            strategy.broker.close(SYMBOL)

    events = run(tmp_path, inputs_of("tested", SYMBOL, minutes=10), decide)
    assert len(of_type(events, Executed)) == 2
    assert len(of_type(events, ExecutionQuestioned)) == 1


@pytest.mark.parametrize("rows_at_once", [1 << 18, 10])
def test_a_tick_follows_from_the_last_prices_however_the_replay_is_cut(tmp_path: Path, rows_at_once: int):
    store = store_of(tmp_path, SYMBOL, "B-USD", tick=None)
    trades_of(store, dict.fromkeys(range(1, 600), 100.0))
    trades_of(store, {second: 100.0001 if second == 30 else 100.0 for second in range(10, 600, 10)}, "B-USD")

    def decide(strategy: Strategy, bar: Bar, number: int) -> None:
        if bar.symbol == "B-USD" and bar.end_ns == START_NS + 8 * MINUTE_NS:
            strategy.broker.order("B-USD", "buy", Decimal(1), type="limit", limit_price=Decimal("100.0055"))  # type: ignore[arg-type]

    with mock.patch.multiple("store.reading.replay", ROWS_AT_ONCE=rows_at_once, _LEAST_ROWS=1):
        events = run(tmp_path, inputs_of("tested", SYMBOL, "B-USD", minutes=10), decide)
    assert [each.order.limit_price for each in of_type(events, OrderAccepted)] == [Decimal("100.0055")]


def test_a_strategy_is_shown_also_the_rows_that_count_for_nothing(tmp_path: Path):
    """Trades outside of sessions and odd lots fill nothing, and are no price; so is a crossed quote."""
    share = Instrument("SHARE", instrument_class=EQUITY, exchange="XNYS", currency="USD", settle=0.0)
    store = CsvStore(tmp_path)
    store.set_instrument(share)
    open_ns = parse_timestamp("2025-01-06T14:30")
    times = [open_ns + minute * MINUTE_NS for minute in range(-30, 30)]
    rows: list[dict[str, Any]] = [{"timestamp": each, "price": 100.0, "volume": 5.0} for each in times]
    rows[40]["conditions"] = "odd_lot"
    store.append(Append(TRADES, "SHARE", batch_of(TRADES, rows), "test"))
    quotes = [{"timestamp": open_ns + 1, "bid": 100.0, "ask": 99.0}]
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
