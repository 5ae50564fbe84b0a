"""Every query parameter of the tree: what it changes, and how what is wrong with it is refused."""

from typing import Any

import pytest

from tests.api_client import answer, problem
from tests.stats.market_data.builders import (
    CALL,
    EQUITY,
    EQUITY_HOUR,
    FUTURE,
    HOUR_NS,
    Market,
    timestamp,
)

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data"
OHLCV, TICKS = f"{TREE}/equities/{EQUITY}/ohlcv", f"{TREE}/equities/{EQUITY}/trades"
MINUTES = {"start": timestamp(EQUITY_HOUR), "end": timestamp(EQUITY_HOUR + HOUR_NS), "resolution": "1m"}
DAYS = {"start": "2024-12-23", "end": "2025-01-04"}


def get(market: Market, path: str = OHLCV, query: Any = None, **changes: Any) -> Any:
    """An answer's document; a change to `...` leaves the parameter out."""
    response = ask(market, path, query, **changes)
    assert response.status_code == 200, response.content
    return answer(response)


def ask(market: Market, path: str = OHLCV, query: Any = None, **changes: Any) -> Any:
    asked = {**(MINUTES if query is None else query), **changes}
    return market.api.get(path, {name: value for name, value in asked.items() if value is not ...})


WRONG: dict[str, list[tuple[str, tuple[int, str]]]] = {
    "start": [
        ("yesterday", (400, "invalid_timestamp")), ("2024-13-01", (400, "invalid_timestamp")),
        ("1899-12-31", (400, "timestamp_out_of_range")), ("12345", (400, "invalid_timestamp")), ("2024-02-30", (400, "invalid_timestamp")),
        ("2024-12-24T17:30:00.1234567890Z", (400, "invalid_timestamp")), ("173582826", (400, "invalid_timestamp")),
        ("2024-12-24T17:30:00+25:00", (400, "invalid_timestamp")), (MINUTES["end"], (400, "invalid_range")),
        ("2025-01-01", (400, "invalid_range")),
    ],
    "end": [
        ("tomorrow", (400, "invalid_timestamp")), ("2201-01-02", (400, "timestamp_out_of_range")),
        ("9999999999", (400, "timestamp_out_of_range")), (MINUTES["start"], (400, "invalid_range")),
    ],
    "as_of": [("now", (400, "invalid_timestamp"))],
    "resolution": [(text, (422, "unknown_resolution")) for text in ("1D", "0m", "07m", "24h", "1440m", "32d", "53w", "13M", "7", "m", "1y", "1.5h", "٣m", "99999s")],
    "limit": [(text, (400, "invalid_limit")) for text in ("0", "10001", "1e3", "٣")],
    "cursor": [("x", (400, "invalid_cursor")), ("a b", (400, "invalid_cursor"))],
    "sort": [(text, (400, "invalid_parameter")) for text in ("up", "ASC")],
    "session": [("nyse", (400, "invalid_parameter"))],
    "hours": [("night", (400, "invalid_parameter"))],
    "adjustment": [("dividend", (400, "invalid_parameter"))],
    "partial": [("1", (400, "invalid_parameter"))],
    "coverage": [("yes", (400, "invalid_parameter"))],
    "time": [("s", (400, "invalid_parameter"))],
    "fields": [
        ("nope", (400, "unknown_column")), ("close,close", (400, "invalid_fields")), ("close,", (400, "invalid_fields")),
        ("Close", (400, "invalid_fields")), ("date", (400, "unknown_column")),
    ],
    "format": [("xml", (406, "not_acceptable"))],
}  # fmt: skip
CASES = [(name, text, wanted) for name, cases in WRONG.items() for text, wanted in cases]


@pytest.mark.parametrize(
    ("name", "text", "wanted"), CASES, ids=[f"{name}={text!a}" for name, text, _ in CASES]
)
def test_a_wrong_value_is_refused(market: Market, name: str, text: str, wanted: tuple[int, str]):
    assert problem(ask(market, **{name: text})) == wanted


