"""GET /calendar and GET /clock."""

from typing import Any

import orjson
import pytest

from calendars.exchanges import EXCHANGES
from tests.api_client import Api, answer, make_key, problem
from tests.marketdata_project.test_openapi import errors_of_answer

CALENDAR = "/api/v1/calendar"
CLOCK = "/api/v1/clock"


def told(api: Api, path: str, **params: str) -> dict[str, Any]:
    response = api.get(path, params)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = answer(response)
    assert errors_of_answer(f"get {path}", found) == []
    return found


def clock(api: Api, exchange: str, at: str) -> tuple[Any, ...]:
    found = told(api, CLOCK, exchange=exchange, at=f"{at}:00Z")
    assert found["timestamp"] == f"{at}:00Z"
    return tuple(found[name] for name in ("phase", "is_open", "date", "next_open", "next_close"))


def test_a_calendar_is_the_trading_dates_with_their_hours_in_utc(api):
    assert told(api, CALENDAR, exchange="XNYS", start="2024-11-27", end="2024-12-02") == {
        "exchange": "XNYS",
        "symbol": None,
        "calendar": "NYSE",
        "timezone": "America/New_York",
        "holidays_known_until": None,
        "dates": [
            {
                "date": "2024-11-27",
                "open": "2024-11-27T14:30:00Z",
                "close": "2024-11-27T21:00:00Z",
                "pre": "2024-11-27T09:00:00Z",
                "post": "2024-11-28T01:00:00Z",
                "early_close": False,
                "reason": None,
                "breaks": [],
            },
            {
                "date": "2024-11-29",
                "open": "2024-11-29T14:30:00Z",
                "close": "2024-11-29T18:00:00Z",
                "pre": "2024-11-29T09:00:00Z",
                "post": "2024-11-29T22:00:00Z",
                "early_close": True,
                "reason": None,
                "breaks": [],
            },
        ],
    }


@pytest.mark.parametrize(
    ("exchange", "date"),
    [("XSHE", "2026-12-31"), ("XBOM", "2026-12-31"), ("XHKG", "2049-12-31"), ("XLON", None)],
)
def test_a_calendar_says_until_when_its_holidays_are_known(api, exchange, date):
    assert (
        told(api, CALENDAR, exchange=exchange, start="2024-12-02", end="2024-12-03")["holidays_known_until"]
        == date
    )


def test_a_session_in_two_parts_has_a_break(api):
    (date,) = told(api, CALENDAR, exchange="XNSE", start="2024-03-02", end="2024-03-04")["dates"]
    assert (date["date"], date["open"], date["close"]) == (
        "2024-03-02",
        "2024-03-02T03:45:00Z",
        "2024-03-02T07:00:00Z",
    )
    assert date["breaks"] == [{"start": "2024-03-02T04:30:00Z", "end": "2024-03-02T06:00:00Z"}]
    assert clock(api, "XNSE", "2024-03-02T05:00")[:3] == ("break", False, "2024-03-02")


def test_an_evening_session_opens_on_the_day_before(api):
    (monday,) = told(api, CALENDAR, exchange="XCME", start="2024-12-02", end="2024-12-03")["dates"]
    assert (monday["date"], monday["open"]) == ("2024-12-02", "2024-12-01T23:00:00Z")
    assert (monday["pre"], monday["post"]) == (None, None)


def test_a_lunch_break_is_in_breaks(api):
    (date,) = told(api, CALENDAR, exchange="XTKS", start="2024-12-02", end="2024-12-03")["dates"]
    assert date["breaks"] == [{"start": "2024-12-02T02:30:00Z", "end": "2024-12-02T03:30:00Z"}]


@pytest.mark.parametrize(
    ("params", "dates"),
    [
        ({"start": "2024-12-02T23:59:59Z", "end": "2024-12-03T00:00:01Z"}, ["2024-12-02", "2024-12-03"]),
        ({"end": "2024-01-04"}, [f"2023-12-{day:02}" for day in (5, 6, 7, 8, 11, 12, 13, 14, 15)]
            + [f"2023-12-{day:02}" for day in (18, 19, 20, 21, 22, 26, 27, 28, 29)] + ["2024-01-02", "2024-01-03"]),
        ({"start": "2024-11-30", "end": "2024-12-02"}, []),
        ({"start": "1733097600", "end": "1733184000"}, ["2024-12-02"]),
    ],
    ids=["times are their dates", "thirty days before an end", "a weekend", "epoch seconds"],
)  # fmt: skip
def test_a_range_is_of_whole_dates(api, params, dates):
    found = told(api, CALENDAR, exchange="XNYS", **params)["dates"]
    assert [date["date"] for date in found] == dates


def test_without_a_range_it_is_the_next_thirty_days(api, time_machine):
    time_machine.move_to("2024-11-20T12:00:00Z")
    found = told(api, CALENDAR, exchange="xnys")["dates"]
    assert (found[0]["date"], found[-1]["date"], len(found)) == ("2024-11-20", "2024-12-19", 21)


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        (CALENDAR, "", (400, "missing_parameter")),
        (CALENDAR, "exchange=", (400, "empty_parameter")),
        (CALENDAR, "exchange=XNYS&exchange=XNYS", (400, "repeated_parameter")),
        (CALENDAR, "exchange=XNYS&strat=2024-01-01", (400, "unknown_parameter")),
        (CALENDAR, "exchange=XNYS&start=soon", (400, "invalid_timestamp")),
        (CALENDAR, "exchange=XNYS&start=1899-12-31", (400, "timestamp_out_of_range")),
        (CALENDAR, "exchange=XNYS&start=2024-01-02&end=2024-01-02", (400, "invalid_range")),
        (CALENDAR, "exchange=XNYS&start=2010-01-01&end=2024-01-02", (400, "range_too_large")),
        (CALENDAR, "exchange=XXXX", (422, "unknown_exchange")),
        (CALENDAR, "exchange=%00", (422, "unknown_exchange")),
        (CLOCK, "exchange=../x", (422, "unknown_exchange")),
        (CLOCK, "exchange=XNYS&at=never", (400, "invalid_timestamp")),
        (CLOCK, "exchnage=XNYS", (400, "unknown_parameter")),
    ],
)
def test_a_wrong_query_is_refused(api, path, query, refusal):
    assert problem(api.get(f"{path}?{query}")) == refusal


