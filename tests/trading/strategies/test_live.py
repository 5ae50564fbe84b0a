"""A strategy that runs for an account decides as a backtest of the same rows, orders once, and goes on where it was killed."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from audit.models import AuditRecord
from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.chance import SOAK
from tests.store_settings import stores_at
from tests.trading.desks import TradingDesk
from tests.trading.strategies.live_strategies import Counting, Flooding, Following, Hoarding, Seeing, Ticking
from tests.trading.strategies.past import GENEROUS, START_NS, batch_of, inputs_of
from trades.stores import market_store
from trading.core.account import RUNNING, Assignment
from trading.core.events import Event, OrderAccepted, OrderRejected, StrategyChoice, decoded
from trading.engine.engine import Engine
from trading.engine.logs import WallClock
from trading.models import EventRow, Lease, OrderRow, RunningStrategy
from trading.services.assigning import StrategyReplaced, strategy_assign, strategy_fail
from trading.strategies.backtest import Backtest
from trading.strategies.catalogue import SHIPPED, StrategyError
from trading.strategies.host import MOST_WANTED
from trading.strategies.live import MOST_STATE_BYTES, LiveStrategy, WatchedCalls

pytestmark = pytest.mark.django_db(transaction=True)
SYMBOLS = ("A-USD", "B-USD")
MINUTES = 600 if SOAK else 40


class Killed(BaseException):
    """The process ended."""


class Site:
    """An account with a strategy, on a clock of its own. The engine and the strategy take turns."""

    def __init__(self, path: Path, name: str, parameters: dict[str, Any] | None = None) -> None:
        self.now_ns = START_NS
        self.store = CsvStore(path, clock=lambda: self.now_ns)
        self.desk = TradingDesk(config=GENEROUS, begin_ns=START_NS)
        texts = {each: str(value) for each, value in (parameters or {}).items()}
        self.choice = StrategyChoice(name=name, parameters=texts, symbols=SYMBOLS)
        self.assign(self.choice)
        Lease.objects.update(leased_until_ns=0)
        self.desk.engine = Engine(WallClock(clock=lambda: self.now_ns))

    def assign(self, choice: StrategyChoice | None) -> None:
        strategy_assign(account=self.desk.account, strategy=choice, by="test")

    def begin(self) -> LiveStrategy:
        """The strategy's process begins."""
        running = RunningStrategy.objects.select_related("account").get()
        self.strategy = LiveStrategy(running, WatchedCalls(), clock=lambda: self.now_ns)
        return self.strategy

    def trades(self, *rows: dict[str, Any], symbol: str = SYMBOLS[0]) -> None:
        self.store.append(Append(TRADES, symbol, batch_of(TRADES, list(rows)), "test"))

    def trade(self, seconds: int, price: float = 100.0) -> None:
        """A trade that is stored when it happens."""
        self.now_ns = START_NS + seconds * SECOND_NS
        self.trades({"timestamp": self.now_ns - 1, "price": price, "volume": 1_000.0})


