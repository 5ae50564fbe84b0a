"""What changes a bar after it was shown comes as a revision, in backtests and in the engine, as a plain computation says."""

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, Instrument
from store.protocol import Append, Fill, Window
from store.reading import Reader
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.chance import SOAK
from tests.store.builders import Clock, amendment, batch, cancel, correct, trade
from tests.store.known_history import Oracle, Version
from tests.store_settings import stores_at
from tests.trading.desks import TradingDesk
from tests.trading.replays import kills, run_on
from tests.trading.strategies.past import GENEROUS, START_NS, batch_of, inputs_of
from trading.core.events import StrategyChoice, encoded
from trading.engine.clock import WallClock
from trading.engine.engine import Engine
from trading.models import EngineLease
from trading.services.assigning import strategy_assign
from trading.strategies import backtest, catalogue
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.live import LiveStrategies
from trading.strategies.strategy import Bar, Strategy
from trading.strategies.tape import EVERY_ROW

pytestmark = pytest.mark.system
SYMBOLS = ("A-USD", "B-USD")
MINUTES = 300 if SOAK else 40
SETTLE_NS = 2 * SECOND_NS


class Revised(NamedTuple):
    """A call of `on_revision`."""

    at_ns: int
    before: Bar | None
    after: Bar | None


class Watching(Strategy):
    """Notes bars and revisions, and trades by both."""

    name = "watching"
    bars: ClassVar[list[Bar]] = []
    revised: ClassVar[list[Revised]] = []
    known: ClassVar[dict[str, list[Bar]]] = {}

    def on_bar(self, bar: Bar) -> None:
        self.bars.append(bar)
        self._trade(bar, bar.close > bar.open)

    def on_revision(self, before: Bar | None, after: Bar | None) -> None:
        self.revised.append(Revised(self.broker.now_ns, before, after))
        bar = after or before
        assert bar is not None
        self.known[bar.symbol] = self.broker.bars(bar.symbol, 10_000)
        self._trade(bar, after is not None and after.close > after.open)

    def _trade(self, bar: Bar, is_rising: bool) -> None:
        held = self.broker.position(bar.symbol)
        if is_rising and not held and not self.broker.has_orders(bar.symbol):
            self.buy(bar.symbol, Decimal(1))
        elif not is_rising and held:
            self.broker.close(bar.symbol)


@pytest.fixture(autouse=True)
def watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue.SHIPPED, Watching.name, Watching)
    for name, empty in (("bars", []), ("revised", []), ("known", {})):
        monkeypatch.setattr(Watching, name, empty)


def declared(path: Path, clock: Clock) -> CsvStore:
    store = CsvStore(path, clock=clock)
    for symbol in SYMBOLS:
        instrument = Instrument(
            symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=2.0
        )
        store.set_instrument(instrument)
    return store


def market(store: CsvStore, clock: Clock, chance: random.Random) -> dict[str, Oracle]:
    """Store trades minute by minute, some late, some corrected and cancelled; return what was known of them."""
    oracles = {symbol: Oracle() for symbol in SYMBOLS}
    for minute in range(MINUTES):
        for symbol, oracle in oracles.items():
            start_ns = START_NS + minute * MINUTE_NS
            # Now and then a minute has no trade, or one that is late.
            count = chance.choice([0, 1, 2, 5, 8])
            late_ns = [0, 0, SECOND_NS, 30 * SECOND_NS, 90 * SECOND_NS, 10 * MINUTE_NS]
            times = sorted(start_ns + chance.randrange(MINUTE_NS) for _ in range(count))
            received = [chance.choice([None, at_ns + chance.choice(late_ns)]) for at_ns in times]
            clock.now = max(start_ns + MINUTE_NS + chance.choice([0, SECOND_NS, MINUTE_NS]), clock.now + 1)
            rows = [
                trade(
                    at_ns,
                    100 + chance.randrange(-300, 300) / 100,
                    chance.choice([10.0, 25.5]),
                    received_at=received_ns,
                    trade_id=f"{minute}-{index}",
                )
                for index, (at_ns, received_ns) in enumerate(zip(times, received, strict=True))
            ]
            if rows:
                store.append(batch(*rows, symbol=symbol))
                for row in rows:
                    oracle.add(row, clock.now)
            if oracle.standing and chance.random() < 0.5:
                change(store, symbol, oracle, clock, chance)
    return oracles


