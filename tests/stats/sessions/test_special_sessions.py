"""Dates that rows prove to be sessions, over HTTP: a bar of their own, the calendar, and who is not concerned."""

from typing import Any

import orjson
import pyarrow as pa
import pytest
from django.core.management import call_command

from store.datasets import BARS
from store.instruments import Instrument
from store.protocol import Fill, Window
from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api, answer, problem, trade
from trades.services import fill_store
from trades.stores import market_store
from trading.market.hours import next_open_ns, session_end_ns

CALENDAR = "/api/v1/calendar"
TREE = "/api/v1/market-data/equities"
# Saturday 15 June 2024 between Friday and Monday.
DAYS = {"2024-06-13": 10.0, "2024-06-14": 20.0, "2024-06-15": 30.0, "2024-06-17": 40.0}
SATURDAY = "2024-06-15"
WEEK = {"start": "2024-06-13", "end": "2024-06-20"}


@pytest.fixture(autouse=True)
def declared(api: Api) -> None:
    for symbol in ("LON", "LSE"):
        market_store().set_instrument(Instrument(symbol, exchange="XLON"))


def put_bars(api: Api, symbol: str = "LON", days: dict[str, float] | None = None) -> None:
    rows = [
        {"symbol": symbol, "resolution": "1d", "timestamp": day, "volume": price * 10}
        | {"open": price, "high": price + 2, "low": price - 1, "close": price + 1}
        for day, price in (days or DAYS).items()
    ]
    response = api.call("POST", "/api/v1/bars/ingest", orjson.dumps({"bars": rows}))
    assert response.status_code == 200, response.content


def put_trades(api: Api, *times: str, symbol: str = "LON") -> None:
    rows = [trade(symbol=symbol, timestamp=f"{SATURDAY}T{time}Z", price=5.0, volume=2.0) for time in times]
    assert api.ingest(*rows).status_code == 200


def bars(api: Api, symbol: str = "LON", **params: Any) -> list[tuple[Any, ...]]:
    response = api.get(f"{TREE}/{symbol}/ohlcv", {**WEEK, **params})
    assert response.status_code == 200, response.content
    names = ("open", "high", "low", "close", "volume")
    return [
        (each.get("date", each["timestamp"]), *(each[name] for name in names))
        for each in answer(response)["bars"]
    ]


def dates(api: Api, **params: str) -> dict[str, str | None]:
    response = api.get(CALENDAR, {**WEEK, **params})
    assert response.status_code == 200, response.content
    return {each["date"]: each["reason"] for each in answer(response)["dates"]}


@pytest.mark.parametrize("hours", ["regular", "all"])
def test_a_saturdays_bar_is_one_of_its_own(api: Api, hours: str):
    put_bars(api)
    assert bars(api, resolution="1d", hours=hours) == [
        (day, price, price + 2, price - 1, price + 1, price * 10) for day, price in DAYS.items()
    ]
    assert bars(api, resolution="1w", hours=hours) == [
        ("2024-06-10", 10, 32, 9, 31, 600),
        ("2024-06-17", 40, 42, 39, 41, 400),
    ]
    assert bars(api, resolution="1M", start="2024-06-01", end="2024-07-01") == [
        ("2024-06-01", 10, 42, 9, 41, 1000)
    ]


def test_trades_over_an_hour_are_a_session_with_their_hours(api: Api):
    put_trades(api, "09:00:00", "10:20:00")
    assert bars(api, resolution="1d") == [(SATURDAY, 5, 5, 5, 5, 4)]
    hours = [("2024-06-15T09:00:00Z", 5, 5, 5, 5, 2), ("2024-06-15T10:00:00Z", 5, 5, 5, 5, 2)]
    assert bars(api, resolution="1h", hours="regular") == hours
    (found,) = answer(api.get(CALENDAR, {"symbol": "LON", "start": SATURDAY, "end": "2024-06-16"}))["dates"]
    assert (found["open"], found["close"]) == ("2024-06-15T09:00:00Z", "2024-06-15T10:30:00Z")


def test_fewer_trades_stay_outside_of_sessions(api: Api):
    put_trades(api, "09:00:00", "09:59:00")
    assert bars(api, resolution="1d") == bars(api, resolution="1h", hours="regular") == []
    assert SATURDAY not in dates(api, symbol="LON")


def test_the_calendar_of_a_symbol_has_the_date_and_that_of_the_exchange_with_two(api: Api):
    usual = dict.fromkeys(("2024-06-13", "2024-06-14", "2024-06-17", "2024-06-18", "2024-06-19"))
    assert dates(api, symbol="LON") == dates(api, exchange="XLON") == usual
    put_bars(api)
    assert dates(api, symbol="lon") == usual | {SATURDAY: "special"}
    assert dates(api, exchange="XLON") == dates(api, symbol="LSE") == usual
    put_bars(api, "LSE")
    assert dates(api, exchange="XLON") == usual | {SATURDAY: "special"}
    market_store().set_instrument(Instrument("NEW", exchange="XLON"))
    assert dates(api, symbol="NEW") == usual


