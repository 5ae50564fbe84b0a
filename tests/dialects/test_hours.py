"""Alpaca's clock and calendar, with Alpaca's credentials and errors."""

from datetime import datetime

import pytest
from django.test import Client

from ratelimit.keys.api_keys import prefix_of
from tests.api_client import Api, usual_key

pytestmark = pytest.mark.usefixtures("db", "project_redis")
CALENDAR = "/api/v2/calendar"


@pytest.fixture
def api() -> Api:
    return Api(usual_key())


def test_the_hours_of_each_date_are_those_of_new_york(api: Api):
    days = api.get(f"{CALENDAR}?start=2025-11-26&end=2025-11-28").json()
    names = ("date", "open", "close", "session_open", "session_close")
    assert [tuple(day[name] for name in names) for day in days] == [
        ("2025-11-26", "09:30", "16:00", "0400", "2000"),
        ("2025-11-28", "09:30", "13:00", "0400", "1700"),
    ]


def test_without_a_range_the_calendar_is_whole(api: Api):
    days = api.get(CALENDAR).json()
    assert (days[0]["date"], days[-1]["date"]) == ("1970-01-02", "2029-12-31")


def test_the_clock_says_what_comes_next(api: Api):
    clock = api.get("/api/v2/clock").json()
    opens, closes = (datetime.fromisoformat(clock[name]) for name in ("next_open", "next_close"))
    assert clock["is_open"] is (closes < opens)
    assert datetime.fromisoformat(clock["timestamp"]) < min(opens, closes)


def test_a_key_in_two_parts_is_that_key():
    key = usual_key()
    prefix = prefix_of(key)
    parts = {"APCA-API-KEY-ID": prefix, "APCA-API-SECRET-KEY": key.removeprefix(f"md_{prefix}_")}
    assert Client().get("/api/v2/clock", headers=parts).status_code == 200
    assert Client().get("/api/v2/clock", headers=parts | {"APCA-API-SECRET-KEY": "x"}).status_code == 401


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        (f"{CALENDAR}?start=yesterday", 40_000_000, "invalid_timestamp"),
        (f"{CALENDAR}?start=2199-12-01", 40_000_000, "invalid_range"),
        (f"{CALENDAR}?begin=2025-01-02", 40_000_000, "unknown_parameter"),
        ("/api/v2/nothing", 40_400_000, "not_found"),
        ("/api/v1beta1/nothing", 40_400_000, "not_found"),
    ],
)
def test_errors_are_alpacas(api: Api, path: str, code: int, reason: str):
    response = api.get(path)
    assert response["Content-Type"] == "application/json"
    assert response.status_code == code // 100_000
    assert (response.json()["code"], response.json()["reason"]) == (code, reason)


def test_without_a_key_the_error_is_alpacas_too():
    response = Client().get("/api/v2/clock")
    assert (response.status_code, response.json()["code"]) == (401, 40_100_000)