def test_the_longest_range_is_3650_days(api):
    assert len(told(api, CALENDAR, exchange="XNYS", start="2014-01-01", end="2023-12-30")["dates"]) == 2516
    response = api.get(CALENDAR, {"exchange": "XNYS", "start": "2014-01-01", "end": "2023-12-31"})
    assert problem(response) == (400, "range_too_large")
    assert "3,650" in orjson.loads(response.content)["message"]


def test_an_unknown_exchange_gets_the_nearest_or_all_names(api):
    near, far = (
        orjson.loads(api.get(CLOCK, {"exchange": each}).content)["message"] for each in ("XTKZ", "ZZZZ")
    )
    assert "'XTKZ'; did you mean XTKS?" in near
    assert near.endswith(
        "declares its hours as its calendar, such as: Asia/Dubai Mon-Fri 10:00-15:00 closed 2026-01-01,2026-12-02"
    )
    assert all(mic in far for mic in EXCHANGES)


@pytest.mark.parametrize("path", [CALENDAR, CLOCK])
def test_it_is_read_with_a_key_below_api_v1_only_with_a_slash_or_without(api, path):
    params = {"exchange": "XNYS"}
    assert api.get(f"{path}/", params).status_code == 200
    assert problem(Api(None).get(path, params)) == (401, "not_authenticated")
    assert problem(Api(make_key(scopes=("market:write",))).get(path, params)) == (403, "missing_scope")
    assert problem(api.get(path.removeprefix("/api"), params)) == (404, "not_found")
    assert problem(api.call("POST", path)) == (405, "method_not_allowed")


FRIDAY = ("2024-11-29T14:30:00Z", "2024-11-29T18:00:00Z")
MONDAY = ("2024-12-02T14:30:00Z", "2024-12-02T21:00:00Z")
TOKYO = ("2024-12-02T03:30:00Z", "2024-12-02T06:30:00Z")


@pytest.mark.parametrize(
    ("exchange", "at", "told_"),
    [
        ("XNYS", "2024-11-28T15:00", ("closed", False, "2024-11-29", *FRIDAY)),
        ("XNYS", "2024-11-29T09:00", ("pre", False, "2024-11-29", *FRIDAY)),
        ("XNYS", "2024-11-29T14:30", ("regular", True, "2024-11-29", MONDAY[0], FRIDAY[1])),
        ("XNYS", "2024-11-29T17:59", ("regular", True, "2024-11-29", MONDAY[0], FRIDAY[1])),
        ("XNYS", "2024-11-29T18:00", ("post", False, "2024-11-29", *MONDAY)),
        ("XNYS", "2024-11-29T22:00", ("closed", False, "2024-11-29", *MONDAY)),
        ("XNYS", "2024-11-30T12:00", ("closed", False, "2024-12-02", *MONDAY)),
        ("XTKS", "2024-12-02T02:30", ("break", False, "2024-12-02", *TOKYO)),
        ("XTKS", "2024-12-02T01:00", ("regular", True, "2024-12-02", TOKYO[0], "2024-12-02T02:30:00Z")),
        ("XCME", "2024-12-01T23:00", ("regular", True, "2024-12-02", "2024-12-02T23:00:00Z", "2024-12-02T22:00:00Z")),
        ("XCME", "2024-12-02T22:30", ("closed", False, "2024-12-02", "2024-12-02T23:00:00Z", "2024-12-03T22:00:00Z")),
    ],
)  # fmt: skip
def test_a_clock_tells_the_phase_and_what_comes_next(api, exchange, at, told_):
    assert clock(api, exchange, at) == told_


def test_a_clock_without_an_exchange_is_the_server_s_time_and_never_stops(api, time_machine):
    time_machine.move_to("2024-11-30T12:00:00Z", tick=False)
    assert told(api, CLOCK) == {
        "timestamp": "2024-11-30T12:00:00Z",
        "exchange": None,
        "is_open": True,
        "phase": "regular",
        "date": "2024-11-30",
        "next_open": None,
        "next_close": None,
    }


def test_a_clock_goes_by_now(api, time_machine):
    time_machine.move_to("2024-11-29T15:00:00Z", tick=False)
    assert told(api, CLOCK, exchange="XNAS")["is_open"] is True


def test_a_client_that_has_the_calendar_gets_304(api):
    params = {"exchange": "XNYS", "start": "2024-11-27", "end": "2024-12-02"}
    first = api.get(CALENDAR, params)
    assert first["Cache-Control"] == "private, no-cache"
    assert first["Vary"] == "Accept, Accept-Encoding, Authorization, X-API-Key"
    again = api.get(CALENDAR, params, If_None_Match=f'"other", W/{first["ETag"]}')
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert api.get(CALENDAR, {**params, "end": "2024-12-03"}, If_None_Match=first["ETag"]).status_code == 200


def test_a_clock_is_not_cached(api):
    for params in ({}, {"exchange": "XNYS", "at": "2024-12-02T15:00Z"}):
        response = api.get(CLOCK, params)
        assert response["Cache-Control"] == "no-store"
        assert "ETag" not in response