@pytest.fixture
def market(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installation's store, with the instruments; the strategies of this file are shipped."""
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    for symbol in SYMBOLS:
        market_store().set_instrument(
            Instrument(symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=2.0)
        )
    for kind in (Counting, Seeing, Flooding, Hoarding, Ticking, Following):
        monkeypatch.setitem(SHIPPED, kind.name, kind)
    monkeypatch.setattr(Seeing, "seen", [])
    monkeypatch.setattr(Ticking, "prices", [])
    monkeypatch.setattr(Following, "told", [])
    return tmp_path


def trades_of(chance: random.Random, minutes: int) -> list[dict[str, Any]]:
    """Trades of each minute, none of them in its first seconds, in which orders are placed."""
    rows: list[dict[str, Any]] = []
    price = 100.0
    for minute in range(minutes):
        for second in sorted(chance.sample(range(5, 60), 5)):
            price = round(price * (1 + chance.gauss(0, 0.002)), 2)
            at_ns = START_NS + minute * MINUTE_NS + second * SECOND_NS
            rows.append({"timestamp": at_ns, "price": price, "volume": round(chance.uniform(100, 500), 3)})
    return rows


def placed(events: list[Event]) -> list[tuple[int, str, str, Decimal]]:
    """Every order that was placed, accepted or not: when, its symbol, side and quantity."""
    return [
        (each.submitted_ns // SECOND_NS, each.order.symbol, each.order.side.value, each.order.quantity)
        for each in events
        if isinstance(each, OrderAccepted | OrderRejected)
    ]


def live_events() -> list[Event]:
    return [decoded(row.body) for row in EventRow.objects.order_by("number")]


def backtest_events(path: Path, name: str, parameters: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    inputs = inputs_of(name, *SYMBOLS, parameters=parameters, minutes=MINUTES, cash=Decimal("100000.000000"))
    Backtest(inputs, open_store(path), lambda each: events.append(each.event)).run()
    return events


@pytest.mark.parametrize("is_killed", [False, True], ids=["undisturbed", "killed"])
@pytest.mark.parametrize(
    ("name", "parameters"), [("counting", {}), ("crossover", {"fast": 2, "slow": 5})], ids=["own", "shipped"]
)
def test_it_decides_as_a_backtest(
    market: Path, name: str, parameters: dict[str, Any], is_killed: bool
) -> None:
    """Also if its process is killed now and then, before its State is saved or after it."""
    chance, site = random.Random(1), Site(market, name, parameters)
    rows = {symbol: trades_of(chance, MINUTES) for symbol in SYMBOLS}
    site.begin()
    for minute in range(1, MINUTES + 1):
        site.now_ns = START_NS + minute * MINUTE_NS
        for symbol, some in rows.items():
            begun_ns = site.now_ns - MINUTE_NS
            site.trades(*[row for row in some if begun_ns <= row["timestamp"] < site.now_ns], symbol=symbol)
        site.desk.run()
        site.now_ns += 2 * SECOND_NS
        if is_killed and chance.random() < 0.5:
            with mock.patch.object(LiveStrategy, "_save", side_effect=Killed), pytest.raises(Killed):
                site.strategy.step()
            site.begin()
        site.strategy.step()
        if is_killed and chance.random() < 0.5:
            site.begin()
        site.desk.run()
    live, past = placed(live_events()), placed(backtest_events(market, name, parameters))
    # A backtest shows the last bars at the end of its period.
    last = (START_NS + MINUTES * MINUTE_NS) // SECOND_NS - 1
    assert [each for each in live if each[0] < last] == [each for each in past if each[0] < last]
    assert len(live) > 8
    if name == "counting":
        assert msgspec.json.decode(RunningStrategy.objects.get().state) == {"bars": len(SYMBOLS) * MINUTES}
    site.desk.check()


def test_an_order_has_the_id_of_its_bar_and_number(market: Path) -> None:
    site = Site(market, Seeing.name)
    site.begin()
    site.trade(30)
    site.now_ns = START_NS + 62 * SECOND_NS
    site.strategy.step()
    assert [each.client_order_id for each in OrderRow.objects.all()] == [f"seeing:A-USD:{START_NS}:60:1"]
    assert AuditRecord.objects.filter(caller="strategy:seeing", subject="account:ACC").count() == 1


def test_another_interval_may_order_at_a_bar_of_the_same_start(market: Path) -> None:
    site = Site(market, Seeing.name)
    for interval, ends in (("1m", 60), ("1h", 3_600)):
        site.assign(msgspec.structs.replace(site.choice, parameters={"interval": interval}))
        site.begin()
        site.trade(ends - 30)
        site.now_ns = START_NS + (ends + 2) * SECOND_NS
        site.strategy.step()
    assert [each.client_order_id for each in OrderRow.objects.order_by("submitted_ns")] == [
        f"seeing:A-USD:{START_NS}:{seconds}:1" for seconds in (60, 3_600)
    ]


def test_an_order_that_was_placed_before_is_not_placed_again(market: Path) -> None:
    """Its process was killed after another one had placed the order, whose State is older."""
    site = Site(market, Seeing.name)
    site.trade(30)
    before = RunningStrategy.objects.values().get()
    for _ in range(2):
        RunningStrategy.objects.update(**before)
        site.begin()
        site.now_ns = START_NS + 62 * SECOND_NS
        site.strategy.step()
    assert OrderRow.objects.count() == 1


def test_one_of_two_processes_saves_and_orders(market: Path) -> None:
    site = Site(market, Ticking.name)
    first, second = site.begin(), site.begin()
    site.trade(30)
    first.step()
    with pytest.raises(StrategyReplaced):
        second.step()
    assert OrderRow.objects.count() == 1


def test_bars_before_its_assignment_are_history_and_are_shown_once(market: Path) -> None:
    site = Site(market, Seeing.name)
    rows = [
        {"timestamp": START_NS - each * MINUTE_NS - 3 * SECOND_NS, "price": 100.0, "volume": 1.0}
        for each in range(4)
    ]
    # A backfill, of which each row counts as known at its time.
    market_store().append(Append(TRADES, SYMBOLS[0], batch_of(TRADES, rows[::-1]), "test"))
    for _ in range(2):
        site.begin().step()
    assert Seeing.seen == [True] * 3
    # The newest of them was due after it.
    site.now_ns += 2 * SECOND_NS
    site.strategy.step()
    assert Seeing.seen == [True] * 3 + [False]
    assert OrderRow.objects.count() == 1


def test_what_it_missed_is_history(market: Path) -> None:
    """Nothing is placed on bars that are shown more than ten seconds late."""
    site = Site(market, Seeing.name)
    for minute in range(4):
        site.trade(60 * minute + 30)
    site.now_ns = START_NS + 4 * MINUTE_NS + 5 * SECOND_NS
    site.begin().step()
    assert Seeing.seen == [True] * 3 + [False]
    assert placed(live_events()) == [(site.now_ns // SECOND_NS, SYMBOLS[0], "buy", Decimal(1))]


@pytest.mark.parametrize("is_away", [False, True], ids=["in time", "after an outage"])
def test_fills_and_timers_of_an_outage_are_history(market: Path, is_away: bool) -> None:
    """It is told of them, and places nothing on them; on a timer that is due later it does."""
    site = Site(market, Following.name)
    site.begin()
    for second in range(1, 150):
        site.trade(second)
        site.desk.run()
        if is_away and second == 100:
            site.begin()
        if not (is_away and 63 <= second < 100):
            site.strategy.step()
    assert Following.told == [("fill", is_away), ("timer", is_away), ("timer", False)]
    orders = [(at - START_NS // SECOND_NS, side) for at, _, side, _ in placed(live_events())]
    # The order of the bar at 62 fills at the next print.
    in_time = [] if is_away else [(63, "sell"), (83, "sell")]
    assert orders == [(62, "buy"), *in_time, (123, "sell")]
    site.desk.check()


def test_it_is_told_of_the_trades_that_come_from_its_beginning_on(market: Path) -> None:
    site = Site(market, Ticking.name)
    site.trade(1, price=99.0)
    site.begin().step()
    site.trade(2, price=100.0)
    site.trade(3, price=101.0)
    assert site.strategy.step() <= 0.1
    assert Ticking.prices == [100, 101]
    assert OrderRow.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (Flooding.name, RuntimeError, f"more than {MOST_WANTED} times at once"),
        (Hoarding.name, StrategyError, f"at most {MOST_STATE_BYTES:,}"),
    ],
)
def test_too_much_is_placed_and_saved_by_none(
    market: Path, name: str, error: type[Exception], words: str
) -> None:
    site = Site(market, name)
    site.begin()
    site.trade(30)
    site.now_ns = START_NS + 62 * SECOND_NS
    with pytest.raises(error, match=words):
        site.strategy.step()
    assert not OrderRow.objects.exists()
    assert RunningStrategy.objects.get().state == ""


def test_one_that_failed_decides_no_more_and_its_account_stays(market: Path) -> None:
    site = Site(market, Seeing.name)
    site.begin()
    running = RunningStrategy.objects.get()
    for _ in range(2):
        strategy_fail(running=running, reason="ZeroDivisionError: no volume", at_ns=site.now_ns)
    assert not RunningStrategy.objects.exists()
    assert isinstance(site.desk.state.assignment, Assignment)
    assert site.desk.state.assignment.failure == "ZeroDivisionError: no volume"
    assert site.desk.state.status == RUNNING
    assert (
        "The strategy seeing failed: ZeroDivisionError: no volume." in EventRow.objects.get(name="alert").body
    )
    with pytest.raises(StrategyReplaced):
        site.strategy.step()
    site.desk.check()


@pytest.mark.parametrize("is_other", [True, False], ids=["another one", "taken away"])
def test_one_that_was_taken_away_decides_no_more(market: Path, is_other: bool) -> None:
    """Nor does a failure of the earlier one end the later one."""
    site = Site(market, Seeing.name)
    site.begin()
    earlier = RunningStrategy.objects.get()
    site.assign(site.choice if is_other else None)
    with pytest.raises(StrategyReplaced):
        site.strategy.step()
    strategy_fail(running=earlier, reason="too late", at_ns=site.now_ns)
    assert RunningStrategy.objects.count() == is_other
    assert (site.desk.state.assignment is not None) is is_other
    assert not EventRow.objects.filter(name="alert").exists()


def test_an_alert_names_a_file_that_has_changed(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(market, Seeing.name)
    monkeypatch.setattr(Seeing, "sha256", "ab" * 32)
    site.begin()
    assert f"has changed since it was assigned: {'ab' * 32} runs" in EventRow.objects.get(name="alert").body
