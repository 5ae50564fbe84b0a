"""Trades in another currency: fills have the rate of their own instant, by bars as by prints, and trades add up to cash."""

from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from store.csv import CsvStore
from store.csv.csv_log import CsvSnapshot
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import EQUITY, Instrument
from store.protocol import Append, Window
from store.timestamps import MINUTE_NS, parse_timestamp
from tests.trading.strategies.past import backtested, batch_of
from trading.core.configuration import RiskConfig
from trading.core.terms import Side
from trading.strategies.breakout import Breakout
from trading.strategies.crossover import Crossover
from trading.strategies.outcome import BacktestOutcome
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

SYMBOL = "AAPL"
_WIDE = RiskConfig().without_limits()
# The sessions of New York from Monday, 3 March 2025, in winter: 14:30Z to 21:00Z. Open and close.
_SESSIONS = {"2025-03-03": (100, 100), "2025-03-04": (100, 102), "2025-03-05": (103, 104), "2025-03-06": (104, 104),
             "2025-03-07": (105, 106), "2025-03-10": (107, 107)}  # fmt: skip
# The rate falls in the session of the entry, and after the open of the exit's.
_RATES = {
    "2025-03-03T00:00:00Z": 0.9,
    "2025-03-04T16:00:00Z": 0.8,
    "2025-03-07T16:00:00Z": 0.7,
    "2025-03-10T12:00:00Z": 0.6,
}


class ThereAndBack(Strategy):
    """Opens a position by the bar that has the first session's close, and closes it by the bar of the fourth session's."""

    name = "there-and-back"

    class Parameters(StrategyParameters, frozen=True):
        side: Side = Side.BUY

    parameters: Parameters

    def on_bar(self, bar: Bar) -> None:
        # Of minutes it is the last one before the close.
        closes_ns = parse_timestamp("2025-03-03T20:59:00Z"), parse_timestamp("2025-03-06T20:59:00Z")
        for number, close_ns in enumerate(closes_ns):
            if bar.start_ns <= close_ns < bar.end_ns:
                side = self.parameters.side
                order_side = side if number == 0 else {Side.BUY: Side.SELL, Side.SELL: Side.BUY}[side]
                self.broker.order(bar.symbol, order_side, Decimal(100))


class EachBar(Strategy):
    """Buys and sells in turn, one order a bar."""

    name = "each-bar"

    class Parameters(StrategyParameters, frozen=True):
        most: int = 0

    parameters: Parameters
    placed = 0

    def on_bar(self, bar: Bar) -> None:
        if self.placed < self.parameters.most:
            self.broker.order(bar.symbol, (Side.BUY, Side.SELL)[self.placed % 2], Decimal(1))
            self.placed += 1


class Fill(NamedTuple):
    side: str
    price: float
    rate: float


def store_at(path: Path, exchange: str = "XNYS") -> CsvStore:
    path.mkdir()
    store = CsvStore(path)
    store.set_instrument(
        Instrument(SYMBOL, instrument_class=EQUITY, exchange=exchange, currency="USD", tick_size=0.01)
    )
    return store


def append(store: CsvStore, dataset: Dataset, symbol: str, rows: list[dict[str, Any]]) -> None:
    store.append(Append(dataset, symbol, batch_of(dataset, rows), "test"))


def store_prices(store: CsvStore, form: str) -> None:
    """Store the sessions as bars of a length, or as the prints at their opens and closes."""
    for date, (open_, close) in _SESSIONS.items():
        open_ns, close_ns = parse_timestamp(f"{date}T14:30:00Z"), parse_timestamp(f"{date}T20:59:00Z")
        if form == "prints":
            rows: list[dict[str, Any]] = [
                {"timestamp": open_ns, "price": open_, "volume": 1e6},
                {"timestamp": close_ns, "price": close, "volume": 1e6},
            ]
            append(store, TRADES, SYMBOL, rows)
            continue
        own = {"resolution": form, "high": 110, "low": 90, "volume": 1e6}
        if form == "1d":
            rows = [{"timestamp": parse_timestamp(date), "open": open_, "close": close} | own]
        else:
            last_ns = parse_timestamp(f"{date}T20:30:00Z") if form == "30m" else close_ns
            rows = [
                {"timestamp": open_ns, "open": open_, "close": open_} | own,
                {"timestamp": last_ns, "open": close, "close": close} | own,
            ]
        append(store, BARS, SYMBOL, rows)


