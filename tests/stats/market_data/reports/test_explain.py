"""`/ohlcv/explain`: what made a bar, print by print."""

from typing import Any

import orjson
import pytest

from store.datasets import TRADES
from store.instruments import Instrument
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem, trade
from trades.stores import market_store

pytestmark = pytest.mark.django_db

TREE = "/api/v1/market-data/equities/ACME/ohlcv"


def send(api: Api, *rows: tuple[str, float, float, list[str]]) -> None:
    trades = [
        trade(
            symbol="ACME",
            timestamp=f"2025-01-02T{time}Z",
            price=price,
            volume=volume,
            conditions=words or None,
        )
        for time, price, volume, words in rows
    ]
    response = api.ingest(*trades, query="dedupe=none")
    assert response.status_code == 200, response.content


def explain(api: Api, at: str = "15:00:30", **params: str) -> Any:
    response = api.get(f"{TREE}/explain", {"at": f"2025-01-02T{at}Z", **params})
    assert response.status_code == 200, response.content
    return answer(response)


@pytest.fixture
def minute(api: Api) -> Api:
    market_store().set_instrument(Instrument("ACME", exchange="XNYS", bar_policy="us_equities"))
    send(
        api,
        ("15:00:01", 10, 100, []),
        ("15:00:02", 99, 50, ["odd_lot"]),
        ("15:00:10", 12, 200, ["regular"]),
        ("15:00:20", 9, 300, ["cross"]),
        ("15:00:50", 11, 400, []),
        ("15:01:30", 11, 25, ["odd_lot"]),
        ("15:02:30", 13, 30, ["odd_lot"]),
        ("15:02:40", 14, 10, []),
    )
    return api


def test_it_tells_what_set_each_price_and_what_counts(minute: Api):
    found = explain(minute)
    (bar,) = answer(
        minute.get(TREE, {"start": "2025-01-02T15:00", "end": "2025-01-02T15:01", "resolution": "1m"})
    )["bars"]
    assert (found["bar"], found["policy"], found["resolution"]) == (bar, "us_equities", "1m")
    assert {name: each["timestamp"][17:19] for name, each in found["sets"].items()} == {
        "open": "01", "high": "10", "low": "20", "close": "50",
    }  # fmt: skip
    assert {name: each["price"] for name, each in found["sets"].items()} == {
        name: bar[name] for name in ("open", "high", "low", "close")
    }
    assert found["volume"] == {"own": 750, "credited": 25, "left_out": 300, "stored": 0}
    assert found["volume"]["own"] + found["volume"]["credited"] == bar["volume"]
    assert [(each["timestamp"][14:19], each["part"], each["sets"]) for each in found["prints"]] == [
        ("00:01", "own", ["open"]),
        ("00:02", "own", []),
        ("00:10", "own", ["high"]),
        ("00:20", "own", ["low"]),
        ("00:50", "own", ["close"]),
        ("01:30", "credited", []),
    ]


def test_it_names_the_words_that_decide(minute: Api):
    found = explain(minute)
    odd_lot, cross = found["prints"][1], found["prints"][3]
    assert odd_lot["because"] == {"open_close": "odd_lot", "high_low": "odd_lot", "volume": None}
    assert cross["because"] == {"open_close": None, "high_low": None, "volume": "cross"}
    by_words = {tuple(each["conditions"]): (each["prints"], each["volume"]) for each in found["conditions"]}
    assert by_words == {(): (2, 500), ("odd_lot",): (1, 50), ("regular",): (1, 200), ("cross",): (1, 300)}


def test_its_changes_are_listed(minute: Api):
    send(minute, ("15:00:40", 20, 1, []))
    (revision,) = explain(minute)["revisions"]
    assert (revision["before_high"], revision["after_high"], revision["commit"]) == (12, 20, 2)


