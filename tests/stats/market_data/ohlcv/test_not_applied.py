"""What each kind of corporate action does to prices, and what an answer says of those that do nothing."""

from typing import Any

import orjson
import pyarrow as pa
import pytest

from store.datasets import CORPORATE_ACTIONS
from store.instruments import Instrument
from store.protocol import Fill, Window
from tests.api_client import answer, problem
from tests.stats.market_data.builders import SPLIT, Market, ingest, midnight_ns
from trades.services import fill_store
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PATH = f"/api/v1/market-data/equities/{SPLIT}/ohlcv"
EX_DATE = "2024-12-26"
USD = {"amount": 20.0, "currency": "USD"}


@pytest.fixture
def traded(empty_market: Market) -> Market:
    """A close of 100 before the ex-date, and one of 80 on it."""
    times = [midnight_ns("2024-12-24") + 15 * 3_600 * 10**9, midnight_ns(EX_DATE) + 15 * 3_600 * 10**9]
    rows = [
        {"time_ns": at, "price": price, "volume": 1.0} for at, price in zip(times, (100.0, 80.0), strict=True)
    ]
    empty_market.add("trades", SPLIT, rows)
    market_store().set_instrument(Instrument(SPLIT, exchange="XNYS", currency="USD"))
    return empty_market


def act(market: Market, kind: str, values: dict[str, Any] | None = None, date: str = EX_DATE) -> None:
    ingest(
        market.api,
        "corporate_actions",
        SPLIT,
        [{"time_ns": midnight_ns(date), "kind": kind, **(values or {})}],
    )


def page(market: Market, adjustment: str = "all", **query: str) -> dict[str, Any]:
    wanted = {"start": "2024-12-23", "end": "2024-12-28", "adjustment": adjustment, **query}
    found: dict[str, Any] = answer(market.api.get(PATH, wanted))
    return found


def named(kind: str, reason: str, date: str = EX_DATE) -> dict[str, str]:
    return {"timestamp": f"{date}T00:00:00Z", "kind": kind, "reason": reason}


def test_a_distribution_without_currency_that_is_sent_again_with_one_counts_once(traded: Market):
    for values in ({"amount": 20.0}, USD):
        act(traded, "dividend", values)
    assert [bar["close"] for bar in page(traded)["bars"]] == [80, 80]
    act(traded, "dividend", {"amount": 10.0})
    assert page(traded)["bars"][0]["close"] == 70


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        ("merger", {"ratio": 0.25, **USD}, "changes_no_price"),
        ("merger", {}, "changes_no_price"),
        ("rename", {}, "changes_no_price"),
        ("dividend", {"amount": 20.0, "currency": "EUR"}, "other_currency"),
        ("special_dividend", {"amount": 100.0}, "not_below_close"),
    ],
)
def test_an_action_that_adjusts_nothing_is_named(
    traded: Market, kind: str, values: dict[str, Any], reason: str
):
    act(traded, kind, values)
    found = page(traded)
    assert [bar["close"] for bar in found["bars"]] == [100, 80]
    assert found["not_applied"] == [named(kind, reason)]
    assert "not_applied" not in page(traded, "raw")


def test_a_dividend_without_a_close_before_it_is_named(empty_market: Market):
    empty_market.add("trades", SPLIT, [{"time_ns": midnight_ns("2024-12-27"), "price": 100.0, "volume": 1.0}])
    act(empty_market, "dividend", USD)
    found = page(empty_market)
    assert (found["bars"][0]["close"], found["not_applied"]) == (100, [named("dividend", "no_close")])


def test_only_actions_after_the_pages_start_are_named(traded: Market):
    act(traded, "rename", date="2024-12-24")
    act(traded, "rename", date="2024-12-27")
    before, after = (
        named("rename", "changes_no_price", "2024-12-24"),
        named("rename", "changes_no_price", "2024-12-27"),
    )
    assert page(traded)["not_applied"] == page(traded, limit="1")["not_applied"] == [before, after]
    assert page(traded, start="2024-12-25")["not_applied"] == [after]
    second = page(traded, limit="1", cursor=page(traded, limit="1")["next_cursor"])
    assert second["not_applied"] == [after]
    assert "not_applied" not in page(traded, start="2024-12-27")


def test_with_several_symbols_each_is_named(traded: Market):
    act(traded, "rename")
    query = {"symbols": SPLIT, "start": "2024-12-23", "end": "2024-12-28", "adjustment": "all"}
    found = answer(traded.api.get("/api/v1/market-data/equities/ohlcv", query))
    assert found["not_applied"] == [{"symbol": SPLIT, **named("rename", "changes_no_price")}]


def test_a_share_without_stored_actions_is_said_to_be_unadjusted(traded: Market):
    nothing = [{"reason": "no actions stored"}]
    assert page(traded, "split")["unadjusted"] == page(traded, "all")["unadjusted"] == nothing
    assert "unadjusted" not in page(traded, "raw")
    query = {"symbols": SPLIT, "start": "2024-12-23", "end": "2024-12-28", "adjustment": "split"}
    found = answer(traded.api.get("/api/v1/market-data/equities/ohlcv", query))
    assert found["unadjusted"] == [{"symbol": SPLIT, **nothing[0]}]
    act(traded, "rename")
    assert "unadjusted" not in page(traded, "split")


def test_a_source_that_knows_of_no_action_has_said_so(traded: Market):
    window = Window(midnight_ns("2024-12-01"), midnight_ns("2025-01-01"))
    none = pa.RecordBatch.from_pylist([], schema=CORPORATE_ACTIONS.schema)
    fill_store(
        dataset=CORPORATE_ACTIONS,
        symbol=SPLIT,
        rows=none,
        fill=Fill(window, "venue"),
        caller="tests",
        request_key="1",
    )
    assert "unadjusted" not in page(traded, "split")


def test_another_class_has_no_actions_to_store(traded: Market):
    market_store().set_instrument(Instrument(SPLIT, instrument_class="crypto"))
    path = PATH.replace("/equities/", "/crypto/")
    found = answer(traded.api.get(path, {"start": "2024-12-23", "end": "2024-12-28", "adjustment": "split"}))
    assert "unadjusted" not in found


@pytest.mark.parametrize("ratio", [1e-300, 1e-7, 2e6])
def test_an_absurd_split_is_refused(traded: Market, ratio: float):
    split = {"timestamp": EX_DATE, "symbol": SPLIT, "kind": "split", "ratio": ratio}
    body = orjson.dumps({"corporate_actions": [split]})
    refused = traded.api.ingest(body, path="/api/v1/corporate-actions/ingest")
    assert problem(refused) == (422, "validation_failed")
    (error,) = answer(refused)["errors"]
    assert (error["path"], error["code"]) == ("corporate_actions[0]", "out_of_range")
