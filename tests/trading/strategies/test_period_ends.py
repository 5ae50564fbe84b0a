"""A period has the stored bars that end with it: a date as its end means all sessions before, and years follow one another."""

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from django.core.management import call_command
from django.utils import timezone

from calendars.trading_calendar import exchange_calendar
from jobs.models import Job
from store.csv import CsvStore
from store.datasets import BARS
from store.instruments import CRYPTO, EQUITY, Instrument
from store.protocol import Append
from store.timestamps import DAY_NS, format_timestamp
from tests.api_client import Api, answer
from tests.chance import each_of
from tests.jobs.running import run_job
from tests.store_settings import IS_OF_FILES, stores_at
from tests.trading.calls import post, trader
from tests.trading.strategies.past import batch_of
from trading.core.terms import Side
from trading.strategies.catalogue import SHIPPED
from trading.strategies.strategy import Bar, Strategy, StrategyParameters

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not IS_OF_FILES, reason="backtests read files"),
]
SYMBOL = "HELD"
KINDS: dict[str, dict[str, Any]] = {
    "XNYS": {"instrument_class": EQUITY, "exchange": "XNYS"},
    "XASX": {"instrument_class": EQUITY, "exchange": "XASX"},
    "coin": {"instrument_class": CRYPTO},
    "coin shown at once": {"instrument_class": CRYPTO, "settle": 0.0},
}
shown: list[str] = []


class Hold(Strategy):
    """Buys a hundred at its first bar, and holds them."""

    name = "hold-from-first"

    def on_bar(self, bar: Bar) -> None:
        if self.broker.is_history:
            return
        shown.append(format_timestamp(bar.start_ns))
        if not self.broker.position(bar.symbol) and not self.broker.has_orders(bar.symbol):
            self.broker.order(bar.symbol, Side.BUY, Decimal(100), time_in_force="gtc")


class HoldAfterHistory(Hold):
    """Is shown the bars before the period, too."""

    name = "hold-after-history"

    class Parameters(StrategyParameters, frozen=True):
        @property
        def bars_before(self) -> int:
            return 5


