"""The in-process reader and HTTP give the same bars of stored bars and of regular sessions."""

import datetime as dt
import random
from typing import Any

import pytest

from store.timestamps import parse_timestamp
from tests.api_client import Api, answer
from tests.stats.market_data.builders import ingest, midnight_ns, tell, without_proofs
from tests.stats.market_data.oracle import SECOND_NS, Row
from tests.stats.market_data.test_reader_equals_http import reader as opened

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store_path"), pytest.mark.system]
MINUTE, HOUR, DAY = 60 * SECOND_NS, 3_600 * SECOND_NS, 86_400 * SECOND_NS
# Monday to Sunday: Thanksgiving on Thursday, a close at 13:00 Eastern on Friday.
FIRST, BEHIND = "2024-11-25", "2024-12-02"
VALUES = ("open", "high", "low", "close", "volume", "trade_count")
CONDITIONS: tuple[list[str], ...] = (
    [],
    ["odd_lot"],
    ["extended_hours"],
    ["opening_print"],
    ["closing_print", "extended_hours"],
)
INTERVALS = ["1s", "45s", "2m", "7m", "15m", "5h", "12h", "1d"]


def over_http(api: Api, symbol: str = "ACME", kind: str = "equities", **asked: str) -> list[tuple[Any, ...]]:
    query = {"start": FIRST, "end": BEHIND, "limit": "10000", **asked}
    response = api.get(f"/api/v1/market-data/{kind}/{symbol}/ohlcv", query)
    assert response.status_code == 200, response.content
    page = answer(response)
    assert page["next_cursor"] is None
    return [(_time_ns(bar, asked), *(bar[name] for name in VALUES)) for bar in page["bars"]]


def _time_ns(bar: Row, asked: dict[str, str]) -> int:
    """A session's bar is called by its date."""
    return midnight_ns(bar["date"]) if "hours" in asked else parse_timestamp(bar["timestamp"])


def rows(bars: Any) -> list[tuple[Any, ...]]:
    columns = (getattr(bars, name).tolist() for name in ("time_ns", *VALUES))
    return [(*row[:-1], None if row[-1] == -1 else row[-1]) for row in zip(*columns, strict=True)]


def prints(
    first: str = FIRST, *, days: int = 7, count: int = 600, exchange: str | None = "XNYS"
) -> list[Row]:
    """At all hours of all days; on closed dates of the exchange in half an hour only, so that they stay closed."""
    chance, begin = random.Random(7), midnight_ns(first)
    times = [begin + chance.randrange(days * DAY // SECOND_NS) * SECOND_NS for _ in range(count)]
    if exchange is not None:
        times = sorted(without_proofs(times, exchange), key=lambda _: chance.random())
    return [
        {
            "time_ns": time_ns,
            "price": chance.randrange(9_000, 11_000) / 100,
            "volume": float(chance.randrange(1, 500)),
            "conditions": chance.choice(CONDITIONS),
        }
        for time_ns in times
    ]


def stored(resolution: str, *times_ns: int, volume: float = 50.0) -> list[Row]:
    prices = {"open": 95.0, "high": 120.0, "low": 90.0, "close": 96.0, "volume": volume}
    return [{"time_ns": at, "resolution": resolution, **prices} for at in times_ns]


def equity(api: Api, policy: str = "all", exchange: str = "XNYS") -> None:
    tell(api, "ACME", **{"class": "equity", "exchange": exchange, "bar_policy": policy})


@pytest.mark.parametrize("policy", ["all", "us_equities"])
def test_session_bars_are_those_of_regular_hours(api: Api, policy: str):
    equity(api, policy)
    ingest(api, "trades", "ACME", prints())
    reader = opened()
    found = rows(reader.bars("ACME", FIRST, BEHIND, interval="1d", hours="regular"))
    assert found == over_http(api, hours="regular", resolution="1d")
    dates = [dt.date.fromtimestamp(row[0] // SECOND_NS).day for row in found]
    assert dates == [25, 26, 27, 29]  # neither Thanksgiving, nor the weekend
    assert rows(reader.bars("ACME", interval="1d", hours="regular")) == found
    for closed in (("2024-11-28", "2024-11-29"), ("2024-11-30", "2024-12-02")):
        assert len(reader.bars("ACME", *closed, "1d", hours="regular")) == 0


def test_stored_days_and_minutes_fill_sessions_without_trades(api: Api):
    equity(api)
    monday, tuesday, saturday = (midnight_ns(date) for date in (FIRST, "2024-11-26", "2024-11-30"))
    ingest(api, "trades", "ACME", prints(days=1))
    ingest(api, "bars", "ACME", stored("1d", monday, tuesday, saturday))
    minutes = (midnight_ns("2024-11-27") + 17 * HOUR + place * MINUTE for place in range(3))
    ingest(api, "bars", "ACME", stored("1m", *minutes))
    found = rows(opened().bars("ACME", FIRST, "2024-12-03", interval="1d", hours="regular"))
    assert found == over_http(api, end="2024-12-03", hours="regular", resolution="1d")
    assert [row[-1] for row in found][1:] == [None] * 3


@pytest.fixture
def mixed(api: Api) -> Api:
    """Trades of some days; stored minutes, hours and days that they overlap."""
    equity(api, "us_equities")
    begin = midnight_ns(FIRST)
    ingest(api, "trades", "ACME", prints(days=2, count=300))
    ingest(api, "bars", "ACME", stored("1m", *(begin + DAY + place * 3 * MINUTE for place in range(400))))
    ingest(api, "bars", "ACME", stored("1h", *(begin + (36 + 5 * place) * HOUR for place in range(12))))
    ingest(api, "bars", "ACME", stored("1d", *(begin + place * DAY for place in range(6)), volume=900.0))
    return api


@pytest.mark.parametrize("interval", INTERVALS)
def test_bars_are_those_of_trades_filled_with_stored_ones(mixed: Api, interval: str):
    asked = {"end": "2024-11-26"} if interval == "1s" else {"start": "2024-11-26T20:00Z"}
    window = {"start": FIRST, "end": BEHIND} | asked
    expected = over_http(mixed, **window, resolution=interval, session="utc")
    bars = opened().bars("ACME", window["start"], window["end"], interval, session="utc")
    assert rows(bars) == expected
    assert expected


def test_stored_days_that_begin_with_a_session_are_of_its_date(api: Api):
    equity(api, exchange="XJPX")
    midnight_in_tokyo = midnight_ns("2024-11-26") - 9 * HOUR
    ingest(api, "bars", "ACME", stored("1d", midnight_in_tokyo))
    found = rows(opened().bars("ACME", interval="1d", session="utc"))
    assert found == over_http(api, resolution="1d", session="utc")
    assert found[0][0] == midnight_ns("2024-11-26")
    assert len(opened().bars("ACME", interval="1h")) == 0