@pytest.mark.parametrize("name", [*WRONG, "last"])
def test_an_empty_value_is_refused(market: Market, name: str):
    assert problem(ask(market, **{name: ""})) == (400, "empty_parameter")


@pytest.mark.parametrize("name", [*WRONG, "last"])
def test_a_parameter_given_twice_is_refused(market: Market, name: str):
    value = {**MINUTES, "format": "json"}.get(name, "1")
    twice: dict[str, Any] = {name: [value, value]}
    assert problem(ask(market, **twice)) == (400, "repeated_parameter")


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("strat", "start"), ("interval", ...), ("resolutoin", "resolution"), ("asof", "as_of"), ("Limit", "limit"), ("adjustments", "adjustment")],
)  # fmt: skip
def test_an_unknown_parameter_is_refused_with_the_nearest_name(market: Market, wrong: str, nearest: Any):
    response = ask(market, **{wrong: "1"})
    assert problem(response) == (400, "unknown_parameter")
    assert wrong in answer(response)["message"]
    if nearest is not ...:
        assert f"did you mean {nearest}?" in answer(response)["message"]


@pytest.mark.parametrize(
    "path", [TICKS, f"{TREE}/equities/{EQUITY}/quotes", f"{TREE}/futures/{FUTURE}/open-interest"]
)
def test_a_parameter_of_another_dataset_is_refused(market: Market, path: str):
    query = {"start": MINUTES["start"], "end": MINUTES["end"]}
    assert problem(ask(market, path, query, adjustment="raw")) == (400, "unknown_parameter")


def test_without_start_and_last_is_400(market: Market):
    response = ask(market, start=...)
    assert problem(response) == (400, "missing_parameter")
    assert "last" in answer(response)["message"]


RANGES = [
    *(
        ("1s", 24, "24 h"),
        ("7s", 168, "7 d"),
        ("45s", 720, "30 d"),
        ("1m", 720, "30 d"),
        ("3m", 720, "30 d"),
        ("5m", 2_160, "90 d"),
    ),
    *(("10m", 2_160, "90 d"), ("11m", 4_320, "180 d"), ("30m", 4_320, "180 d"), ("1h", 8_760, "365 d")),
    *(
        ("31m", 8_760, "365 d"),
        ("23h", 8_760, "365 d"),
        ("1d", 87_672, "3,653 d"),
        ("3d", 876_000, "36,500 d"),
    ),
    *(("1w", 876_000, "36,500 d"), ("12M", 876_000, "36,500 d")),
]


@pytest.mark.parametrize(("resolution", "hours", "told"), RANGES, ids=[one[0] for one in RANGES])
def test_a_range_over_the_maximum_is_refused_with_the_maximum(
    market: Market, resolution: str, hours: int, told: str
):
    longest = timestamp(EQUITY_HOUR - hours * HOUR_NS)
    query = {"end": timestamp(EQUITY_HOUR), "resolution": resolution}
    assert get(market, OHLCV, query, start=longest)["resolution"] == resolution
    response = ask(market, OHLCV, query, start=timestamp(EQUITY_HOUR - hours * HOUR_NS - 1))
    assert problem(response) == (400, "range_too_large")
    assert told in answer(response)["message"]


@pytest.mark.parametrize("path", [TICKS, f"{TREE}/equities/{EQUITY}/quotes", f"{TREE}/options/{CALL}/quotes"])
def test_ticks_come_from_one_hour(market: Market, path: str):
    hour = {"start": timestamp(EQUITY_HOUR), "end": timestamp(EQUITY_HOUR + HOUR_NS)}
    assert ask(market, path, hour).status_code == 200
    response = ask(market, path, hour, end=timestamp(EQUITY_HOUR + HOUR_NS + 1))
    assert problem(response) == (400, "range_too_large")
    assert "1 h" in answer(response)["message"]