def test_a_day_is_explained_by_its_auctions(api: Api):
    market_store().set_instrument(Instrument("ACME", exchange="XNYS", bar_policy="us_equities"))
    send(
        api,
        ("14:30:00", 10, 100, []),
        ("14:30:05", 11, 500, ["opening_print"]),
        ("20:59:59", 12, 100, []),
        ("21:00:07", 13, 900, ["closing_print"]),
        ("22:00:00", 50, 100, ["extended_hours"]),
    )
    found = explain(api, resolution="1d")
    (bar,) = answer(api.get(TREE, {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1d"}))["bars"]
    assert found["bar"] == bar
    assert {name: each["price"] for name, each in found["sets"].items()} == {
        name: bar[name] for name in ("open", "high", "low", "close")
    }
    assert found["sets"]["close"]["conditions"] == ["closing_print"]
    assert found["prints"][-1]["part"] == "left_out"


def test_an_interval_without_a_bar_says_why(minute: Api):
    found = explain(minute, at="15:01:10")
    assert (found["bar"], found["sets"], found["prints"][0]["part"]) == (None, {}, "left_out")
    assert (found["reason"], explain(minute)["reason"]) == ("no_trades", None)


@pytest.mark.parametrize(
    ("at", "resolution", "reason"),
    [
        ("2025-01-02T02:00Z", "1m", "closed"),
        ("2025-01-04T15:00Z", "1d", "closed"),
        ("2024-12-31T15:00Z", "1m", "unlisted"),
        ("2100-01-04T15:00Z", "1m", "not_yet"),
    ],
)
def test_an_interval_without_prints_says_why(minute: Api, at: str, resolution: str, reason: str):
    found = answer(minute.get(f"{TREE}/explain", {"at": at, "resolution": resolution}))
    assert (found["bar"], found["prints_total"], found["reason"]) == (None, 0, reason)


def test_prints_are_limited_and_the_deciding_ones_are_always_there(minute: Api):
    found = explain(minute, limit="2")
    assert (len(found["prints"]), found["prints_total"], found["sets"]["close"]["price"]) == (2, 6, 11)


def test_as_of_explains_the_bar_of_then(minute: Api):
    store = market_store()
    then = format_timestamp(store.log(TRADES, "ACME").committed_at(1))
    send(minute, ("15:00:40", 20, 1, []))
    assert [explain(minute, as_of=then)["bar"]["high"], explain(minute)["bar"]["high"]] == [12, 20]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({}, 400, "missing_parameter"),
        ({"at": "soon"}, 400, "invalid_timestamp"),
        ({"at": "2025-01-02", "resolution": "1w"}, 404, "resolution_unavailable"),
        ({"at": "2025-01-02", "policy": "all"}, 400, "unknown_parameter"),
        ({"at": "2025-01-02", "limit": "10001"}, 400, "invalid_limit"),
        ({"at": "2025-01-02", "start": "2025-01-02"}, 400, "unknown_parameter"),
    ],
)
def test_what_cannot_be_explained_is_refused(minute: Api, query: dict[str, str], status: int, code: str):
    assert problem(minute.get(f"{TREE}/explain", query)) == (status, code)


def test_an_unknown_symbol_is_404(api: Api):
    path = "/api/v1/market-data/equities/NOBODY/ohlcv/explain?at=2025-01-02"
    assert problem(api.get(path)) == (404, "unknown_symbol")


def test_prints_out_of_hours_are_not_credited(minute: Api):
    market_store().set_instrument(Instrument("ACME", exchange="XNYS", bar_policy="us_equities"))
    send(minute, ("20:59:30", 10, 100, []), ("21:10:00", 10, 5, ["odd_lot"]))
    found = explain(minute, at="20:59:30", hours="regular")
    assert (found["bar"]["volume"], found["volume"]["own"], found["volume"]["credited"]) == (100, 100, 0)


def store_bars(api: Api, resolution: str, *bars: tuple[str, float, float, float, float, float]) -> None:
    rows = [
        {
            "timestamp": f"2025-01-02T{time}Z", "symbol": "ACME", "resolution": resolution,
            "open": open_, "high": high, "low": low, "close": close, "volume": volume,
        }
        for time, open_, high, low, close, volume in bars
    ]  # fmt: skip
    response = api.ingest(orjson.dumps({"bars": rows}), path="/api/v1/bars/ingest")
    assert response.status_code == 200, response.content


def bar_of(api: Api, resolution: str, start: str, end: str) -> Any:
    query = {"start": f"2025-01-02T{start}", "end": f"2025-01-02T{end}", "resolution": resolution}
    (bar,) = answer(api.get(TREE, query))["bars"]
    return bar


def test_a_bar_without_trades_is_the_stored_bar_of_its_length(minute: Api):
    store_bars(minute, "1m", ("16:10:00", 5, 8, 4, 7, 90))
    found = explain(minute, at="16:10:30")
    assert found["bar"] == bar_of(minute, "1m", "16:10", "16:11")
    (stored,) = found["stored"]["bars"]
    assert (stored["resolution"], found["stored"]["bars_total"]) == ("1m", 1)
    assert {name: stored[name] for name in ("open", "high", "low", "close", "volume")} == {
        name: found["bar"][name] for name in ("open", "high", "low", "close", "volume")
    }
    assert (stored["timestamp"], stored["vwap"], stored["trade_count"]) == (
        "2025-01-02T16:10:00Z",
        None,
        None,
    )
    assert stored["sets"] == ["open", "high", "low", "close"]
    assert (found["sets"], found["prints"]) == ({}, [])
    assert found["volume"] == {"own": 0, "credited": 0, "left_out": 0, "stored": 90}


def test_a_bar_of_stored_bars_names_them(minute: Api):
    store_bars(minute, "1m", ("15:09:00", 3, 3, 3, 3, 999))
    store_bars(minute, "1m", ("15:13:00", 13, 40, 12, 20, 500), ("15:14:00", 20, 21, 8, 10, 60))
    found = explain(minute, at="15:12:00", resolution="5m")
    assert found["bar"] == bar_of(minute, "5m", "15:10", "15:15")
    assert [bar["timestamp"][14:16] for bar in found["stored"]["bars"]] == ["13", "14"]
    assert [bar["sets"] for bar in found["stored"]["bars"]] == [["open", "high"], ["low", "close"]]
    assert (found["sets"], found["volume"]["stored"]) == ({}, 560)
    assert len(explain(minute, at="15:12:00", resolution="5m", limit="1")["stored"]["bars"]) == 1


def test_a_stored_bar_that_trades_replace_has_no_part(minute: Api):
    store_bars(minute, "1m", ("15:00:00", 70, 80, 60, 75, 1))
    store_bars(minute, "5m", ("15:00:00", 70, 80, 60, 75, 1))
    for resolution in ("1m", "5m"):
        assert explain(minute, resolution=resolution)["stored"] is None


def test_a_bar_is_merged_of_the_longest_stored_bars(api: Api):
    store_bars(api, "1h", ("12:00:00", 5, 6, 4, 5, 100), ("13:00:00", 5, 6, 4, 5, 100))
    store_bars(api, "15m", ("12:00:00", 5, 9, 4, 8, 60), ("12:15:00", 8, 8, 2, 3, 60))
    for resolution, count in (("1h", 1), ("2h", 2), ("1d", 2)):
        found = explain(api, at="12:30:00", resolution=resolution)
        assert [bar["resolution"] for bar in found["stored"]["bars"]] == ["1h"] * count
        assert found["bar"]["volume"] == found["volume"]["stored"] == 100 * count


@pytest.mark.parametrize("exchange", ["XNYS", "XASX"])
@pytest.mark.parametrize("query", [{}, {"session": "exchange", "hours": "all"}, {"session": "utc"}], ids=str)
def test_a_date_is_that_of_the_daily_bar(api: Api, exchange: str, query: dict[str, str]):
    market_store().set_instrument(Instrument("ACME", exchange=exchange))
    prices = {"2025-01-02": 2.0, "2025-01-03": 3.0, "2025-01-06": 6.0, "2025-01-07": 7.0}
    hour = "01" if exchange == "XASX" else "15"
    trades = [
        trade(symbol="ACME", timestamp=f"{day}T{hour}:00:00Z", price=price) for day, price in prices.items()
    ]
    assert api.ingest(*trades).status_code == 200
    for day, price in prices.items():
        found = answer(api.get(f"{TREE}/explain", {"at": day, "resolution": "1d", **query}))
        assert (found["bar"]["date"], found["bar"]["close"]) == (day, price)
        assert [each["price"] for each in found["prints"]] == [price]
