"""`/latest` and `/snapshot`: what is newest of one symbol, or of several."""

import time
from typing import Any

import orjson
import pytest

from stats.market_data.views import ReportViewSet
from store.instruments import CRYPTO, FUTURE, Instrument
from tests.api_client import OF_SCHEMA, Api, answer, problem, trade
from tests.stats.market_data.builders import complete_until_now
from trades.stores import market_store

TREE = "/api/v1/market-data"
CALL = "ACME250117C00150000"
BAR = {"open": 1.0, "high": 4.0, "low": 1.0, "close": 3.0}
REPORTS = ("latest", "snapshot")


def ingest(api: Api, dataset: str, symbol: str, *rows: dict[str, Any]) -> None:
    body = orjson.dumps({dataset.replace("-", "_"): [{"symbol": symbol, **row} for row in rows]})
    response = api.ingest(body, path=f"/api/v1/{dataset}/ingest", query=complete_until_now())
    assert response.status_code == 200, response.content


def at(time: str, price: float, volume: float = 1) -> dict[str, Any]:
    return {"timestamp": f"{time}Z", "price": price, "volume": volume}


def quote(time: str, **sides: float) -> dict[str, Any]:
    return {"timestamp": f"{time}Z", **sides}


@pytest.fixture
def traded(api: Api) -> Api:
    """Three days of ACME at the NYSE, the last of them with quotes; OTHER has one print, and no exchange."""
    market_store().set_instrument(Instrument("ACME", exchange="XNYS", aliases=("ACM",)))
    ingest(
        api, "trades", "ACME",
        at("2025-01-02T15:00:00", 9), at("2025-01-03T15:00:00", 1), at("2025-01-03T15:30:00", 4), at("2025-01-03T16:00:00", 3, 3),
        at("2025-01-06T15:30:00", 5, 10), at("2025-01-06T15:30:20", 6, 30),
    )  # fmt: skip
    ingest(
        api, "quotes", "ACME", quote("2025-01-06T15:30:00", bid=5, ask=6), quote("2025-01-06T15:31:00", ask=6, ask_size=2)
    )  # fmt: skip
    ingest(api, "trades", "OTHER", at("2025-01-03T15:00:00", 7))
    return api


def get(api: Api, path: str, **params: Any) -> Any:
    response = api.get(f"{TREE}/{path}", params)
    assert response.status_code == 200, response.content
    return answer(response)


NEWEST_TRADE = {
    "timestamp": "2025-01-06T15:30:20Z", "price": 6.0, "volume": 30, "trade_id": None, "sequence": None,
    "exchange": None, "conditions": None, "received_at": None, "buyer_is_maker": None,
}  # fmt: skip
NEWEST_QUOTE = {
    "timestamp": "2025-01-06T15:31:00Z", "bid": None, "bid_size": None, "ask": 6.0, "ask_size": 2, "sequence": None,
    "exchange": None, "conditions": None, "received_at": None, "state": "one_sided",
}  # fmt: skip
NEWEST_MINUTE = {
    "timestamp": "2025-01-06T15:30:00Z", "open": 5.0, "high": 6.0, "low": 5.0, "close": 6.0, "volume": 40, "vwap": 5.75,
    "trade_count": 2, "final": True,
}  # fmt: skip
NEWEST_DAY = {**NEWEST_MINUTE, "timestamp": "2025-01-06T14:30:00Z", "date": "2025-01-06"}
DAY_BEFORE = {
    "timestamp": "2025-01-03T14:30:00Z", **BAR, "volume": 5, "vwap": 2.8, "trade_count": 3, "final": True, "date": "2025-01-03",
}  # fmt: skip
SNAPSHOT = {
    "symbol": "ACME", "trade": NEWEST_TRADE, "quote": NEWEST_QUOTE, "minute_bar": NEWEST_MINUTE, "daily_bar": NEWEST_DAY,
    "previous_daily_bar": DAY_BEFORE,
}  # fmt: skip


