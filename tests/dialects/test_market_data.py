"""Alpaca's market data: every answer has the rows of ours, by the rules of Alpaca's ranges, pages and names."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from store.datasets import TRADES
from store.expiring import expire, planned
from store.timestamps import parse_timestamp
from tests.api_client import Api, trade, usual_key
from trades.stores import market_store

pytestmark = pytest.mark.usefixtures("db", "project_redis", "default_store")
BARS = "/api/v2/stocks/bars"
OURS = "/api/v1/market-data/equities/{}/ohlcv"
FIRST = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.fixture
def api() -> Api:
    api = Api(usual_key())
    for symbol, price in (("AAPL", 100.0), ("MSFT", 200.0)):
        terms = orjson.dumps({"class": "equity", "exchange": "XNAS", "currency": "USD"})
        assert api.call("PUT", f"/api/v1/instruments/{symbol}", terms).status_code == 200
        rows = [
            trade(
                symbol=symbol, timestamp=text(FIRST + timedelta(minutes=7 * n)), price=price + n, volume=n + 1,
                trade_id=str(n), exchange="XNAS" if n % 2 else "XOFF", conditions=["@", "F"],
            )
            for n in range(40)
        ]  # fmt: skip
        later = [trade(symbol=symbol, timestamp=f"2025-0{month}-10T15:00:00Z") for month in (2, 7)]
        assert api.ingest(*rows, *later).status_code == 200
        quote = {"timestamp": text(FIRST), "symbol": symbol, "bid": price, "bid_size": 3, "exchange": "XNYS"}
        stored = api.call("POST", "/api/v1/quotes/ingest", orjson.dumps({"quotes": [quote]}))
        assert stored.status_code == 200, stored.content
    return api


def pages(api: Api, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    token = None
    while True:
        page = api.get(path, params | ({} if token is None else {"page_token": token})).json()
        yield page
        token = page["next_page_token"]
        if token is None:
            return


def joined(api: Api, path: str, **params: Any) -> dict[str, list[dict[str, Any]]]:
    """All rows of a walk, by symbol, in the order of the pages."""
    rows: dict[str, list[dict[str, Any]]] = {}
    (name,) = {path.rpartition("/")[2]}
    for page in pages(api, path, **params):
        assert set(page) == {name, "next_page_token"}
        for symbol, found in page[name].items():
            rows.setdefault(symbol, []).extend(found)
    return rows


def as_alpaca(bar: dict[str, Any]) -> dict[str, Any]:
    names = ("timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap")
    return dict(zip(("t", "o", "h", "l", "c", "v", "n", "vw"), map(bar.get, names), strict=True))


@pytest.mark.parametrize("limit", [1, 7, 1_000])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_a_walk_has_each_bar_of_ours_once(api: Api, limit: int, sort: str):
    query = {"timeframe": "5Min", "start": "2025-01-01", "end": "2025-03-01", "limit": limit, "sort": sort}
    found = joined(api, BARS, symbols="AAPL,MSFT", **query)
    assert list(found) == ["AAPL", "MSFT"]
    for symbol, bars in found.items():
        query = {"start": "2025-01-01", "end": "2025-03-01", "resolution": "5m", "sort": sort}
        ours = api.get(OURS.format(symbol), query).json()["bars"]
        assert bars == [as_alpaca(bar) for bar in ours]


def test_bars_of_expired_trades_stay_and_the_trades_are_refused(api: Api):
    query = {"symbols": "AAPL", "start": "2025-01-02", "end": "2025-01-03", "limit": 10}
    before = joined(api, BARS, timeframe="1Min", **query)
    assert api.get("/api/v2/stocks/trades", query).status_code == 200
    store = market_store()
    expire(store, planned(store, TRADES, "AAPL", parse_timestamp("2025-01-03")))
    assert joined(api, BARS, timeframe="1Min", **query) == before
    refused = api.get("/api/v2/stocks/trades", query)
    assert refused.status_code == 410
    assert "the trades of AAPL before 2025-01-03 have expired" in refused.json()["message"]


def test_the_limit_is_of_all_symbols_together(api: Api):
    query = {"symbols": "AAPL,MSFT", "timeframe": "5Min", "start": "2025-01-01", "limit": 45}
    page = api.get(BARS, query).json()
    assert {symbol: len(rows) for symbol, rows in page["bars"].items()} == {"AAPL": 42, "MSFT": 3}


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        ("2025-01-02T14:37:00Z", "2025-01-02T14:44:00Z", ["14:37", "14:44"]),
        ("2025-01-02T14:37:01Z", "2025-01-02T14:44:00Z", ["14:44"]),
        ("2025-01-02T14:37:00Z", "2025-01-02T14:43:59.999999999Z", ["14:37"]),
        ("2025-01-02T09:37:00-05:00", "2025-01-02T09:37:00-05:00", ["14:37"]),
    ],
)
def test_a_range_has_the_bars_that_begin_in_it_with_both_ends(
    api: Api, start: str, end: str, times: list[str]
):
    bars = joined(api, BARS, symbols="AAPL", timeframe="1Min", start=start, end=end)
    assert [bar["t"] for bar in bars["AAPL"]] == [f"2025-01-02T{time}:00Z" for time in times]


@pytest.mark.parametrize(
    ("timeframe", "days"),
    [("1Day", ["2025-01-02", "2025-02-10", "2025-07-10"]), ("1Week", ["2024-12-30", "2025-02-10", "2025-07-07"]),
     ("1Month", ["2025-01-01", "2025-02-01", "2025-07-01"]), ("3Month", ["2025-01-01", "2025-07-01"])],
)  # fmt: skip
@pytest.mark.parametrize("skipped", [0, 1])
def test_a_day_begins_at_midnight_in_new_york(api: Api, timeframe: str, days: list[str], skipped: int):
    zone = ZoneInfo("America/New_York")
    begins = [datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC) for day in days]
    start = begins[0] + timedelta(seconds=skipped)
    bars = joined(api, BARS, symbols="AAPL", timeframe=timeframe, start=text(start), end=text(begins[-1]))
    assert [bar["t"] for bar in bars["AAPL"]] == [text(begin) for begin in begins[skipped:]]


@pytest.mark.parametrize(
    ("timeframe", "start", "end", "count"),
    [("1Day", "2025-01-02", "2025-01-02", 1), ("1Day", "2025-01-01", "2025-01-01", 0), ("1Week", "2024-12-30", "2025-02-09", 1),
     ("1Week", "2024-12-30", "2025-02-10", 2), ("1Month", "2025-01-01", "2025-02-01", 2), ("1Day", "2025-02-10", "2025-02-10T04:59:59Z", 0),
     ("1Hour", "2025-01-02", "2025-01-02", 0), ("1Hour", "2025-01-02", "2025-01-03", 6)],
)  # fmt: skip
def test_a_date_as_the_end_of_days_is_in_the_range(
    api: Api, timeframe: str, start: str, end: str, count: int
):
    bars = joined(api, BARS, symbols="AAPL", timeframe=timeframe, start=start, end=end)
    assert len(bars.get("AAPL", [])) == count


def test_trades_and_quotes_have_letters_of_exchanges_and_no_nulls(api: Api):
    query = {"symbols": "AAPL", "start": text(FIRST), "end": text(FIRST + timedelta(minutes=7))}
    first, second = joined(api, "/api/v2/stocks/trades", **query)["AAPL"]
    assert first == {"t": text(FIRST), "x": "XOFF", "p": 100.0, "s": 1, "c": ["@", "F"], "i": 0}
    assert (second["x"], second["s"]) == ("Q", 2)
    (quote,) = joined(api, "/api/v2/stocks/quotes", **query)["AAPL"]
    sides = {"ax": "N", "ap": 0.0, "as": 0, "bx": "N", "bp": 100.0, "bs": 3}
    assert quote == {"t": text(FIRST), **sides, "c": None}


def test_an_unknown_symbol_and_an_empty_range_have_no_rows(api: Api):
    for query in (
        {"symbols": "AAPL,NOPE", "start": "2030-01-01"},
        {"symbols": "NOPE", "start": "2025-01-01"},
    ):
        assert api.get(BARS, query | {"timeframe": "1Min"}).json() == {"bars": {}, "next_page_token": None}
    assert api.get("/api/v2/stocks/trades/latest", {"symbols": "NOPE"}).json() == {"trades": {}}


def test_a_walk_leaves_out_symbols_of_another_class(api: Api):
    terms = orjson.dumps({"class": "crypto", "currency": "USD"})
    assert api.call("PUT", "/api/v1/instruments/ETH-USD", terms).status_code == 200
    api.ingest(trade(symbol="ETH-USD", timestamp=text(FIRST)))
    query = {"timeframe": "5Min", "start": "2025-01-01", "limit": 30}
    found = joined(api, BARS, symbols="AAPL,ETH/USD,MSFT", **query)
    assert found == joined(api, BARS, symbols="AAPL,MSFT", **query)
    assert joined(api, BARS, symbols="ETH/USD", **query) == {}
    assert api.get("/api/v2/stocks/snapshots", {"symbols": "ETH/USD"}).json() == {}
    single = api.get("/api/v2/stocks/ETH-USD/bars", query)
    assert (single.status_code, single.json()["reason"]) == (404, "wrong_class")


def test_without_a_start_the_range_is_today(api: Api):
    now = datetime.now(UTC)
    api.ingest(trade(timestamp=text(now.replace(microsecond=0))))
    rows = joined(api, "/api/v2/stocks/trades", symbols="AAPL")["AAPL"]
    assert [row["t"] for row in rows] == [text(now.replace(microsecond=0))]


def test_the_newest_rows_are_those_of_snapshot(api: Api):
    store_quotes(api, {"bid": 100, "ask": 99}, {"bid": 101})
    ours = api.get("/api/v1/market-data/equities/AAPL/snapshot").json()
    found = api.get("/api/v2/stocks/snapshots", {"symbols": "AAPL,MSFT,NOPE", "feed": "iex"}).json()
    assert list(found) == ["AAPL", "MSFT"]
    snapshot = found["AAPL"]
    assert snapshot["minuteBar"] == as_alpaca(ours["minute_bar"])
    midnight = {"t": "2025-07-10T04:00:00Z"}
    assert snapshot["dailyBar"] == as_alpaca(ours["daily_bar"]) | midnight
    assert snapshot["prevDailyBar"]["t"] == "2025-02-10T05:00:00Z"
    assert snapshot["latestTrade"]["p"] == 189.98
    quote = snapshot["latestQuote"]
    assert (quote["bp"], quote["ap"], quote["c"]) == (100, 99, ["crossed"])
    for kind, key in (("bars", "minuteBar"), ("trades", "latestTrade"), ("quotes", "latestQuote")):
        latest = api.get(f"/api/v2/stocks/{kind}/latest", {"symbols": "AAPL"}).json()
        assert latest == {kind: {"AAPL": snapshot[key]}}
        single = api.get(f"/api/v2/stocks/AAPL/{kind}/latest").json()
        assert single == {"symbol": "AAPL", kind.removesuffix("s"): snapshot[key]}
    assert api.get("/api/v2/stocks/AAPL/snapshot").json() == {"symbol": "AAPL", **snapshot}


def test_a_symbol_without_a_quote_of_both_sides_has_no_latest_quote(api: Api):
    assert api.get("/api/v2/stocks/quotes/latest", {"symbols": "MSFT"}).json() == {"quotes": {}}
    assert api.get("/api/v2/stocks/MSFT/snapshot").json()["latestQuote"] is None


def store_quotes(api: Api, *sides: dict[str, float]) -> None:
    """Store quotes of AAPL, one a second after its first."""
    quotes = [
        {"timestamp": text(FIRST + timedelta(seconds=1 + number)), "symbol": "AAPL", **each}
        for number, each in enumerate(sides)
    ]
    stored = api.call("POST", "/api/v1/quotes/ingest", orjson.dumps({"quotes": quotes}))
    assert stored.status_code == 200, stored.content


def test_pairs_of_crypto_have_a_slash_and_days_of_utc(api: Api):
    terms = orjson.dumps({"class": "crypto", "currency": "USD", "volume_kind": "fractional"})
    assert api.call("PUT", "/api/v1/instruments/BTC-USD", terms).status_code == 200
    api.ingest(trade(symbol="BTC-USD", timestamp="2025-01-04T23:59:59Z", volume=0.25))
    base = "/api/v1beta3/crypto/us"
    bars = joined(api, f"{base}/bars", symbols="BTC/USD", timeframe="1Day", start="2025-01-01")
    assert [(bar["t"], bar["v"]) for bar in bars["BTC/USD"]] == [("2025-01-04T00:00:00Z", 0.25)]
    assert api.get(f"{base}/latest/trades", {"symbols": "BTC/USD"}).json()["trades"]["BTC/USD"]["s"] == 0.25
    assert list(api.get(f"{base}/snapshots", {"symbols": "BTC/USD"}).json()["snapshots"]) == ["BTC/USD"]


def test_a_path_with_a_symbol_has_a_list(api: Api):
    page = api.get("/api/v2/stocks/AAPL/bars", {"timeframe": "1Day", "start": "2025-01-01"}).json()
    assert (page["symbol"], len(page["bars"]), page["next_page_token"]) == ("AAPL", 3, None)
    unknown = api.get("/api/v2/stocks/NOPE/bars", {"timeframe": "1Day", "start": "2025-01-01"})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "unknown_symbol")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"timeframe": "100Min"}, 422), ({"timeframe": "1Year"}, 422), ({"timeframe": "0Min"}, 422), ({}, 400),
        ({"timeframe": "1Min", "feed": "otc"}, 400), ({"timeframe": "1Min", "currency": "EUR"}, 400),
        ({"timeframe": "1Min", "adjustment": "dividend"}, 400), ({"timeframe": "1Min", "limit": "10001"}, 400),
        ({"timeframe": "1Min", "start": "2025-01-02", "end": "2025-01-01"}, 400),
        ({"timeframe": "1Min", "page_token": "x"}, 400), ({"timeframe": "24Hour"}, 422), ({"timeframe": "1Min", "interval": "1min"}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_an_alpaca_error(api: Api, query: dict[str, str], status: int):
    response = api.get(BARS, {"symbols": "AAPL", **query})
    found = response.json()
    assert (response.status_code, found["code"]) == (status, status * 100_000), found
    assert "cursor" not in found["message"]


def test_a_repeated_page_is_held(api: Api):
    query = {"symbols": "AAPL", "timeframe": "1Min", "start": "2025-01-01", "end": "2025-02-01"}
    first, second = api.get(BARS, query), api.get(BARS, query)
    assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert api.get(BARS, query, **{"If-None-Match": first["ETag"]}).status_code == 304


def test_an_unknown_volume_is_0(api: Api):
    """The client's model of a bar needs a number."""
    prices = dict.fromkeys(("open", "high", "low", "close"), 5)
    volumes: list[dict[str, Any]] = [{}, {"volume": 7}, {"volume": None}]
    bars = [
        {"symbol": "VIXY", "timestamp": f"2025-01-02T14:3{minute}:00Z", "resolution": "1m", **prices, **more}
        for minute, more in enumerate(volumes)
    ]
    assert api.call("POST", "/api/v1/bars/ingest", orjson.dumps({"bars": bars})).status_code == 200
    query = {"timeframe": "1Min", "start": "2025-01-02", "end": "2025-01-03"}
    found = joined(api, BARS, symbols="VIXY", **query)["VIXY"]
    assert [(bar["v"], bar["vw"], bar["n"]) for bar in found] == [
        (0, None, None),
        (7, None, None),
        (0, None, None),
    ]