def test_a_date_of_the_table_of_corrections_is_special_for_all(api: Api):
    market_store().set_instrument(Instrument("RELI", exchange="XNSE"))
    january = {"start": "2024-01-19", "end": "2024-01-24"}
    found = {"2024-01-19": None, "2024-01-20": "special", "2024-01-23": None}
    assert dates(api, symbol="RELI", **january) == dates(api, exchange="XNSE", **january) == found


def test_the_document_of_a_symbol(api: Api):
    found = answer(api.get(CALENDAR, {"symbol": "LON", "start": "2024-06-14", "end": "2024-06-15"}))
    assert {name: found[name] for name in ("exchange", "symbol", "calendar", "timezone")} == {
        "exchange": "XLON", "symbol": "LON", "calendar": "XLON", "timezone": "Europe/London",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("symbol=LON&exchange=XLON", (400, "conflicting_parameters")),
        ("symbol=NOBODY", (404, "unknown_symbol")),
        ("symbol=COIN", (400, "no_exchange")),
        ("start=2024-06-14", (400, "missing_parameter")),
    ],
)
def test_a_wrong_query_is_refused(api: Api, query: str, refusal: tuple[int, str]):
    market_store().set_instrument(Instrument("COIN", instrument_class="crypto"))
    assert problem(api.get(f"{CALENDAR}?{query}")) == refusal


def test_others_expect_no_bars_of_the_date(api: Api):
    put_bars(api)
    put_bars(api, "LSE", {day: price for day, price in DAYS.items() if day != SATURDAY})
    for symbol, last_session in (("LON", SATURDAY), ("LSE", "2024-06-14")):
        response = api.get(
            f"{TREE}/{symbol}/ohlcv", {**WEEK, "end": "2024-06-18", "resolution": "1d", "coverage": "1"}
        )
        found = answer(response)["absences"]
        assert found == [
            {"start": f"{last_session}T15:30:00Z", "end": "2024-06-17T07:00:00Z", "reason": "closed"}
        ]


def test_orders_follow_the_symbols_own_calendar(api: Api):
    put_bars(api)
    noon = parse_timestamp("2024-06-15T12:00:00Z")
    mine, other = market_store().instrument("LON"), market_store().instrument("LSE")
    assert next_open_ns(mine, noon) == noon
    assert format_timestamp(session_end_ns(mine, noon) or 0) == "2024-06-15T15:30:00Z"
    assert format_timestamp(next_open_ns(other, noon) or 0) == "2024-06-17T07:00:00Z"


@pytest.mark.parametrize("instant", [SATURDAY, "2024-06-15T00:00:00+01:00", "2024-06-15T07:00:00Z"])
def test_each_instant_of_a_closed_date_means_that_date(api: Api, instant: str):
    put_bars(api, days={"2024-06-17": 40.0})
    put_bars(api, days={instant: 30.0})
    assert [each[0] for each in bars(api, resolution="1d")] == [SATURDAY, "2024-06-17"]


def test_as_of_an_earlier_instant_the_date_is_closed(api: Api):
    put_bars(api)
    first = market_store().declarations("LON")[0][0]
    assert market_store().instrument("LON", as_of_ns=first).special_sessions == ()
    proved = market_store().declarations("LON")[-1][0]
    found = [bars(api, resolution="1d", as_of=format_timestamp(each)) for each in (proved - 1, proved)]
    assert [[each[0] for each in kept] for kept in found] == [
        ["2024-06-13", "2024-06-14", "2024-06-17"],
        list(DAYS),
    ]


def test_a_declaration_over_http_keeps_the_sessions(api: Api):
    put_bars(api)
    path = "/api/v1/instruments/LON"
    before = market_store().declarations("LON")
    for body, changes in (({"exchange": "XLON"}, 0), ({"exchange": "XLON", "currency": "GBP"}, 1)):
        response = api.call("PUT", path, orjson.dumps(body))
        assert response.status_code == 200, response.content
        assert len(market_store().declarations("LON")) == len(before) + changes
    assert dates(api, symbol="LON")[SATURDAY] == "special"


def test_an_exchange_declared_after_the_rows(api: Api):
    put_bars(api, "LATE")
    call_command("instrument", "LATE", "--exchange", "XLON")
    assert dates(api, symbol="LATE")[SATURDAY] == "special"
    assert [each[0] for each in bars(api, "LATE", resolution="1d")] == list(DAYS)


def test_rows_of_a_backfill_prove_a_date(api: Api):
    row = {"timestamp": parse_timestamp(SATURDAY), "resolution": "1d", "volume": 5.0}
    row |= dict.fromkeys(("open", "high", "low", "close"), 3.0)
    rows = pa.RecordBatch.from_pylist([dict.fromkeys(BARS.schema.names) | row], schema=BARS.schema)
    fill = Fill(Window(parse_timestamp("2024-06-14"), parse_timestamp("2024-06-18")), "vendor")
    fill_store(dataset=BARS, symbol="LON", rows=rows, fill=fill, caller="fill", request_key="1")
    assert dates(api, symbol="LON")[SATURDAY] == "special"
