"""On stored bars, what a bar decides fills at the next bar's open, at every resolution, with and without sessions."""

import random
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from store.csv import CsvStore
from store.datasets import BARS, CORPORATE_ACTIONS
from store.instruments import CRYPTO, EQUITY, FUTURE, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp
from tests.chance import SOAK
from tests.trading.strategies.past import backtested, batch_of
from trading.core.configuration import RiskConfig
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side
from trading.strategies.crossover import Crossover
from trading.strategies.outcome import BacktestOutcome
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

SYMBOL, QUANTITY, CASH = "AAPL", 100, 1_000_000
_STEPS_NS = {"1m": 60 * SECOND_NS, "1h": 3_600 * SECOND_NS, "1d": DAY_NS, "1w": 7 * DAY_NS}
# Limits that no order reaches, and all of the volume. The latency is the default.
_WIDE = RiskConfig(
    participation=Decimal(100), max_symbol_exposure=Decimal(1_000), max_gross_exposure=Decimal(1_000),
    daily_loss=Decimal(100), total_loss=Decimal(100), caution=Decimal(97), danger=Decimal(98), halt=Decimal(99),
)  # fmt: skip


class Fill(NamedTuple):
    """start: of the bar that filled."""

    start_ns: int
    side: str
    quantity: int
    price: float
    is_ambiguous: bool


class Row(NamedTuple):
    time_ns: int
    open: float
    high: float
    low: float
    close: float


def walk(resolution: str, *, chance: random.Random, count: int = 400, has_missing: bool = True) -> list[Row]:
    """Return a random walk of bars from Monday, 1 January 2001, with gaps between closes and opens, and missing bars."""
    steps = (1, 1, 1, 1, 1, 7 if has_missing else 1)
    close, rows = 100.0, list[Row]()
    time_ns = parse_timestamp("2001-01-01")
    while len(rows) < count:
        time_ns += _STEPS_NS[resolution] * chance.choice(steps)
        open_ = round(close * (1 + chance.gauss(0, 0.002)), 2)
        close = round(open_ * (1 + chance.gauss(0, 0.01)), 2)
        high, low = (
            max(open_, close) + chance.randrange(50) / 100,
            min(open_, close) - chance.randrange(50) / 100,
        )
        rows.append(Row(time_ns, open_, round(high, 2), round(low, 2), close))
    return rows