def test_the_latest_trade_and_quote(traded):
    assert get(traded, "equities/ACME/latest") == {
        "symbol": "ACME",
        "trade": NEWEST_TRADE,
        "quote": NEWEST_QUOTE,
    }


def test_a_snapshot_has_the_newest_bars_too_and_the_day_before(traded):
    assert get(traded, "equities/ACME/snapshot") == SNAPSHOT


def test_what_there_is_not_is_null(traded):
    found = get(traded, "equities/OTHER/snapshot")
    assert (found["quote"], found["previous_daily_bar"]) == (None, None)
    assert found["trade"]["price"] == found["minute_bar"]["close"] == found["daily_bar"]["close"] == 7
    assert found["daily_bar"]["timestamp"] == "2025-01-03T00:00:00Z"


@pytest.mark.parametrize("report", REPORTS)
def test_several_symbols_come_in_the_order_asked_for(traded, report):
    found = get(traded, f"equities/{report}", symbols="OTHER,ACME")
    each = [get(traded, f"equities/{symbol}/{report}") for symbol in ("OTHER", "ACME")]
    assert found == {"symbols": ["OTHER", "ACME"], report: each}


@pytest.mark.parametrize(
    ("dataset", "rows", "expected"),
    [
        ("quotes", [quote("2025-01-06T15:00:00", bid=5, ask=6)], {"quote"}),
        ("bars", [{"timestamp": "2025-01-06", "resolution": "1d", "volume": 7, **BAR}], {"daily_bar"}),
        ("bars", [{"timestamp": "2025-01-06T15:00:00Z", "resolution": "1m", "volume": 7, **BAR}], {"minute_bar", "daily_bar"}),
    ],
    ids=["quotes", "daily bars", "minute bars"],
)  # fmt: skip
def test_a_symbol_without_trades_has_what_it_has(api: Api, dataset, rows, expected):
    ingest(api, dataset, "ONLY", *rows)
    found = get(api, "equities/ONLY/snapshot")
    assert {name for name, value in found.items() if value is not None} == {"symbol", *expected}


def test_a_symbol_that_was_only_told_of_has_nothing(api: Api):
    market_store().set_instrument(Instrument("TOLD"))
    assert get(api, "equities/TOLD/latest") == {"symbol": "TOLD", "trade": None, "quote": None}


def test_an_option_s_quotes_are_those_of_options(api: Api):
    ingest(api, "option-quotes", CALL, quote("2025-01-06T15:00:00", bid=4.1, ask=4.2))
    found = get(api, f"options/{CALL}/latest")
    assert (found["symbol"], found["trade"]) == (CALL, None)
    assert (found["quote"]["bid"], found["quote"]["state"]) == (4.1, "normal")
    padded = get(api, "options/ACME  250117C00150000/latest")
    assert padded == found


@pytest.mark.parametrize(
    ("market_class", "instrument"),
    [
        ("futures", Instrument("ESH5", instrument_class=FUTURE, exchange="XCME")),
        ("crypto", Instrument("BTC-USD", instrument_class=CRYPTO)),
    ],
    ids=["futures", "crypto"],
)
def test_each_class_has_its_own(api: Api, market_class, instrument):
    market_store().set_instrument(instrument)
    ingest(api, "trades", instrument.symbol, at("2025-01-06T23:30:00", 5, 2))
    found = get(api, f"{market_class}/{instrument.symbol}/snapshot")
    assert found["daily_bar"]["date"] == ("2025-01-07" if market_class == "futures" else "2025-01-06")
    assert problem(api.get(f"{TREE}/equities/{instrument.symbol}/snapshot")) == (404, "wrong_class")


@pytest.mark.parametrize("symbol", ["ACM", "acm", "acme"])
def test_other_names_of_a_symbol_are_answered_by_its_own(traded, symbol):
    assert get(traded, f"equities/{symbol}/snapshot") == SNAPSHOT
    assert get(traded, "equities/snapshot", symbols=symbol)["symbols"] == ["ACME"]


