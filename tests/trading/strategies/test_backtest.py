"""A backtest passes over the rows that change nothing: its events are those of one that takes every row."""

import random
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, QUOTES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from tests.chance import SOAK
from tests.trading.strategies.past import GENEROUS, START_NS, batch_of, inputs_of, random_market, stored_bars
from trading.core.events import Executed, Marked, OrderAccepted, encoded
from trading.core.rows import Quote
from trading.core.terms import Side
from trading.engine.floor import RecordedEvent
from trading.strategies import backtest, catalogue
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.crossover import Crossover
from trading.strategies.strategy import Bar, Strategy
from trading.strategies.tape import EVERY_ELIGIBLE_ROW

CASES = [
    ("crossover", ("A-USD",), {"fast": 3, "slow": 8}),
    ("breakout", ("C-USD", "B-USD"), {"entry": 5, "exit": 3, "risk": 1}),
]
if SOAK:
    CASES += [
        ("crossover", ("A-USD", "B-USD", "C-USD"), {"fast": 2, "slow": 5}),
        ("breakout", ("B-USD",), {"entry": 5, "exit": 3, "risk": 1}),
    ]


def events_of(inputs: BacktestInputs, reader: Reader) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    run = Backtest(inputs, reader, lambda each: events.append((each.at_ns, encoded(each.event))))
    run.run()
    return events


@pytest.mark.parametrize("seed", range(10 if SOAK else 1))
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} of {len(case[1])}")
def test_rows_that_change_nothing_are_passed_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, tuple[str, ...], dict[str, int]],
    seed: int,
):
    strategy, symbols, parameters = case
    minutes = 600 if SOAK else 200
    reader = random_market(tmp_path / "data", random.Random(seed), minutes=minutes)
    inputs = inputs_of(strategy, *symbols, parameters=parameters, minutes=minutes)
    quick = events_of(inputs, reader)
    monkeypatch.setattr(
        backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ELIGIBLE_ROW)
    )
    monkeypatch.setattr(catalogue.SHIPPED[strategy], "take_bars", Strategy.take_bars)
    assert events_of(inputs, reader) == quick
    assert sum(f'"{Executed.__struct_config__.tag}"' in event for _, event in quick) > 10


class Wild(Strategy):
    """Orders of all kinds at random: at each bar the same ones, whatever it was shown before."""

    name = "wild"
    seed: ClassVar[int]

    def on_bar(self, bar: Bar) -> None:
        chance = random.Random(f"{self.seed} {bar.symbol} {bar.end_ns}")
        price, side = Decimal(repr(bar.close)), chance.choice(list(Side))
        away = Decimal(chance.choice(["0.98", "0.995", "1.005", "1.02"]))
        size = Decimal(chance.choice([5, 50, 400]))
        match chance.randrange(12):
            case 0 | 1:
                self.broker.order(bar.symbol, side, size)
            case 2:
                self.broker.order(
                    bar.symbol, side, size, type="limit", limit_price=price * away, time_in_force="gtc"
                )
            case 3:
                self.broker.order(
                    bar.symbol, side, size, type="stop", stop_price=price * away, time_in_force="gtc"
                )
            case 4:
                self.broker.order(bar.symbol, side, size, stop_loss=price * (1 - side.sign * Decimal("0.02")))
            case 5:
                self.broker.close(bar.symbol)
            case 6:
                self.broker.cancel(bar.symbol)


# The account comes into each zone again and again, and orders are refused by it.
EDGES = msgspec.structs.replace(
    GENEROUS, risk_level=Decimal(50), max_risk_level=Decimal(50), caution=Decimal("0.5"), danger=Decimal(1),
    halt=Decimal(60), hysteresis=Decimal("0.2"),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(60 if SOAK else 4))
@pytest.mark.parametrize("symbols", [("A-USD",), ("A-USD", "B-USD", "C-USD")], ids=["one", "three"])
def test_a_row_is_taken_if_the_account_is_to_be_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, symbols: tuple[str, ...], seed: int
):
    monkeypatch.setitem(catalogue.SHIPPED, "wild", Wild)
    monkeypatch.setattr(Wild, "seed", seed, raising=False)
    reader = random_market(tmp_path / "data", random.Random(seed), minutes=120)
    inputs = inputs_of("wild", *symbols, minutes=120, fee_basis_points=Decimal(40))
    inputs = msgspec.structs.replace(inputs, config=EDGES)
    quick = events_of(inputs, reader)
    monkeypatch.setattr(
        backtest, "bands_of", lambda state, _: dict.fromkeys(state.symbols(), EVERY_ELIGIBLE_ROW)
    )
    assert events_of(inputs, reader) == quick
    assert sum(f'"{Marked.__struct_config__.tag}"' in event for _, event in quick) > 3


