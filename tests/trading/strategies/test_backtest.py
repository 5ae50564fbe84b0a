"""A backtest takes rows only while orders work: its events are those of one that takes every row."""

import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, QUOTES, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Append
from store.reading import Reader
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from tests.chance import SOAK
from tests.trading.strategies.past import GENEROUS, START_NS, batch_of, inputs_of, random_market, stored_bars
from trading.core.account_store import RecordedEvent
from trading.core.events import Executed, Marked, OrderAccepted, Print, encoded
from trading.core.rows import Quote
from trading.core.terms import Side
from trading.strategies import catalogue
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.strategy import Bar, Strategy


def events_of(inputs: BacktestInputs, reader: Reader) -> list[tuple[int, str]]:
    events: list[tuple[int, str]] = []
    run = Backtest(inputs, reader, lambda each: events.append((each.at_ns, encoded(each.event))))
    run.run()
    return events


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


class Watching(Wild):
    """The same orders by a strategy that is shown every row."""

    name = "watching"

    def on_trade(self, trade: Print) -> None:
        pass


@pytest.mark.parametrize("seed", range(20 if SOAK else 2))
@pytest.mark.parametrize("symbols", [("A-USD",), ("A-USD", "B-USD", "C-USD")], ids=["one", "three"])
def test_rows_that_no_order_waits_for_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, symbols: tuple[str, ...], seed: int
):
    reader, found = random_market(tmp_path / "data", random.Random(seed), minutes=120), []
    monkeypatch.setattr(Wild, "seed", seed, raising=False)
    # The name is in the ids of orders.
    for strategy in (Wild, Watching):
        monkeypatch.setattr(strategy, "name", "wild")
        monkeypatch.setitem(catalogue.SHIPPED, "wild", strategy)
        inputs = inputs_of("wild", *symbols, minutes=120, fee_basis_points=Decimal(40))
        # Without zones the account is valued less often.
        if seed % 2:
            inputs = msgspec.structs.replace(inputs, config=GENEROUS.without_limits())
        found.append(events_of(inputs, reader))
    assert found[0] == found[1]
    kinds = Counter(kind for _, event in found[0] for kind in (Executed, Marked) if tag_of(kind) in event)
    assert min(kinds[Executed], kinds[Marked]) > 10


def tag_of(kind: type[Executed | Marked]) -> str:
    return f'"event":"{kind.__struct_config__.tag}"'


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
    assert parts == [0, 1]


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


class Noting(Strategy):
    """Notes the closes that it is shown."""

    name = "noting"
    closes: ClassVar[list[float]] = []

    def on_bar(self, bar: Bar) -> None:
        self.closes.append(bar.close)


@pytest.mark.parametrize(("knowledge", "closes"), [("then", [100.0]), ("now", [101.0])])
def test_a_print_that_came_an_hour_late_is_not_in_the_bar_as_it_was_known_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knowledge: str, closes: list[float]
):
    (tmp_path / "data").mkdir()
    store = CsvStore(tmp_path / "data")
    store.set_instrument(Instrument(symbol="D-USD", instrument_class=CRYPTO, currency="USD"))
    prints = [(1, 100.0, 0), (58, 101.0, 60)]
    rows = [
        {
            "timestamp": START_NS + second * SECOND_NS,
            "price": price,
            "volume": 1.0,
            "received_at": START_NS + second * SECOND_NS + late * MINUTE_NS,
        }
        for second, price, late in prints
    ]
    store.append(Append(TRADES, "D-USD", batch_of(TRADES, rows), "test"))
    monkeypatch.setattr(Noting, "closes", [])
    monkeypatch.setitem(catalogue.SHIPPED, "noting", Noting)
    inputs = inputs_of("noting", "D-USD", minutes=120, knowledge=knowledge)
    Backtest(inputs, open_store(tmp_path / "data"), lambda _: None).run()
    assert Noting.closes == closes