def test_as_of_an_instant_it_is_what_was_newest_then(api: Api, time_machine):
    for hour, price in ((10, 1.0), (12, 2.0)):
        time_machine.move_to(f"2025-01-08T{hour}:00:00Z", tick=False)
        ingest(api, "trades", "ACME", at(f"2025-01-06T15:{hour}:00", price))
    time_machine.move_to("2025-01-08T14:00:00Z", tick=False)
    response = api.get(f"{TREE}/equities/ACME/latest", {"as_of": "2025-01-08T11:00:00Z"})
    assert answer(response)["trade"]["price"] == 1
    assert response["X-As-Of"] == "2025-01-08T11:00:00Z"
    assert response["X-Commit"].startswith("trades=1-")
    assert "immutable" in response["Cache-Control"]
    assert get(api, "equities/ACME/latest")["trade"]["price"] == 2
    before = get(api, "equities/ACME/snapshot", as_of="2025-01-08T09:00:00Z")
    assert {value for name, value in before.items() if name != "symbol"} == {None}


def test_what_lies_ahead_is_not_the_newest(api: Api, time_machine):
    time_machine.move_to("2025-01-06T15:30:30Z", tick=False)
    ingest(api, "trades", "ACME", at("2025-01-06T15:30:10", 1), at("2025-01-06T15:45:00", 2))
    found = get(api, "equities/ACME/snapshot")
    assert (found["trade"]["price"], found["minute_bar"]["close"]) == (1, 1)
    assert (found["minute_bar"]["final"], found["daily_bar"]["final"]) == (False, False)


@pytest.mark.parametrize("report", REPORTS)
def test_a_second_call_is_a_hit_and_a_write_is_seen_at_once(traded, report):
    path = f"{TREE}/equities/ACME/{report}"
    first, second = traded.get(path), traded.get(path)
    assert [first["X-Cache"], second["X-Cache"]] == ["miss", "hit"]
    assert (second.content, second["ETag"]) == (first.content, first["ETag"])
    ingest(traded, "trades", "ACME", at("2025-01-06T16:00:00", 8))
    third = traded.get(path)
    assert (third["X-Cache"], answer(third)["trade"]["price"]) == ("miss", 8)
    assert third["ETag"] != first["ETag"]


@pytest.mark.parametrize("report", REPORTS)
def test_the_logs_that_it_depends_on_are_known_before(traded, report):
    route = {"market_class": "equities", "subject": report, "symbol": "ACME"}
    call = ReportViewSet.parse_call("", "json", **route)
    assert call.logs == call.take_snapshot(now_ns=time.time_ns()).watched is not None


def test_while_nothing_is_written_the_latest_keeps_its_tag(traded, time_machine):
    tags = set()
    for minute in (0, 1, 30):
        time_machine.move_to(f"2025-01-08T15:{minute:02}:07Z", tick=False)
        tags.add(traded.get(f"{TREE}/equities/ACME/latest")["ETag"])
    assert len(tags) == 1


def test_the_commits_are_those_of_all_logs_that_were_read(traded):
    one = traded.get(f"{TREE}/equities/ACME/latest")["X-Commit"]
    several = traded.get(f"{TREE}/equities/latest", {"symbols": "ACME,OTHER"})["X-Commit"]
    assert [commit.split("-")[0] for commit in one.split(", ")] == ["trades=1", "quotes=1"]
    assert [commit.split("-")[0] for commit in several.split(", ")] == [
        "trades:ACME=1",
        "quotes:ACME=1",
        "trades:OTHER=1",
    ]


