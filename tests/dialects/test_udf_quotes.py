"""`/udf/quotes`: the newest price, and the change of the regular session, adjusted for splits."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test import Client

from ratelimit.keys.api_keys import prefix_of
from tests.api_client import Api, make_key, trade, usual_key

pytestmark = pytest.mark.usefixtures("db", "project_redis", "default_store")
# A print: its time in UTC, and its price.
Print = tuple[str, float]


@pytest.fixture
def api(settings: Any, default_store: Path) -> Api:
    settings.UDF_KEY = prefix_of(make_key())
    return Api(usual_key())


def declare(api: Api, **terms: Any) -> None:
    terms = {"class": "equity", "exchange": "XNAS", "currency": "USD", **terms}
    answer = api.call("PUT", "/api/v1/instruments/ONE", orjson.dumps(terms))
    assert answer.status_code == 200, answer.content


def store(api: Api, *prints: Print) -> None:
    rows = [trade(symbol="ONE", timestamp=f"{time}:10Z", price=price, volume=10) for time, price in prints]
    assert api.ingest(*rows).status_code == 200


def act(api: Api, **action: Any) -> None:
    body = orjson.dumps({"corporate_actions": [{"symbol": "ONE", **action}]})
    assert api.call("POST", "/api/v1/corporate-actions/ingest", body).status_code == 200


def quoted() -> dict[str, float]:
    """Return the quote of ONE, but for its names."""
    (found,) = Client().get("/udf/quotes", {"symbols": "ONE"}).json()["d"]
    return {name: value for name, value in found["v"].items() if not isinstance(value, str)}


def changes() -> tuple[float | None, ...]:
    quote = quoted()
    return tuple(quote.get(name) for name in ("lp", "ch", "chp", "prev_close_price"))


@pytest.mark.parametrize(
    ("ratio", "prints", "expected"),
    [
        (4, [("2026-11-25T15:00", 100), ("2026-11-27T15:00", 25.5)], (25.5, 0.5, 2.0, 25)),
        (0.05, [("2026-11-25T15:00", 1.5), ("2026-11-27T15:00", 20.7)], (20.7, -9.3, -31.0, 30)),
        # Before the open the change is the one of the session before.
        (4, [("2026-11-24T15:00", 80), ("2026-11-25T15:00", 100), ("2026-11-27T13:00", 25.5)], (25.5, 5, 25.0, 20)),
        # Nobody has traded since the split: the last price is of the shares of today, too.
        (4, [("2026-11-24T15:00", 80), ("2026-11-25T15:00", 100)], (25, 5, 25.0, 20)),
    ],
    ids=["split", "reverse split", "before the open", "no print since"],
)  # fmt: skip
def test_on_the_day_of_a_split_the_base_is_adjusted(
    api: Api, time_machine: Any, ratio: float, prints: list[Print], expected: tuple[float, ...]
):
    time_machine.move_to("2026-11-27T20:00:00Z", tick=False)
    declare(api)
    store(api, *prints)
    act(api, timestamp="2026-11-27", kind="split", ratio=ratio)
    act(api, timestamp="2026-11-27", kind="dividend", amount=1)
    assert changes() == expected


def test_a_split_of_tomorrow_adjusts_nothing(api: Api, time_machine: Any):
    time_machine.move_to("2026-11-25T20:00:00Z", tick=False)
    declare(api)
    store(api, ("2026-11-24T15:00", 80), ("2026-11-25T15:00", 100))
    act(api, timestamp="2026-11-27", kind="split", ratio=4)
    assert changes() == (100, 20, 25.0, 80)


@pytest.mark.parametrize(
    ("exchange", "prints", "expected"),
    [
        # 27 November 2026 closes at 18:00Z, 24 December 2025 at XLON at 12:30Z.
        ("XNAS", [("2026-11-25T20:59", 100), ("2026-11-27T17:59", 99), ("2026-11-27T18:30", 104)], (104, -1, -1.0, 100)),
        ("XLON", [("2025-12-23T16:29", 100), ("2025-12-24T12:29", 99), ("2025-12-24T12:45", 104)], (104, -1, -1.0, 100)),
        ("XTKS", [("2026-11-26T06:00", 100), ("2026-11-27T06:00", 103), ("2026-11-27T08:00", 90)], (90, 3, 3.0, 100)),
        ("XHKG", [("2026-11-26T07:59", 100), ("2026-11-27T07:59", 103), ("2026-11-27T23:30", 90)], (90, 3, 3.0, 100)),
        ("XNAS", [("2026-11-24T20:59", 100), ("2026-11-25T20:59", 102), ("2026-11-27T09:30", 90)], (90, 2, 2.0, 100)),
    ],
    ids=["early close", "early close in London", "after hours in Tokyo", "before the open in Hong Kong", "before the open"],
)  # fmt: skip
def test_the_change_is_of_the_regular_session(
    api: Api, exchange: str, prints: list[Print], expected: tuple[float, ...]
):
    declare(api, exchange=exchange)
    store(api, *prints)
    assert changes() == expected


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ((-20, -30), (-30, -10, -50.0, -20)),
        ((-20, 10), (10, 30, 150.0, -20)),
        ((5, 0), (0, -5, -100.0, 5)),
        # Nothing is a percentage of zero.
        ((0, 5), (5, 5, None, 0)),
        ((8e-9, 8.1e-9), (8.1e-9, 1e-10, 1.25, 8e-9)),
        ((0.1, 0.3), (0.3, 0.2, 200.0, 0.1)),
    ],
    ids=["below zero", "up from below zero", "to zero", "from zero", "tiny", "decimal"],
)
def test_a_price_of_any_sign_and_size_has_a_change(
    api: Api, prices: tuple[float, float], expected: tuple[float | None, ...]
):
    declare(api, **{"class": "future", "exchange": "XCME", "allow_nonpositive_price": True})
    store(api, *zip(("2026-11-24T15:00", "2026-11-25T15:00"), prices, strict=True))
    assert changes() == expected


def test_without_trades_the_last_price_is_of_the_newest_bar(api: Api):
    declare(api)
    bar = {"symbol": "ONE", "resolution": "1d", "open": 1, "high": 4, "low": 1, "volume": 7}
    bars = [
        {**bar, "timestamp": date, "close": close} for date, close in (("2026-11-24", 2), ("2026-11-25", 3))
    ]
    assert api.call("POST", "/api/v1/bars/ingest", orjson.dumps({"bars": bars})).status_code == 200
    assert changes() == (3, 1, 50.0, 2)


def test_bid_and_ask_are_of_the_newest_quote_with_both_sides(api: Api):
    declare(api)
    store(api, ("2026-11-25T15:00", 100))
    found = []
    for second, sides in enumerate([{"bid": 99, "ask": 101}, {"bid": 98}, {"bid": 103, "ask": 102}]):
        quote = {"timestamp": f"2026-11-25T15:00:0{second}Z", "symbol": "ONE", **sides}
        assert api.call("POST", "/api/v1/quotes/ingest", orjson.dumps({"quotes": [quote]})).status_code == 200
        found.append(tuple(quoted().get(name) for name in ("bid", "ask", "crossed")))
    assert found == [(99, 101, None), (99, 101, None), (103, 102, True)]
