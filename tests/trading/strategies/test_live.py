"""Strategies that live in the engine decide, order and fill as backtests of the same rows, also if the engine is killed."""

import random
import re
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append, Fill, Window
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.chance import SOAK
from tests.store_settings import stores_at
from tests.trading.desks import TradingDesk
from tests.trading.replays import NAMED, kills, run_on
from tests.trading.strategies.past import GENEROUS, START_NS, batch_of, inputs_of, stored_bars
from trades.stores import market_store
from trading.core.account import STOPPED
from trading.core.events import (
    STRATEGY_ALERT,
    Alert,
    OrderAccepted,
    OrderRejected,
    Print,
    StrategyChoice,
    decoded,
    encoded,
)
from trading.core.terms import Side
from trading.engine.clock import DataClock, WallClock
from trading.engine.engine import Engine
from trading.models import EngineLease, EventRow
from trading.services.assigning import strategy_assign
from trading.strategies.backtest import Backtest
from trading.strategies.catalogue import SHIPPED
from trading.strategies.live import LiveStrategies
from trading.strategies.models import StrategyCheckpoint
from trading.strategies.strategy import Bar, OrderFill, Strategy, StrategyState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]
SYMBOLS = ("A-USD", "B-USD")
MINUTES = 600 if SOAK else 60
# Which commits are there when an order comes depends on when they come.
COMMITS = re.compile('"commits":{[^}]*},?')
# Events of the account's beginning: a backtest has its own.
_BEGINNING = 4
CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("breakout", {"entry": 5, "exit": 3, "risk": 1}, True),
    ("ticking", {}, True),
    ("looking", {}, True),
]
if SOAK:
    CASES += [
        ("crossover", {"fast": 2, "slow": 5}, False),
        ("crossover", {"fast": 2, "slow": 5}, True),
        ("breakout", {"entry": 5, "exit": 3, "risk": 1}, False),
    ]


@pytest.fixture
def market(tmp_path: Path, settings: Any) -> Path:
    """The installation's store, with the instruments."""
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    for symbol in SYMBOLS:
        market_store().set_instrument(
            Instrument(symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=2.0)
        )
    return tmp_path