@pytest.fixture
def data(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    for each in (Hold, HoldAfterHistory):
        monkeypatch.setitem(SHIPPED, each.name, each)
    settings.DATA_DIR = tmp_path / "data"
    settings.MARKET_STORES = stores_at(settings.DATA_DIR)
    settings.DATA_DIR.mkdir()
    shown.clear()
    path: Path = settings.DATA_DIR
    return path


def store_days(path: Path, kind: str) -> pd.DataFrame:
    """Store the daily bars from 2012 to 2015, whose prices rise by one each day, and return them by date."""
    first, last = (pd.Timestamp(each).value // DAY_NS for each in ("2012-12-17", "2015-01-16"))
    exchange = KINDS[kind].get("exchange")
    days = range(first, last) if exchange is None else exchange_calendar(exchange).on_dates(first, last).date
    closes = [100.0 + number for number in range(len(days))]
    rows = [
        {"timestamp": int(day) * DAY_NS, "resolution": "1d", "volume": 1e6, "close": close}
        | {"open": close - 0.5, "high": close + 1, "low": close - 1}
        for day, close in zip(days, closes, strict=True)
    ]
    store = CsvStore(path)
    store.set_instrument(Instrument(SYMBOL, currency="USD", tick_size=0.01, **KINDS[kind]))
    store.append(Append(BARS, SYMBOL, batch_of(BARS, rows), "test"))
    frame = pd.DataFrame(rows).set_index("timestamp")
    frame.index = pd.to_datetime(frame.index)
    return frame


def result(start: str, end: str, *, interval: str = "1d", strategy: type[Strategy] = Hold) -> dict[str, Any]:
    out = StringIO()
    options = ("--from", start, "--to", end, "--set", f"interval={interval}", "--fee", "0", "--slippage", "0")
    limits = ("--limit", "participation=100", "--cash", "1000000", "--json")
    call_command("backtest", strategy.name, SYMBOL, *options, *limits, stdout=out, stderr=StringIO())
    found: dict[str, Any] = orjson.loads(out.getvalue())
    return found


def gain(document: dict[str, Any]) -> float:
    return 10_000 * float(document["performance"]["return_pct"])


@pytest.mark.parametrize(("kind", "end"), each_of(KINDS, ["2014-01-01", "2014-01-01T00:00:00Z"]))
def test_a_date_as_end_means_all_sessions_before_it(data: Path, kind: str, end: str):
    days = store_days(data, kind)
    document = result("2013-01-01", end)
    [position] = document["positions"]
    last = days.loc[:"2013-12-31", "close"].iloc[-1]
    assert gain(document) == pytest.approx(100 * (last - position["average_price"]))
    assert document["performance"]["end"] == "2014-01-01T00:00:00Z"
    assert document["performance"]["drawdown_curve"][-1]["at"] < "2014-01-01"
    assert document["signals"]["unfilled"] == 0


@pytest.mark.parametrize(
    "kind", ["XNYS", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("XASX", "coin"))]
)
def test_years_follow_one_another(data: Path, kind: str):
    """Each bar is decided upon in one year, and valued in the year that it is of."""
    days = store_days(data, kind)
    for year in (2013, 2014):
        document = result(f"{year}-01-01", f"{year + 1}-01-01")
        last = days.loc[: f"{year}-12-31", "close"].iloc[-1]
        [position] = document["positions"]
        assert gain(document) == pytest.approx(100 * (last - position["average_price"]))
    of_years = shown.copy()
    shown.clear()
    result("2013-01-01", "2015-01-01")
    assert of_years == shown


@pytest.mark.parametrize("kind", ["XNYS", "XASX", "coin", "coin shown at once"])
def test_bars_before_the_period_are_history(data: Path, kind: str):
    store_days(data, kind)
    result("2014-01-01", "2014-03-01")
    without_history = shown.copy()
    shown.clear()
    result("2014-01-01", "2014-03-01", strategy=HoldAfterHistory)
    assert shown == without_history


def test_a_date_over_http_means_the_same(api: Api, data: Path):
    days = store_days(data, "XNYS")
    body = {"strategy": Hold.name, "symbols": [SYMBOL], "start": "2013-01-01", "end": "2014-01-01"}
    more = {
        "parameters": {"interval": "1d"},
        "fee_basis_points": 0,
        "slippage_basis_points": 0,
        "cash": 1_000_000,
    }
    response = post(trader("trading:read"), "/backtests", body | more | {"config": {"participation": 100}})
    assert response.status_code == 202, response.content
    job = Job.objects.get(uuid=answer(response)["id"])
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    run_job(job.uuid)
    job.refresh_from_db()
    found: Any = job.result
    [position] = found["positions"]
    last = days.loc[:"2013-12-31", "close"].iloc[-1]
    assert gain(found) == pytest.approx(100 * (last - position["average_price"]))
    command = result("2013-01-01", "2014-01-01")
    assert command["performance"] == found["performance"]


def test_an_order_fills_by_the_last_bar(data: Path):
    days = store_days(data, "XNYS")
    document = result("2013-12-30", "2014-01-01")
    [position] = document["positions"]
    assert position["average_price"] == days.loc["2013-12-31", "open"]
    assert gain(document) == pytest.approx(50)


@pytest.mark.parametrize(("end", "last"), [("2025-06-05T20:00:00Z", 109), ("2025-06-05T19:59:59Z", 108)])
def test_a_minute_that_ends_with_the_period_counts(data: Path, end: str, last: float):
    first = pd.Timestamp("2025-06-05T19:50:00").value
    rows = [
        {"timestamp": first + minute * 60 * 10**9, "resolution": "1m", "volume": 1e6, "close": 100.0 + minute}
        | {"open": 100.0 + minute, "high": 110.0, "low": 99.0}
        for minute in range(12)
    ]
    store = CsvStore(data)
    store.set_instrument(Instrument(SYMBOL, currency="USD", tick_size=0.01, **KINDS["XNYS"]))
    store.append(Append(BARS, SYMBOL, batch_of(BARS, rows), "test"))
    document = result("2025-06-05T19:50:00Z", end, interval="1min")
    [position] = document["positions"]
    assert gain(document) == pytest.approx(100 * (last - position["average_price"]))