class Watched(Crossover):
    """A crossover that counts the bars which it is shown."""

    name = "watched"
    shown = 0

    def on_bar(self, bar: Bar) -> None:
        Watched.shown += 1
        super().on_bar(bar)


def test_who_inherits_from_a_shipped_strategy_is_shown_every_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(catalogue.SHIPPED, "watched", Watched)
    monkeypatch.setattr(Watched, "shown", 0)
    reader = random_market(tmp_path / "data", random.Random(3), minutes=200)
    inputs = inputs_of("watched", "A-USD", parameters={"fast": 3, "slow": 8}, minutes=200)
    events_of(inputs, reader)
    bars = reader.bars("A-USD", inputs.start_ns, inputs.end_ns)
    assert Watched.shown == len(bars)


class Late(Strategy):
    """Buys a minute before midnight."""

    name = "late"

    def on_bar(self, bar: Bar) -> None:
        if bar.end_ns % DAY_NS == DAY_NS - MINUTE_NS:
            self.buy(bar.symbol, Decimal(1))


class Quoting(Strategy):
    """Buys at the third quote."""

    name = "quoting"
    seen = 0

    def on_quote(self, quote: Quote) -> None:
        self.seen += 1
        if self.seen == 3:
            self.buy(quote.ref.symbol, Decimal(1))


def test_a_symbol_with_quotes_only_can_be_traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(catalogue.SHIPPED, "quoting", Quoting)
    store = CsvStore(tmp_path)
    store.set_instrument(Instrument(symbol="Q-USD", instrument_class=CRYPTO, currency="USD", tick_size=0.01))
    quotes = [{"timestamp": START_NS + second * SECOND_NS, "bid": 9.99, "ask": 10.01} for second in range(5)]
    store.append(Append(QUOTES, "Q-USD", batch_of(QUOTES, quotes), "test"))
    accepted: list[RecordedEvent] = []

    def keep(recorded: RecordedEvent) -> None:
        if isinstance(recorded.event, OrderAccepted):
            accepted.append(recorded)

    parts: list[float] = []
    Backtest(inputs_of("quoting", "Q-USD"), open_store(tmp_path), keep).run(parts.append)
    assert [each.at_ns for each in accepted] == [START_NS + 2 * SECOND_NS]
    assert parts == [1]


def test_a_row_that_is_known_as_a_day_begins_fills_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(catalogue.SHIPPED, "late", Late)
    store = CsvStore(tmp_path)
    store.set_instrument(
        Instrument(symbol="C-USD", instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=0.0)
    )
    minutes = 3 * 24 * 60
    store.append(Append(BARS, "C-USD", batch_of(BARS, stored_bars(random.Random(3), minutes)), "test"))
    filled: list[int] = []

    def keep(recorded: RecordedEvent) -> None:
        if isinstance(recorded.event, Executed):
            filled.append(recorded.event.print.ref.timestamp_ns)

    inputs = msgspec.structs.replace(
        inputs_of("late", "C-USD", minutes=minutes), config=msgspec.structs.replace(GENEROUS, latency_ms=0)
    )
    Backtest(inputs, open_store(tmp_path), keep).run()
    # The last one by the bar that ends with the period.
    assert filled == [START_NS + day * DAY_NS - MINUTE_NS for day in (1, 2, 3)]


class Holding(Strategy):
    """Buys at its first bar, and keeps it."""

    name = "holding"

    def on_bar(self, bar: Bar) -> None:
        if not self.broker.position(bar.symbol) and not self.broker.has_orders(bar.symbol):
            self.buy(bar.symbol, Decimal(1))


def test_an_open_position_is_valued_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(catalogue.SHIPPED, "holding", Holding)
    reader = random_market(tmp_path / "data", random.Random(5))
    state = Backtest(inputs_of("holding", "C-USD"), reader, lambda _: None).run()
    [position] = state.positions.values()
    last = reader.bars("C-USD", START_NS, START_NS + 600 * MINUTE_NS, "1min").close[-1]
    assert state.equity == state.cash + position.quantity * Decimal(str(last))