def trades_of(chance: random.Random, minutes: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    price, at_ns, end_ns = 100.0, START_NS, START_NS + minutes * MINUTE_NS
    while (at_ns := at_ns + chance.randrange(SECOND_NS, 20 * SECOND_NS)) < end_ns:
        # A large order meets several others at one instant.
        for _ in range(chance.choice((1, 1, 3))):
            price = round(price * (1 + chance.gauss(0, 0.002)), 2)
            rows.append({"timestamp": at_ns, "price": price, "volume": round(chance.uniform(1, 500), 3)})
    return rows


def store_trades(rows: dict[str, list[dict[str, Any]]]) -> None:
    for symbol, some in rows.items():
        market_store().append(Append(TRADES, symbol, batch_of(TRADES, some), "test"))


def desk_with(name: str, parameters: dict[str, Any]) -> TradingDesk:
    """An account to which a strategy is assigned at the beginning."""
    desk = TradingDesk(config=GENEROUS, begin_ns=START_NS)
    choice = StrategyChoice(
        name=name, parameters={each: str(value) for each, value in parameters.items()}, symbols=SYMBOLS
    )
    strategy_assign(account=desk.account, strategy=choice, by="test")
    return desk


def live_events() -> list[tuple[int, str]]:
    rows = EventRow.objects.order_by("number").exclude(name="strategy_assigned")
    return [(row.at_ns, row.body) for row in rows]


def named(events: list[tuple[int, str]]) -> list[tuple[int, str]]:
    names: dict[str, str] = {}
    return [
        (at_ns, NAMED.sub(lambda found: names.setdefault(found[0], f"#{len(names)}"), body))
        for at_ns, body in ((at_ns, COMMITS.sub("", body)) for at_ns, body in events[_BEGINNING:])
    ]


class TickingState(StrategyState):
    """The last price of each symbol, and by how many trades it has risen."""

    prices: dict[str, Decimal] = msgspec.field(default_factory=dict)
    risen: dict[str, int] = msgspec.field(default_factory=dict)


class Ticking(Strategy):
    """Buys when trades have risen three times, and closes some time after a fill."""

    name = "ticking"
    State = TickingState
    state: TickingState

    def on_trade(self, trade: Print) -> None:
        symbol, state = trade.ref.symbol, self.state
        has_risen = trade.price > state.prices.get(symbol, trade.price)
        state.prices[symbol] = trade.price
        state.risen[symbol] = state.risen.get(symbol, 0) + 1 if has_risen else 0
        if state.risen[symbol] == 3 and not self.broker.position(symbol):
            self.buy(symbol, Decimal(40))

    def on_fill(self, fill: OrderFill) -> None:
        self.broker.wake(fill.at_ns + 90 * SECOND_NS)

    def on_timer(self, now_ns: int) -> None:
        for symbol in self.broker.symbols:
            self.broker.close(symbol)


class Looking(Strategy):
    """Holds while the close is above that of ten bars ago. It remembers nothing itself."""

    name = "looking"

    def on_bar(self, bar: Bar) -> None:
        before, held = self.broker.bars(bar.symbol, 11), self.broker.position(bar.symbol)
        if len(before) == 11 and bar.close > before[0].close and not held:
            self.buy(bar.symbol, Decimal(40))
        elif len(before) == 11 and bar.close < before[0].close and held:
            self.broker.close(bar.symbol)


class Faulty(Strategy):
    """Fails at its third bar."""

    name = "faulty"
    bars = 0
    error: ClassVar[BaseException]

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars > 2:
            raise self.error


class Seeing(Strategy):
    """Notes what it is shown, and whether that is history; it buys at each bar."""

    name = "seeing"
    seen: ClassVar[list[bool]] = []

    def on_bar(self, bar: Bar) -> None:
        self.seen.append(self.broker.is_history)
        self.buy(bar.symbol, Decimal(1))


class Following(Strategy):
    """Buys once, and sells a little at its fill and at each of two timers after it. It notes what is history."""

    name = "following"
    told: ClassVar[list[tuple[str, bool]]] = []

    def on_bar(self, bar: Bar) -> None:
        if not self.told and not self.broker.has_orders(bar.symbol):
            self.buy(bar.symbol, Decimal(4))

    def on_fill(self, fill: OrderFill) -> None:
        if fill.side is Side.BUY:
            self._tell("fill")
            self.broker.wake(fill.at_ns + 20 * SECOND_NS)
            self.broker.wake(fill.at_ns + 60 * SECOND_NS)

    def on_timer(self, now_ns: int) -> None:
        self._tell("timer")

    def _tell(self, what: str) -> None:
        self.told.append((what, self.broker.is_history))
        self.sell(SYMBOLS[0], Decimal(1))


def placed() -> list[tuple[int, str, str]]:
    """Every order that was placed, accepted or not: when, its symbol and side."""
    rows = EventRow.objects.filter(name__in=("order_accepted", "order_rejected")).order_by("number")
    return [
        (event.submitted_ns, event.order.symbol, event.order.side.value)
        for event in (decoded(row.body) for row in rows)
        if isinstance(event, OrderAccepted | OrderRejected)
    ]


def backtest_events(
    path: Path, name: str, parameters: dict[str, Any], until_ns: int
) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    inputs = inputs_of(name, *SYMBOLS, parameters=parameters, minutes=MINUTES, cash=Decimal("100000.000000"))
    Backtest(inputs, open_store(path), lambda each: events.append((each.at_ns, encoded(each.event)))).run()
    return [each for each in events if each[0] < until_ns]


@pytest.mark.parametrize(
    ("name", "parameters", "is_killed"),
    CASES,
    ids=[f"{name}{'-killed' if is_killed else ''}" for name, _, is_killed in CASES],
)
def test_it_decides_as_a_backtest(
    market: Path, monkeypatch: pytest.MonkeyPatch, name: str, parameters: dict[str, Any], is_killed: bool
) -> None:
    for kind in (Ticking, Looking):
        monkeypatch.setitem(SHIPPED, kind.name, kind)
    chance = random.Random(1)
    rows = {symbol: trades_of(chance, MINUTES) for symbol in SYMBOLS}
    desk = desk_with(name, parameters)
    last_ns = max(some[-1]["timestamp"] for some in rows.values())
    # The strategy sees all that is known at an instant, so both logs come together.
    for minute in range(0, MINUTES, 30):
        begin_ns, end_ns = (START_NS + each * MINUTE_NS for each in (minute, minute + 30))
        part = {
            symbol: [row for row in some if begin_ns <= row["timestamp"] < end_ns]
            for symbol, some in rows.items()
        }
        store_trades(part)
        with kills(chance, every=10, at_most=2 if is_killed else 0):
            run_on(desk)
        if is_killed:
            EngineLease.objects.update(leased_until_ns=0)
            desk.engine = Engine(LiveStrategies, DataClock())
    live = [each for each in live_events() if each[0] < last_ns]
    past = backtest_events(market, name, parameters, last_ns)
    assert named(live) == named(past)
    assert sum('"executed"' in body for _, body in live) > 5
    desk.check()


@pytest.mark.parametrize("kind", ["stored bars", "backfilled trades"])
def test_it_fills_as_a_backtest(market: Path, kind: str) -> None:
    """The engine on the data clock and the backtest have one rule for the rows that fill."""
    name, parameters = "crossover", {"fast": 3, "slow": 8}
    desk, chance = desk_with(name, parameters), random.Random(2)
    window = Window(START_NS, START_NS + MINUTES * MINUTE_NS)
    for symbol in SYMBOLS:
        rows, dataset, fill = stored_bars(chance, MINUTES), BARS, None
        if kind == "backfilled trades":
            rows, dataset, fill = trades_of(chance, MINUTES), TRADES, Fill(window, "other")
        market_store().append(Append(dataset, symbol, batch_of(dataset, rows), "test", fill=fill))
    run_on(desk)
    last_ns = window.end_ns - MINUTE_NS
    live = [each for each in live_events() if each[0] < last_ns]
    assert named(live) == named(backtest_events(market, name, parameters, last_ns))
    assert sum('"executed"' in body for _, body in live) > 10
    desk.check()


@pytest.mark.parametrize("error", [ZeroDivisionError("no volume"), SystemExit("no volume")], ids=repr)
def test_one_that_fails_ends_and_its_account_is_stopped(
    market: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setitem(SHIPPED, Faulty.name, Faulty)
    monkeypatch.setattr(Faulty, "error", error, raising=False)
    desk = desk_with(Faulty.name, {})
    store_trades({symbol: trades_of(random.Random(1), 10) for symbol in SYMBOLS})
    desk.run()
    assert desk.state.assignment is None
    assert desk.state.status == STOPPED
    alert = EventRow.objects.get(name="alert")
    assert f"the strategy faulty failed: {type(error).__name__}: no volume" in alert.body
    desk.check()


def test_the_account_of_one_that_cannot_be_loaded_is_stopped_without_waiting_for_a_row(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHIPPED, Seeing.name, Seeing)
    desk, instants = desk_with(Seeing.name, {}), count(START_NS)
    monkeypatch.delitem(SHIPPED, Seeing.name)
    EngineLease.objects.update(leased_until_ns=0)
    desk.engine = Engine(LiveStrategies, WallClock(clock=lambda: next(instants)))
    for _ in range(3):
        desk.run()
    assert (desk.state.assignment, desk.state.status) == (None, STOPPED)


def test_the_engine_sees_an_assignment_also_if_it_records_something_at_once(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording reads the account, so that it is no longer one that others changed."""
    monkeypatch.setitem(SHIPPED, Seeing.name, Seeing)
    monkeypatch.setattr(Seeing, "seen", [])
    desk = TradingDesk(config=GENEROUS, begin_ns=START_NS)
    rows = {symbol: trades_of(random.Random(1), 20) for symbol in SYMBOLS}

    def assign(choice: StrategyChoice | None) -> None:
        desk.run()
        strategy_assign(account=desk.account, strategy=choice, by="test")
        alert = Alert(kind=STRATEGY_ALERT, message="in between")
        desk.engine._desk.act([("ACC", lambda _, record: record(alert))], at_ns=START_NS)

    assign(StrategyChoice(name=Seeing.name, parameters={}, symbols=SYMBOLS))
    store_trades({symbol: some[:100] for symbol, some in rows.items()})
    desk.run()
    seen = len(Seeing.seen)
    assert seen > 0
    assign(None)
    store_trades({symbol: some[100:] for symbol, some in rows.items()})
    desk.run()
    assert len(Seeing.seen) == seen


def test_what_it_missed_is_history(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the wall clock nothing is placed on bars that are shown late; a new engine knows what was shown."""
    monkeypatch.setitem(SHIPPED, Seeing.name, Seeing)
    monkeypatch.setattr(Seeing, "seen", [])
    desk = desk_with(Seeing.name, {})
    store_trades({symbol: trades_of(random.Random(1), 10) for symbol in SYMBOLS})
    now_ns = START_NS + 10 * MINUTE_NS + 5 * SECOND_NS
    for _ in range(2):
        EngineLease.objects.update(leased_until_ns=0)
        desk.engine = Engine(LiveStrategies, WallClock(START_NS + 1, clock=lambda: now_ns))
        desk.engine._pass_time(now_ns)
        desk.run()
    assert Seeing.seen == [True] * 18 + [False] * 2
    last_ns = START_NS + 10 * MINUTE_NS + 2 * SECOND_NS
    assert placed() == [(last_ns, symbol, "buy") for symbol in SYMBOLS]
    assert StrategyCheckpoint.objects.count() == 1


@pytest.mark.parametrize("is_away", [False, True], ids=["in time", "after an outage"])
def test_fills_and_timers_of_an_outage_are_history(
    market: Path, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """It is told of them, and places nothing on them; on a timer that is due later it does."""
    monkeypatch.setitem(SHIPPED, Following.name, Following)
    monkeypatch.setattr(Following, "told", [])
    desk, wall = desk_with(Following.name, {}), [0]
    store = CsvStore(market, clock=lambda: START_NS + wall[0] * SECOND_NS)
    for wall[0] in range(150):
        row = {"timestamp": START_NS + wall[0] * SECOND_NS - 1, "price": 100.0, "volume": 1_000.0}
        # The order of the bar at 62 fills at the next print.
        if wall[0] not in (0, 63):
            store.append(Append(TRADES, SYMBOLS[0], batch_of(TRADES, [row]), "test"))
        if wall[0] in (0, 100):
            EngineLease.objects.update(leased_until_ns=0)
            desk.engine = Engine(LiveStrategies, WallClock(clock=lambda: START_NS + wall[0] * SECOND_NS))
        if not (is_away and 63 < wall[0] < 100):
            desk.run()
    assert Following.told == [("fill", is_away), ("timer", is_away), ("timer", False)]
    orders = [((at_ns - START_NS) / SECOND_NS, side) for at_ns, _, side in placed()]
    in_time = [] if is_away else [(64, "sell"), (84, "sell")]
    assert orders == [(62, "buy"), *in_time, (124, "sell")]
    desk.check()