def trading_days(rows: list[Row]) -> list[Row]:
    """Return the rows, dated one by one from Monday to Friday."""
    first = parse_timestamp("2024-04-01")
    days = [first + (number // 5 * 7 + number % 5) * DAY_NS for number in range(len(rows))]
    return [row._replace(time_ns=day) for row, day in zip(rows, days, strict=True)]


def in_sessions(rows: list[Row], resolution: str) -> list[Row]:
    """Return intraday rows with their distances, moved into the hours from 15:00 UTC to New York's close of Monday to Friday."""
    step_ns, first_ns = _STEPS_NS[resolution], parse_timestamp("2001-07-09T15:00")
    a_day = 5 * _STEPS_NS["1h"] // step_ns

    def moved(time_ns: int) -> int:
        day, slot = divmod((time_ns - rows[0].time_ns) // step_ns, a_day)
        return first_ns + (day // 5 * 7 + day % 5) * DAY_NS + slot * step_ns

    return [row._replace(time_ns=moved(row.time_ns)) for row in rows]


def store_at(path: Path, resolution: str, rows: list[Row], **instrument: Any) -> Path:
    path.mkdir()
    store = CsvStore(path)
    store.set_instrument(Instrument(SYMBOL, currency="USD", tick_size=0.01, **instrument))
    documents = [
        {"timestamp": time_ns, "resolution": resolution, "volume": 1e6}
        | dict(zip(Row._fields[1:], prices, strict=True))
        for time_ns, *prices in rows
    ]
    store.append(Append(BARS, SYMBOL, batch_of(BARS, documents), "test"))
    return path


def run(
    path: Path, rows: list[Row], strategy: type[Strategy], *, config: RiskConfig = _WIDE, **parameters: Any
) -> tuple[list[Fill], BacktestOutcome]:
    """Return the fills of a backtest without costs, and its outcome."""
    found = backtested(
        strategy, path, SYMBOL, start_ns=rows[0].time_ns, end_ns=rows[-1].time_ns + 30 * DAY_NS,
        parameters=parameters, cash=Decimal(CASH), config=config,
    )  # fmt: skip
    fills = [
        Fill(
            each.print.ref.timestamp_ns,
            order.terms.side.value,
            int(each.quantity),
            float(each.price),
            each.is_ambiguous,
        )
        for order, each in found.fills
    ]
    return fills, found.outcome


def crossings(rows: list[Row], fast: int, slow: int) -> list[Fill]:
    """Return the fills of market orders at the opens after the bars that cross, as backtesting.py has them."""
    cents = [round(row.close * 100) for row in rows]
    fills: list[Fill] = []
    was_above = None
    for index in range(slow - 1, len(rows) - 1):
        window = cents[index + 1 - slow : index + 1]
        is_above = sum(window[-fast:]) * slow > sum(window) * fast
        if was_above is not None and is_above != was_above and is_above != len(fills) % 2:
            following = rows[index + 1]
            side = "buy" if is_above else "sell"
            fills.append(Fill(following.time_ns, side, QUANTITY, following.open, False))
        was_above = is_above
    return fills


_KINDS: dict[str, dict[str, Any]] = {
    "shown at once": {"instrument_class": CRYPTO, "settle": 0.0},
    "shown after two seconds": {"instrument_class": CRYPTO},
    "with sessions": {"instrument_class": EQUITY, "exchange": "XNYS"},
}


@pytest.mark.parametrize(
    ("resolution", "kind"),
    list(product(_STEPS_NS, _KINDS))
    if SOAK
    else [
        ("1m", "shown at once"),
        ("1h", "shown after two seconds"),
        ("1h", "with sessions"),
        ("1d", "with sessions"),
    ],
)
def test_a_crossover_fills_at_the_next_open(tmp_path: Path, resolution: str, kind: str):
    instrument = _KINDS[kind]
    # With sessions a day order ends if its session has no bar.
    rows = walk(resolution, chance=random.Random(resolution), has_missing="exchange" not in instrument)
    if "exchange" in instrument and _STEPS_NS[resolution] < DAY_NS:
        rows = in_sessions(rows, resolution)
    path = store_at(tmp_path / "data", resolution, rows, **instrument)
    fills, outcome = run(path, rows, Crossover, interval=resolution, fast=5, slow=15, quantity=QUANTITY)
    expected = crossings(rows, 5, 15)
    assert len(expected) > 20
    assert fills == expected
    paid = sum(each.price * each.quantity * (1 if each.side == "buy" else -1) for each in fills)
    gained = rows[-1].close * QUANTITY * (len(fills) % 2) - paid
    assert outcome.document.performance.return_pct == pytest.approx(gained / CASH * 100, abs=1e-6)
    assert (outcome.notice, outcome.document.signals.unfilled) == (None, 0)


def test_daily_decisions_fill_by_the_next_hour(tmp_path: Path):
    """The bars that are stored may be shorter than those that decide, and the last of a day may be hours old."""
    chance = random.Random(1)
    rows = walk("1h", chance=chance, count=1_000)
    path = store_at(tmp_path / "data", "1h", rows, instrument_class=CRYPTO)
    fills, _ = run(path, rows, Crossover, interval="1d", fast=2, slow=5, quantity=QUANTITY)
    days: dict[int, float] = {row.time_ns // DAY_NS: row.close for row in rows}
    starts = [day * DAY_NS for day in days]
    closes = [Row(start, 0, 0, 0, close) for start, close in zip(starts, days.values(), strict=True)]
    opens = {
        each.start_ns: next(row for row in rows if row.time_ns >= each.start_ns)
        for each in crossings(closes, 2, 5)
    }
    assert len(opens) > 5
    assert [(each.start_ns, each.price) for each in fills] == [
        (row.time_ns, row.open) for row in opens.values()
    ]


def test_days_of_a_listed_share_are_traded_with_all_defaults(tmp_path: Path):
    rows = trading_days(walk("1d", chance=random.Random(3)))
    path = store_at(tmp_path / "data", "1d", rows, instrument_class=EQUITY, exchange="XNYS")
    fills, outcome = run(path, rows, Crossover, config=RiskConfig(), interval="1d", fast=5, slow=15)
    opens = {row.time_ns: row.open for row in rows}
    assert len(fills) > 20
    assert [each.price for each in fills] == [opens[each.start_ns] for each in fills]
    assert outcome.document.signals.refused_by == {}


class Once(Strategy):
    """Orders what the parameters say at its second bar."""

    name = "once"

    class Parameters(StrategyParameters, frozen=True):
        quantity: int = QUANTITY
        stop_price: float | None = None
        limit_price: float | None = None
        stop_loss: float | None = None
        take_profit: float | None = None
        time_in_force: TimeInForce = TimeInForce.DAY

    parameters: Parameters
    bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars != 2:
            return
        own = self.parameters
        types = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.STOP,
            (False, True): OrderType.LIMIT,
        }
        names = ("stop_price", "limit_price", "stop_loss", "take_profit")
        prices = {name: Decimal(str(price)) for name in names if (price := getattr(own, name)) is not None}
        self.broker.order(
            bar.symbol, Side.BUY, Decimal(own.quantity), time_in_force=own.time_in_force,
            type=types["stop_price" in prices, "limit_price" in prices], **prices,
        )  # fmt: skip


def days(*prices: tuple[float, float, float, float]) -> list[Row]:
    """Return daily bars from Monday, 4 March 2024: open, high, low, close."""
    first = parse_timestamp("2024-03-04")
    return [Row(first + number * DAY_NS, *each) for number, each in enumerate(prices)]


_FLAT = (100.0, 100.0, 100.0, 100.0)


@pytest.fixture
def market(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Path]:
    def made(rows: list[Row], exchange: str | None = None) -> Path:
        return store_at(tmp_path / "data", "1d", rows, instrument_class=EQUITY, exchange=exchange)

    return made


@pytest.mark.parametrize("exchange", [None, "XNYS"])
@pytest.mark.parametrize("time_in_force", [TimeInForce.DAY, TimeInForce.IOC])
def test_a_day_order_lives_through_its_next_session(
    market: Callable[..., Path], exchange: str | None, time_in_force: TimeInForce
):
    """A bar fills a tenth of 10,000; what it leaves ends with its session, and so does a limit that it does not reach."""
    rows = days(*[_FLAT] * 5)
    path, config = market(rows, exchange), msgspec.structs.replace(_WIDE, participation=Decimal(1) / 10)
    options: dict[str, Any] = {"config": config, "interval": "1d", "time_in_force": time_in_force}
    fills, _ = run(path, rows, Once, quantity=1_500, **options)
    assert [(each.start_ns, each.quantity) for each in fills] == [(rows[2].time_ns, 1_000)]
    fills, outcome = run(path, rows, Once, limit_price=99, **options)
    reason = "session" if time_in_force is TimeInForce.DAY else "immediate"
    assert (fills, outcome.unfilled) == ([], {reason: 1})
    assert outcome.notice == f"No order was filled. Of 1 signals: 1 unfilled ({reason})."


# New York's days begin after those of UTC, Sydney's before.
_EXCHANGES = [None, "XNYS", "XLON", "XTKS", "XASX"] if SOAK else [None, "XNYS", "XASX"]


def with_action(
    path: Path, rows: list[Row], action: dict[str, Any], resolution: str = "1d", **instrument: Any
) -> Path:
    path = store_at(path, resolution, rows, instrument_class=EQUITY, **instrument)
    CsvStore(path).append(Append(CORPORATE_ACTIONS, SYMBOL, batch_of(CORPORATE_ACTIONS, [action]), "test"))
    return path


@pytest.mark.parametrize("before", [2, 3, 4])
@pytest.mark.parametrize("exchange", _EXCHANGES)
def test_a_split_of_days_moves_no_equity(tmp_path: Path, exchange: str | None, before: int):
    """Bought at the open of the day two before the ex-date, or one, or on it."""
    after = (25.0, 25.0, 25.0, 25.0)
    rows = days(*[_FLAT] * before, *[after] * 3)
    split = {"timestamp": rows[before].time_ns, "kind": "split", "ratio": 4.0}
    path = with_action(tmp_path / "data", rows, split, exchange=exchange)
    fills, outcome = run(path, rows, Once, interval="1d", quantity=5_000)
    (position,) = outcome.document.positions
    figures = outcome.document.performance
    assert [each.start_ns for each in fills] == [rows[2].time_ns]
    # In New York the order for the ex-date comes before it, and is split.
    is_split = before > 2 or exchange == "XNYS"
    assert position.quantity == (20_000 if is_split else 5_000)
    assert sum(each.quantity * each.price for each in fills) == (500_000 if is_split else 125_000)
    assert (figures.return_pct, figures.max_dd) == (0, 0)


@pytest.mark.parametrize("exchange", _EXCHANGES)
def test_a_limit_of_the_day_before_a_split_fills_by_its_bar(tmp_path: Path, exchange: str | None):
    rows = days(_FLAT, _FLAT, (100.0, 100.0, 95.0, 100.0), *[(25.0, 25.0, 25.0, 25.0)] * 3)
    split = {"timestamp": rows[3].time_ns, "kind": "split", "ratio": 4.0}
    path = with_action(tmp_path / "data", rows, split, exchange=exchange)
    fills, outcome = run(path, rows, Once, interval="1d", quantity=5_000, limit_price=96)
    assert [each.start_ns for each in fills] == [rows[2].time_ns]
    assert outcome.document.performance.return_pct == 4 * 5_000 / CASH * 100


@pytest.mark.parametrize("exchange", _EXCHANGES)
def test_a_week_that_a_split_is_in_fills_at_its_open(tmp_path: Path, exchange: str | None):
    week, after = 7 * DAY_NS, (25.0, 25.0, 25.0, 25.0)
    prices = [_FLAT, _FLAT, (100.0, 100.0, 25.0, 25.0), after]
    rows = [Row(row.time_ns + 6 * number * DAY_NS, *row[1:]) for number, row in enumerate(days(*prices))]
    assert rows[2].time_ns - rows[1].time_ns == week
    split = {"timestamp": rows[2].time_ns + 2 * DAY_NS, "kind": "split", "ratio": 4.0}
    path = with_action(tmp_path / "data", rows, split, "1w", exchange=exchange)
    fills, outcome = run(path, rows, Once, interval="1w", quantity=5_000)
    assert [(each.start_ns, each.quantity, each.price) for each in fills] == [(rows[2].time_ns, 20_000, 25)]
    assert outcome.document.performance.return_pct == 0


class TwoDays(Strategy):
    """Buys at the open of its second bar, and sells at that of its third."""

    name = "two-days"
    bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars < 3:
            self.broker.order(bar.symbol, (Side.BUY, Side.SELL)[self.bars - 1], Decimal(QUANTITY))


@pytest.mark.parametrize("ex_day", [1, 2, 3])
@pytest.mark.parametrize("exchange", _EXCHANGES)
def test_a_dividend_is_of_those_who_held_before_its_date(tmp_path: Path, exchange: str | None, ex_day: int):
    """Bought at the open of the second day, and sold at that of the third: only at an ex-date on the third it is held."""
    rows = days(*[_FLAT] * 6)
    dividend = {"timestamp": rows[ex_day].time_ns, "kind": "dividend", "amount": 2.0, "currency": "USD"}
    path = with_action(tmp_path / "data", rows, dividend, exchange=exchange)
    fills, outcome = run(path, rows, TwoDays, interval="1d")
    assert [each.start_ns for each in fills] == [rows[1].time_ns, rows[2].time_ns]
    income = 2 * QUANTITY * (ex_day == 2)
    assert outcome.document.performance.return_pct == pytest.approx(income / CASH * 100)


# The bar of the entry: open, high, low, close. The fills: price, and whether it is ambiguous.
_ENTRY_BARS: dict[str, tuple[dict[str, Any], tuple[float, float, float, float], list[tuple[float, bool]]]] = {
    "the stop": ({"stop_loss": 95}, (101, 104, 94, 103), [(101, False), (95, False)]),
    "just the stop": ({"stop_loss": 95}, (101, 104, 95, 103), [(101, False), (95, False)]),
    "not the stop": ({"stop_loss": 95}, (101, 104, 95.01, 103), [(101, False)]),
    "an open beyond the stop": ({"stop_loss": 98}, (97, 99, 96, 98), [(97, False), (97, False)]),
    "the target": ({"take_profit": 106, "stop_loss": 95}, (101, 107, 96, 103), [(101, False), (106, False)]),
    "stop and target": ({"take_profit": 106, "stop_loss": 95}, (101, 107, 94, 103), [(101, False), (95, True)]),
    "an entry by a stop": ({"stop_price": 103, "stop_loss": 98}, (101, 104, 97, 103), [(103, True), (98, True)]),
    "its stop at the open": ({"stop_price": 103, "stop_loss": 101}, (101, 104, 99, 103), [(103, True), (101, True)]),
    "its target waits": ({"stop_price": 103, "take_profit": 105, "stop_loss": 90}, (101, 106, 100, 104), [(103, False)]),
    "an entry by a limit": ({"limit_price": 98, "stop_loss": 95}, (101, 104, 94, 103), [(98, True), (95, True)]),
    "its target, too": ({"limit_price": 98, "take_profit": 103, "stop_loss": 90}, (101, 104, 97, 100), [(98, False)]),
    "a limit at a gap": ({"limit_price": 98, "stop_loss": 95}, (97, 99, 94, 96), [(97, False), (95, False)]),
}  # fmt: skip


@pytest.mark.parametrize(("order", "bar", "expected"), _ENTRY_BARS.values(), ids=_ENTRY_BARS.keys())
def test_the_legs_of_a_bracket_are_looked_at_in_the_bar_of_the_entry(
    market: Callable[..., Path],
    order: dict[str, Any],
    bar: tuple[float, float, float, float],
    expected: list[tuple[float, bool]],
):
    rows = days(_FLAT, _FLAT, bar)
    fills, _ = run(market(rows), rows, Once, interval="1d", **order)
    assert [(each.price, each.is_ambiguous) for each in fills] == expected
    assert {each.start_ns for each in fills} == {rows[2].time_ns}


def test_a_target_that_waited_fills_by_the_next_bar(market: Callable[..., Path]):
    rows = days(_FLAT, _FLAT, (101, 106, 100, 104), (104, 107, 103, 104))
    fills, _ = run(market(rows), rows, Once, interval="1d", stop_price=103, take_profit=105, stop_loss=90)
    assert [(each.start_ns, each.price) for each in fills] == [(rows[2].time_ns, 103), (rows[3].time_ns, 105)]


def test_a_run_whose_orders_were_refused_says_why(tmp_path: Path):
    rows = trading_days(walk("1d", chance=random.Random(3)))
    store_at(tmp_path / "data", "1d", rows, instrument_class=EQUITY)
    CsvStore(tmp_path / "data").set_instrument(Instrument(SYMBOL, currency="AUD", instrument_class=EQUITY))
    _, outcome = run(tmp_path / "data", rows, Crossover, interval="1d", fast=5, slow=15)
    assert outcome.notice is not None
    assert outcome.notice.endswith(
        " refused by price since 2024-05-04T00:00:02Z (there is no rate from AUD to USD: store quotes, trades or bars of AUD-USD or USD-AUD)."
    )


@pytest.mark.parametrize(("interval", "has_notice"), [("1min", True), ("1w", False)])
def test_a_run_without_bars_says_so(tmp_path: Path, interval: str, has_notice: bool):
    """Days make weeks, and no minutes."""
    rows = walk("1d", chance=random.Random(4), count=20)
    path = store_at(tmp_path / "data", "1d", rows, instrument_class=EQUITY)
    _, outcome = run(path, rows, Crossover, interval=interval, fast=5, slow=15)
    assert (outcome.notice or "").startswith("There were no bars") == has_notice
    later = [rows[-1]._replace(time_ns=rows[-1].time_ns + 14 * DAY_NS)]
    _, outcome = run(path, later, Crossover, interval=interval, fast=5, slow=15)
    assert (outcome.notice or "").startswith("There were no bars")


class Every(Strategy):
    """Buys one at each bar."""

    name = "every"

    def on_bar(self, bar: Bar) -> None:
        self.broker.order(bar.symbol, Side.BUY, Decimal(1), time_in_force=TimeInForce.GTC)


@pytest.mark.parametrize("exchange", [None, "XCME"])
@pytest.mark.parametrize("resolution", ["1d", "1w"])
def test_a_future_is_closed_at_the_close_of_its_last_bar(
    tmp_path: Path, exchange: str | None, resolution: str
):
    """The last bar ends after the last session; the orders that come then are refused."""
    first = parse_timestamp("2024-03-04")
    closes = (100.0, 110.0, 120.0, 130.0)
    rows = [
        Row(first + number * _STEPS_NS[resolution], close - 5, close, close - 5, close)
        for number, close in enumerate(closes)
    ]
    # A Wednesday: of days, and of weeks, the third bar is the last.
    expiry = {"1d": "2024-03-06", "1w": "2024-03-20"}[resolution]
    path = store_at(
        tmp_path / "data", resolution, rows, instrument_class=FUTURE, multiplier=50.0, expiry=expiry, exchange=exchange
    )  # fmt: skip
    fills, outcome = run(path, rows, Every, interval=resolution)
    assert [each.price for each in fills] == [105, 115]
    performance, signals = outcome.document.performance, outcome.document.signals
    assert performance.return_pct == pytest.approx((15 + 5) * 50 / CASH * 100)
    assert (performance.trades, signals.refused) == (1, 2)
    assert all("has expired" in str(row.refused) for row in signals.rows[2:])
