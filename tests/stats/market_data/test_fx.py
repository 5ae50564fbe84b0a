"""Foreign exchange: trading dates that end at 17:00 in New York, held against pandas, and every read of the class."""

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calendars.exchanges import FOREX
from store.currencies import currency_pair
from tests.api_client import Api, answer, problem
from tests.stats.market_data.builders import ingest, tell, without_proofs

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data/fx"
# Over both changes of the clocks in New York, a turn of the year, and some ordinary days.
WEEKS = ("2025-03-06", "2025-10-30", "2024-12-30", "2025-06-11")
VALUES = ["open", "high", "low", "close", "volume"]


def prints(first: str) -> pd.DataFrame:
    """A price every quarter of an hour or so for eight days, few of them on Saturday in New York, by UTC time."""
    chance = random.Random(first)
    start = pd.Timestamp(first, tz="UTC")
    times = [start + pd.Timedelta(minutes=15 * place + chance.randrange(15)) for place in range(8 * 96)]
    local = (start.tz_convert("America/New_York").normalize() + pd.Timedelta(hours=17)).tz_convert("UTC")
    times += [local + pd.Timedelta(days=day) for day in range(8)]
    times += [local + pd.Timedelta(days=day) - pd.Timedelta(1, "ns") for day in range(8)]
    kept = without_proofs({time.as_unit("ns").value for time in times}, FOREX)
    index = pd.DatetimeIndex(kept, tz="UTC")
    price = [1 + chance.randrange(1_000) / 10_000 for _ in index]
    return pd.DataFrame({"price": price, "volume": [chance.randrange(1, 9) / 2 for _ in index]}, index)


def trading_dates(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The date on which 17:00 in New York comes next; Saturdays and Sundays belong to Monday."""
    dates = (times.tz_convert("America/New_York").tz_localize(None) + pd.Timedelta(hours=7)).normalize()
    return dates + pd.to_timedelta(
        np.maximum(7 - dates.day_of_week, 0) % 7 * (dates.day_of_week > 4), unit="D"
    )


def expected(rows: pd.DataFrame, resolution: str) -> list[list[Any]]:
    period = {"1d": "D", "1w": "W-SUN", "1M": "M"}[resolution]
    dates = trading_dates(rows.index).to_period(period).start_time.strftime("%Y-%m-%d")
    bars = rows.groupby(dates)["price"].agg(["first", "max", "min", "last"])
    bars["volume"] = rows.groupby(dates)["volume"].sum()
    return [[date, *values] for date, values in zip(bars.index, bars.to_numpy().tolist(), strict=True)]


@pytest.fixture
def euro(api: Api) -> Api:
    tell(api, "EUR/USD", **{"class": "fx", "aliases": ["EURUSD"]})
    return api


def bars(api: Api, symbol: str = "EURUSD", **asked: str) -> list[dict[str, Any]]:
    response = api.get(f"{TREE}/{symbol}/ohlcv", asked)
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)["bars"]
    return found


@pytest.mark.parametrize("first", WEEKS)
def test_days_weeks_and_months_are_of_trading_dates(euro: Api, first: str):
    rows = prints(first)
    sent = [
        {"time_ns": time.value, "price": row.price, "volume": row.volume}
        for time, row in zip(rows.index, rows.itertuples(), strict=True)
    ]
    ingest(euro, "trades", "EUR-USD", sent)
    for resolution in ("1d", "1w", "1M"):
        found = bars(euro, start="2024-11-01", end="2025-12-31", resolution=resolution)
        assert [[bar["date"], *(bar[name] for name in VALUES)] for bar in found] == expected(rows, resolution)
        assert found == bars(euro, start="2024-11-01", end="2025-12-31", resolution=resolution, hours="all")


def test_a_day_begins_at_17_in_new_york_in_summer_and_winter(euro: Api):
    times = ["2025-03-07T12:00:00Z", "2025-03-10T12:00:00Z"]
    ingest(
        euro,
        "trades",
        "EUR-USD",
        [{"time_ns": pd.Timestamp(at).value, "price": 1.1, "volume": 1.0} for at in times],
    )
    found = bars(euro, start="2025-03-07", end="2025-03-11", resolution="1d")
    assert [(bar["timestamp"], bar["date"]) for bar in found] == [
        ("2025-03-06T22:00:00Z", "2025-03-07"),
        ("2025-03-09T21:00:00Z", "2025-03-10"),
    ]
    absent = answer(
        euro.get(f"{TREE}/EURUSD/ohlcv", {"start": "2025-03-07", "end": "2025-03-12", "coverage": "1"})
    )
    assert absent["absences"] == [
        {"start": "2025-03-07T22:00:00Z", "end": "2025-03-09T21:00:00Z", "reason": "closed"},
        {"start": "2025-03-10T21:00:00Z", "end": "2025-03-11T21:00:00Z", "reason": "gap"},
    ]


@pytest.mark.parametrize(
    "read",
    ["ohlcv?last=5", "quotes?last=5", "trades?last=5", "latest", "snapshot", "coverage", "revisions?start=2025-06-11&end=2025-06-12", "ohlcv/stream", "quotes/stream", "trades/stream"],
)  # fmt: skip
def test_it_has_the_reads_of_crypto(euro: Api, read: str):
    at = pd.Timestamp("2025-06-11T12:00:00Z").value
    ingest(euro, "trades", "EUR-USD", [{"time_ns": at, "price": 1.1, "volume": 2.5}])
    ingest(euro, "quotes", "EUR-USD", [{"time_ns": at, "bid": 1.1, "ask": 1.2}])
    assert euro.get(f"{TREE}/EUR/USD/{read}").status_code == 200
    assert problem(euro.get(f"/api/v1/market-data/crypto/EURUSD/{read}")) == (404, "wrong_class")


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("EUR-USD", ("EUR", "USD")), ("EURUSD", ("EUR", "USD")), ("XAUUSD", ("XAU", "USD")), ("USD-JPY", ("USD", "JPY")),
        ("EUR-EUR", None), ("BTC-USD", None), ("EURUSDX", None), ("EUR.USD", None), ("GOLD", None),
    ],
)  # fmt: skip
def test_a_symbol_says_its_currencies(symbol: str, pair: tuple[str, str] | None):
    assert currency_pair(symbol) == pair