def change(store: CsvStore, symbol: str, oracle: Oracle, clock: Clock, chance: random.Random) -> None:
    """Cancel or correct one of the newest rows."""
    version = chance.choice(oracle.standing[-10:])
    if version.until_ns == float("inf"):
        clock.now += chance.choice([1, SECOND_NS])
        named, at_ns = {"trade_id": version.row["trade_id"]}, version.row["timestamp"]
        new = chance.choice([None, {"price": 95.0}, {"volume": 7.0}, {"buyer_is_maker": True}])
        correction = cancel(at_ns, **named) if new is None else correct(at_ns, new=new, **named)
        store.correct(amendment(correction, symbol=symbol))
        oracle.end(version, clock.now, new)


def bar_at(symbol: str, versions: list[Version], start_ns: int, at_ns: int) -> Bar | None:
    """The bar of a minute as it was known at an instant."""
    end_ns = start_ns + MINUTE_NS
    rows = [
        each.row
        for each in versions
        if start_ns <= each.row["timestamp"] < end_ns and each.from_ns <= at_ns < each.until_ns
    ]
    if not rows:
        return None
    prices, volume = [row["price"] for row in rows], sum(row["volume"] for row in rows)
    return Bar(symbol, start_ns, end_ns, prices[0], max(prices), min(prices), prices[-1], volume)


def expected(oracles: dict[str, Oracle], end_ns: int) -> Iterator[Revised]:
    for symbol, oracle in oracles.items():
        versions = sorted(oracle.versions, key=lambda each: (each.row["timestamp"], each.arrival))
        for start_ns in range(START_NS, START_NS + MINUTES * MINUTE_NS, MINUTE_NS):
            due_ns = start_ns + MINUTE_NS + SETTLE_NS
            own = [each for each in versions if start_ns <= each.row["timestamp"] < start_ns + MINUTE_NS]
            shown = bar_at(symbol, own, start_ns, due_ns)
            instants = {each.from_ns for each in own} | {each.until_ns for each in own}
            for at_ns in sorted(each for each in instants if due_ns < each < end_ns):
                bar = bar_at(symbol, own, start_ns, int(at_ns))
                if bar != shown:
                    yield Revised(int(at_ns), shown, bar)
                    shown = bar


def in_order(revised: Iterator[Revised] | list[Revised]) -> list[Revised]:
    return sorted(revised, key=lambda each: (each.at_ns, bar_of(each).symbol, bar_of(each).start_ns))


def bar_of(revised: Revised) -> Bar:
    bar = revised.after or revised.before
    assert bar is not None
    return bar


def events_of(inputs: BacktestInputs, reader: Reader) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    Backtest(inputs, reader, lambda each: events.append((each.at_ns, encoded(each.event)))).run()
    return events


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
def test_a_backtest_is_told_what_changes_its_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    clock = Clock(START_NS)
    oracles = market(declared(tmp_path, clock), clock, random.Random(seed))
    inputs, reader = inputs_of(Watching.name, *SYMBOLS, minutes=MINUTES), open_store(tmp_path)
    quick = events_of(inputs, reader)
    found, bars = list(Watching.revised), list(Watching.bars)
    assert found == in_order(expected(oracles, inputs.end_ns))
    assert {each.before is None for each in found} == {each.after is None for each in found} == {True, False}
    # Bars that were shown, with what was revised in their place, are those that are known at the end.
    for symbol in SYMBOLS:
        # The bars that end with the period are shown as they are known when they are due.
        own = [bar for bar in bars if bar.symbol == symbol and bar.end_ns < inputs.end_ns]
        shown = {bar.start_ns: bar for bar in own}
        for each in found:
            bar = bar_of(each)
            if bar.symbol == symbol:
                assert shown.pop(bar.start_ns, None) == each.before
                shown |= {} if each.after is None else {bar.start_ns: each.after}
        now = reader.bars(
            symbol, START_NS, inputs.end_ns, knowledge="then", known_at=inputs.end_ns - 1, session="utc"
        )
        last_ns = max(shown)
        assert [(start_ns, shown[start_ns].close) for start_ns in sorted(shown)] == [
            each for each in zip(now.time_ns.tolist(), now.close.tolist(), strict=True) if each[0] <= last_ns
        ]
        assert set(Watching.known[symbol]) <= {*bars, *(each.after for each in found)}
    monkeypatch.setattr(backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ROW))
    assert events_of(inputs, reader) == quick