def store_rates(store: CsvStore, *, pair: str = "USD-CHF") -> None:
    is_inverted = pair.startswith("CHF")
    rows = []
    for instant, rate in _RATES.items():
        middle = 1 / rate if is_inverted else rate
        rows.append({"timestamp": parse_timestamp(instant), "bid": middle - 0.0001, "ask": middle + 0.0001})
    append(store, QUOTES, pair, rows)


def run(
    path: Path, form: str, end: str = "2025-03-12", strategy: type[Strategy] = ThereAndBack, **parameters: Any
) -> tuple[list[Fill], BacktestOutcome]:
    found = backtested(
        strategy, path, SYMBOL, start_ns=parse_timestamp("2025-03-03"), end_ns=parse_timestamp(end), currency="CHF",
        config=_WIDE, parameters={"interval": "1min" if form == "prints" else _INTERVALS[form]} | parameters,
    )  # fmt: skip
    fills = [
        Fill(order.terms.side.value, float(each.price), round(float(each.rate), 6))
        for order, each in found.fills
    ]
    return fills, found.outcome


_INTERVALS = {"1d": "1d", "30m": "30min", "1m": "1min"}


@pytest.mark.parametrize("pair", ["USD-CHF", "CHF-USD"])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("form", ["1d", "30m", "1m", "prints"])
def test_a_fill_has_the_rate_of_its_instant(tmp_path: Path, form: str, side: Side, pair: str):
    store = store_at(tmp_path / "data")
    store_prices(store, form)
    store_rates(store, pair=pair)
    fills, outcome = run(tmp_path / "data", form, side=side)
    back = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}[side]
    assert fills == [(side.value, 100, 0.9), (back.value, 105, 0.8)]
    # Paid 9,000 and got 8,400, or the other way round; a short also pays a fee for borrowing.
    figures = outcome.document.performance
    assert figures.return_pct == pytest.approx(-0.6 * side.sign, abs=1e-3)
    # The long gained 500 USD and lost 600 CHF; the trades of a flat account are its change.
    (trade,) = outcome.document.trades
    assert trade.pnl == pytest.approx(500 * side.sign, abs=1)
    assert (trade.pnl_base, figures.pnl) == pytest.approx([figures.return_pct * 1_000] * 2, abs=1e-6)
    assert figures.win_rate == (0 if side is Side.BUY else 1)


def test_a_fill_by_a_day_that_opens_before_its_date_has_the_rate_of_the_fills_time(tmp_path: Path):
    """Sydney opens at 23:00Z of the day before, when the bar that decides has not ended."""
    store = store_at(tmp_path / "data", "XASX")
    store_prices(store, "1d")
    rates = {
        "2025-03-01": 0.95,
        "2025-03-03T23:30:00Z": 0.9,
        "2025-03-04T00:30:00Z": 0.85,
        "2025-03-06T23:30:00Z": 0.8,
    }
    rows = [{"timestamp": parse_timestamp(at), "bid": rate, "ask": rate} for at, rate in rates.items()]
    append(store, QUOTES, "USD-CHF", rows)
    fills, outcome = run(tmp_path / "data", "1d")
    assert fills == [("buy", 100, 0.9), ("sell", 105, 0.8)]
    assert outcome.document.trades[0].opened_at == "2025-03-04T00:00:00Z"


@pytest.mark.parametrize("pair", ["USD-CHF", "USDCHF", "CHF-USD"])
@pytest.mark.parametrize("form", ["1d", "1m", "prints"])
def test_stored_bars_are_rates(tmp_path: Path, form: str, pair: str):
    """Days of a pair: the one that ended last before the fill."""
    store = store_at(tmp_path / "data")
    store_prices(store, form)
    closes = {
        "2025-03-02": 0.91,
        "2025-03-03": 0.9,
        "2025-03-04": 0.85,
        "2025-03-05": 0.82,
        "2025-03-06": 0.8,
    }
    rows = []
    for date, rate in (closes | dict.fromkeys(["2025-03-07", "2025-03-08", "2025-03-09"], 0.7)).items():
        close = round(1 / rate, 12) if pair == "CHF-USD" else rate
        prices = {"open": close, "high": close, "low": close, "close": close}
        rows.append({"timestamp": parse_timestamp(date), "resolution": "1d", "volume": None} | prices)
    append(store, BARS, pair, rows)
    fills, outcome = run(tmp_path / "data", form)
    assert fills == [("buy", 100, 0.9), ("sell", 105, 0.8)]
    assert outcome.document.performance.return_pct == pytest.approx(-0.6, abs=1e-4)


