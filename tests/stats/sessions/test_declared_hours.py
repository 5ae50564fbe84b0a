"""Bars, gaps, orders and readers by hours that an instrument of an exchange without a calendar declares."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from calendars.schedule import Hours
from dialects.udf.hours import udf_hours
from store import open_store
from store.instrument_calendars import calendar_for
from store.instruments import Instrument
from tests.api_client import Api, answer, problem, trade
from tests.calendars.published import day, ns
from trading.market.hours import is_in_session, next_open_ns, session_end_ns

KUWAIT = "Asia/Kuwait Sun-Thu 09:00-12:40 closed 2026-02-25,2026-02-26"
BANK = Instrument("NBK", exchange="XKUW", calendar=KUWAIT)
BARS = "/api/v1/market-data/equities/NBK/ohlcv"
# A Tuesday, a holiday and a Sunday, in UTC. 08:00 local is before the open, Wednesday is closed.
PRINTS = {
    "2026-02-24T05:00": 1,
    "2026-02-24T06:00": 2,
    "2026-02-24T09:39": 3,
    "2026-02-25T07:00": 4,
    "2026-03-01T07:00": 5,
}


@pytest.fixture
def bank(api: Api) -> Api:
    """The API with the bank, declared over HTTP, and its prints."""
    declared = api.call(
        "PUT", "/api/v1/instruments/NBK", orjson.dumps({"exchange": "XKUW", "calendar": KUWAIT})
    )
    assert declared.status_code == 200, declared.content
    assert answer(declared)["calendar"] == KUWAIT
    rows = [trade(symbol="NBK", timestamp=f"{at}:00Z", price=price) for at, price in PRINTS.items()]
    assert api.ingest(*rows).status_code == 200
    return api


def test_days_are_the_declared_sessions(bank: Api):
    query = {"resolution": "1d", "start": "2026-02-24", "end": "2026-03-02"}
    bars = answer(bank.get(BARS, query))["bars"]
    assert [(bar["date"], bar["timestamp"], bar["open"], bar["close"]) for bar in bars] == [
        ("2026-02-24", "2026-02-24T06:00:00Z", 2, 3),
        ("2026-03-01", "2026-03-01T06:00:00Z", 5, 5),
    ]


def test_holidays_nights_and_weekends_are_closed(bank: Api):
    query = {
        "resolution": "10m",
        "hours": "regular",
        "start": "2026-02-24T09:30:00Z",
        "end": "2026-03-01T06:00:00Z",
    }
    absences = answer(bank.get(BARS, {**query, "coverage": "1"}))["absences"]
    assert [(each["reason"], each["start"], each["end"]) for each in absences] == [
        ("closed", "2026-02-24T09:40:00Z", "2026-03-01T06:00:00Z")
    ]


def test_the_calendar_of_the_symbol_lists_the_declared_sessions(bank: Api):
    query = {"symbol": "NBK", "start": "2026-02-24", "end": "2026-03-02"}
    told = answer(bank.get("/api/v1/calendar", query))
    assert (told["calendar"], told["timezone"], told["holidays_known_until"]) == (KUWAIT, "Asia/Kuwait", None)
    assert [(each["date"], each["close"]) for each in told["dates"]] == [
        ("2026-02-24", "2026-02-24T09:40:00Z"),
        ("2026-03-01", "2026-03-01T09:40:00Z"),
    ]


def test_wrong_hours_are_refused(api: Api):
    hours = {"exchange": "XKUW", "calendar": "Asia/Kuwayt Sun-Thu 09:00-12:40"}
    refused = api.call("PUT", "/api/v1/instruments/NBK", orjson.dumps(hours))
    assert problem(refused)[0] == 422
    assert b"'Asia/Kuwayt' is no IANA time zone; did you mean Asia/Kuwait?" in refused.content


def test_a_reader_without_the_api_has_the_hours(bank: Api, store_path: Path):
    days = open_store(store_path).bars("NBK", interval="1d", hours="regular")
    assert list(days.close) == [3, 5]


def test_orders_trade_in_the_declared_hours():
    instants = np.array([ns(at) for at in PRINTS])
    assert is_in_session(BANK, instants).tolist() == [False, True, True, False, True]
    assert session_end_ns(BANK, ns("2026-02-24T10:00")) == ns("2026-03-01T09:40")
    assert next_open_ns(BANK, ns("2026-02-25T07:00")) == ns("2026-03-01T06:00")


def test_charts_get_the_declared_hours():
    calendar = calendar_for(BANK)
    assert calendar is not None
    hours = udf_hours(calendar, Hours.REGULAR, day("2026-03-01"))
    assert hours == {
        "timezone": "Asia/Kuwait",
        "session": "0900-1240:12345",
        "session_holidays": "20260225,20260226",
        "corrections": "",
    }