def test_what_is_known_now_is_not_revised(tmp_path: Path) -> None:
    clock = Clock(START_NS)
    market(declared(tmp_path, clock), clock, random.Random(1))
    events_of(inputs_of(Watching.name, *SYMBOLS, minutes=MINUTES, knowledge="now"), open_store(tmp_path))
    assert Watching.bars
    assert not Watching.revised


def test_a_stored_bar_that_is_replaced_is_revised(tmp_path: Path) -> None:
    clock = Clock(START_NS)
    store = declared(tmp_path, clock)

    def send(at_ns: int, close: float, fill: Fill | None = None) -> None:
        clock.now = at_ns
        amounts = {"open": 1.0, "high": 2.0, "low": 1.0, "close": close, "volume": 5.0}
        row = {"timestamp": START_NS, "resolution": "1m", **amounts}
        store.append(Append(BARS, "A-USD", batch_of(BARS, [row]), "test", fill=fill))

    window = Window(START_NS, START_NS + MINUTE_NS)
    send(START_NS + MINUTE_NS + SECOND_NS, 2.0, Fill(window, "other", "bars of the gap", "7-abcdef"))
    send(START_NS + 10 * MINUTE_NS, 1.5)
    events_of(inputs_of(Watching.name, "A-USD", minutes=MINUTES), open_store(tmp_path))
    (shown,) = Watching.bars
    assert Watching.revised == [Revised(clock.now, shown, shown._replace(close=1.5))]


def assigned() -> TradingDesk:
    desk = TradingDesk(config=GENEROUS, begin_ns=START_NS)
    choice = StrategyChoice(name=Watching.name, parameters={}, symbols=SYMBOLS)
    strategy_assign(account=desk.account, strategy=choice, by="test")
    return desk


@pytest.fixture
def live(tmp_path: Path, settings: Any, db: None) -> Path:
    settings.DATA_DIR, settings.MARKET_STORES = tmp_path, stores_at(tmp_path)
    return tmp_path


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "is_killed", [pytest.param(False, marks=pytest.mark.soak), True], ids=["undisturbed", "killed"]
)
def test_the_engine_on_the_data_clock_is_told_the_same(live: Path, is_killed: bool) -> None:
    clock, chance = Clock(START_NS), random.Random(2)
    store = declared(live, clock)
    desk = assigned()
    oracles = market(store, clock, random.Random(1))
    with kills(chance, every=10, at_most=2 if is_killed else 0):
        run_on(desk)
    # The data clock stands still at the last trade.
    end_ns = max(each.row["timestamp"] for oracle in oracles.values() for each in oracle.versions)
    assert desk.state.assignment is not None
    told = list(dict.fromkeys(each for each in Watching.revised if each.at_ns < end_ns))
    assert told == in_order(expected(oracles, end_ns))


@pytest.mark.django_db(transaction=True)
def test_late_rows_of_one_commit_are_one_revision(live: Path) -> None:
    """On the wall clock, a bar is revised when the rows are committed."""
    clock, now = Clock(START_NS), Clock(START_NS + 1)
    store = declared(live, clock)
    desk = assigned()
    EngineLease.objects.update(leased_until_ns=0)
    desk.engine = Engine(LiveStrategies, WallClock(now.now, clock=now))

    def pass_time(now_ns: int) -> None:
        now.now = now_ns
        desk.run()

    def commit(at_ns: int, *times_ns: int, price: float) -> None:
        clock.now = at_ns
        store.append(batch(*(trade(each, price, received_at=None) for each in times_ns), symbol="A-USD"))

    commit(START_NS + 5 * SECOND_NS, START_NS + 4 * SECOND_NS, price=100)
    pass_time(START_NS + 63 * SECOND_NS)
    late_ns = START_NS + 65 * SECOND_NS
    commit(late_ns, *(START_NS + 10 * SECOND_NS + each for each in range(1_000)), price=101)
    pass_time(late_ns + SECOND_NS)
    (shown,) = Watching.bars
    (revised,) = Watching.revised
    after = shown._replace(high=101.0, close=101.0, volume=1_001.0)
    assert revised == Revised(late_ns, shown, after)
    assert Watching.known["A-USD"] == [after]