def test_answers_about_a_symbol_are_dropped_with_it(traded):
    path = f"{TREE}/equities/ACM/latest"
    traded.get(path)
    assert traded.get(path)["X-Cache"] == "hit"
    dropped = traded.call("POST", "/api/v1/cache/invalidate", b'{"symbol":"ACME"}')
    assert dropped.status_code == 200
    assert traded.get(path)["X-Cache"] == "miss"


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    ("path", "params", "refusal"),
    [
        ("NOPE/{}", {}, (404, "unknown_symbol")),
        ("{}", {"symbols": "ACME,NOPE"}, (404, "unknown_symbol")),
        ("{}", {}, (400, "missing_parameter")),
        ("{}", {"symbols": "ACME,acme"}, (400, "repeated_symbol")),
        ("ACME/{}", {"start": "2025-01-01"}, (400, "unknown_parameter")),
        ("ACME/{}", {"symbols": "ACME"}, (400, "unknown_parameter")),
        ("ACME/{}", {"as_of": "soon"}, (400, "invalid_timestamp")),
        ("A!/{}", {}, (422, "invalid_symbol")),
    ],
    ids=lambda one: str(one) if isinstance(one, tuple) else None,
)
def test_what_cannot_be_answered_is_refused(traded, report, path, params, refusal):
    assert problem(traded.get(f"{TREE}/equities/{path.format(report)}", params)) == refusal


def test_a_report_has_one_format(traded):
    response = traded.get(f"{TREE}/equities/ACME/latest", Accept="text/csv")
    assert problem(response) == (406, "not_acceptable")


def test_trades_of_equal_time_are_told_by_their_order(api: Api):
    ingest(
        api, "trades", "ACME",
        {**at("2025-01-06T15:30:00", 2), "sequence": 2}, {**at("2025-01-06T15:30:00", 1), "sequence": 1},
    )  # fmt: skip
    assert get(api, "equities/ACME/latest")["trade"]["price"] == 2


def test_a_cancelled_trade_is_not_the_latest(api: Api):
    api.ingest(trade(price=1), trade(timestamp="2025-01-02T14:31:00Z", price=2))
    cancelled = {"action": "cancel", "timestamp": "2025-01-02T14:31:00Z", "price": 2, "volume": 100}
    assert api.correct(cancelled).status_code == 200
    assert get(api, "equities/AAPL/latest")["trade"]["price"] == 1


@OF_SCHEMA
def test_the_schema_has_the_columns_of_the_answers_and_no_others(traded: Api):
    paths = answer(traded.get("/api/v1/schema?format=json"))["paths"]
    operation = paths[f"{TREE}/equities/{{symbol}}/snapshot"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    plain = get(traded, "equities/ACME/snapshot")
    for name, row in plain.items():
        if name != "symbol":
            assert set(schema[name]["properties"]) == set(row), name


@pytest.mark.parametrize(
    ("params", "previous", "minute"),
    [
        ({}, 0.75, 6),
        ({"adjustment": "split"}, 0.75, 6),
        ({"adjustment": "all"}, 0.5, 6),
        ({"adjustment": "raw"}, 3, 6),
    ],
)
def test_the_bars_of_a_snapshot_are_adjusted_as_bars_are(traded, params, previous, minute):
    ingest(
        traded, "corporate-actions", "ACME",
        {"timestamp": "2025-01-06", "kind": "split", "ratio": 4}, {"timestamp": "2025-01-06", "kind": "dividend", "amount": 1},
    )  # fmt: skip
    found = get(traded, "equities/ACME/snapshot", **params)
    assert (found["previous_daily_bar"]["close"], found["minute_bar"]["close"]) == (previous, minute)
    assert get(traded, "equities/snapshot", symbols="ACME", **params)["snapshot"] == [found]
    adjustment = params.get("adjustment", "split")
    days = get(traded, "equities/ACME/ohlcv", last=2, adjustment=adjustment)["bars"]
    assert [found["previous_daily_bar"], found["daily_bar"]] == days


def test_the_newest_rows_alone_are_never_adjusted(traded):
    problem_of = problem(traded.get(f"{TREE}/equities/ACME/latest", {"adjustment": "raw"}))
    assert problem_of == (400, "unknown_parameter")