@pytest.mark.parametrize("dataset", [QUOTES, BARS], ids=["quotes", "bars"])
def test_fills_by_bars_read_the_store_no_more_often_than_a_run_without_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: Dataset
):
    """And each has the rate of its bar's open."""
    store, begin_ns = store_at(tmp_path / "data"), parse_timestamp("2025-03-03T14:30:00Z")
    minutes = [begin_ns + number * MINUTE_NS for number in range(120)]
    own = {"resolution": "1m", "open": 100, "high": 110, "low": 90, "close": 100, "volume": 1e6}
    append(store, BARS, SYMBOL, [{"timestamp": at_ns} | own for at_ns in minutes])
    rows: list[dict[str, Any]] = []
    for number, at_ns in enumerate(minutes):
        rate = 0.5 + number / 1_000
        if dataset is QUOTES:
            rows += [{"timestamp": at_ns - 1, "bid": rate, "ask": rate}]
            rows += [{"timestamp": at_ns + 1, "bid": 9.0, "ask": 9.0}]
        else:
            prices = dict.fromkeys(("open", "high", "low", "close"), rate)
            rows.append({"timestamp": at_ns - MINUTE_NS, "resolution": "1m", "volume": 1.0} | prices)
    append(store, dataset, "USD-CHF", rows)
    reads, take_window = list[str](), CsvSnapshot.take_window

    def counted(snapshot: CsvSnapshot, *arguments: Any, **named: Any) -> Window:
        reads.append(snapshot.log.symbol)
        return take_window(snapshot, *arguments, **named)

    monkeypatch.setattr(CsvSnapshot, "take_window", counted)
    found = {}
    for most in (0, 100):
        reads.clear()
        fills, _ = run(tmp_path / "data", "1m", strategy=EachBar, most=most)
        found[most] = len(reads), [fill.rate for fill in fills]
    assert found[100][1] == [round(0.5 + number / 1_000, 6) for number in range(1, 101)]
    assert found[100][0] <= found[0][0] + 10


@pytest.mark.parametrize("form", ["1d", "prints"])
def test_the_equity_has_the_rate_of_the_bars_that_end_with_the_mark(tmp_path: Path, form: str):
    """At midnight the day of the pair has ended, too, whose name comes after the share's."""
    store = store_at(tmp_path / "data")
    store_prices(store, form)
    for date, rate in {"2025-03-02": 0.9, "2025-03-03": 0.9, "2025-03-04": 0.5}.items():
        prices = dict.fromkeys(("open", "high", "low", "close"), rate)
        row = {"timestamp": parse_timestamp(date), "resolution": "1d", "volume": 1.0} | prices
        append(store, BARS, "USD-CHF", [row])
    _, outcome = run(tmp_path / "data", form, end="2025-03-05T00:00:01Z")
    # 100 shares were bought for 9,000, and are worth 102 * 100 * 0.5.
    assert outcome.document.performance.return_pct == pytest.approx(-3.9, abs=1e-4)


@pytest.mark.parametrize(
    ("strategy", "parameters", "quantity"),
    [(Crossover, {"fast": 1, "slow": 2}, 1_000), (Breakout, {"entry": 2, "exit": 1}, 250)],
)
def test_a_quantity_is_of_the_equity_in_the_accounts_currency(
    tmp_path: Path, strategy: type[Strategy], parameters: dict[str, Any], quantity: int
):
    """At 40 USD and a rate of 0.5 a fifth of 100,000 CHF are 1,000 shares; 250 lose a quarter per cent in 2 USD."""
    store = store_at(tmp_path / "data")
    rows = [
        {"timestamp": parse_timestamp(date), "resolution": "1d", "volume": 1e6, "open": price, "close": price}
        | {"high": price + 0.5, "low": price - 0.5}
        for date, price in zip(_SESSIONS, (39, 39, 39, 40, 40, 40), strict=True)
    ]
    append(store, BARS, SYMBOL, rows)
    append(store, QUOTES, "USD-CHF", [{"timestamp": parse_timestamp("2025-03-02"), "bid": 0.5, "ask": 0.5}])
    found = backtested(
        strategy, tmp_path / "data", SYMBOL, start_ns=parse_timestamp("2025-03-03"),
        end_ns=parse_timestamp("2025-03-12"), currency="CHF", config=_WIDE, parameters=parameters | {"interval": "1d"},
    )  # fmt: skip
    assert [float(order.terms.quantity) for order, _ in found.fills][:1] == [quantity]
