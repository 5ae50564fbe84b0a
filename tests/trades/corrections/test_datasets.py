"""Corrections and cancels of stored bars, corporate actions and the other datasets whose rows have ids."""

import time
from typing import Any

import orjson
import pytest

from store.datasets import CORRECTED, TRADES
from store.declarations import Dataset
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem, trade
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.correction_batch import sample_corrections

OTHERS = pytest.mark.parametrize(
    "dataset", [each for each in CORRECTED if each is not TRADES], ids=lambda dataset: dataset.name
)
BAR = {"timestamp": "2026-11-25T18:00:00Z", "symbol": "RUN1", "resolution": "1h", "open": 1, "high": 2,
       "low": 1, "close": 2, "volume": 5}  # fmt: skip
SPLIT = {"timestamp": "2024-12-20", "symbol": "SPL2", "kind": "split", "ratio": 5}
DIVIDEND = {"timestamp": "2024-12-20", "symbol": "SPL2", "kind": "dividend", "amount": 1, "currency": "USD"}


def url(dataset: Dataset | str, end: str) -> str:
    name = dataset if isinstance(dataset, str) else dataset.name
    return f"/api/v1/{name.replace('_', '-')}/{end}"


def ingest(api: Api, dataset: str, *rows: Any) -> Any:
    response = api.ingest(orjson.dumps({dataset: rows}), path=url(dataset, "ingest"))
    assert response.status_code == 200, response.content
    return answer(response)


def correct(api: Api, dataset: str, symbol: str, *corrections: Any) -> Any:
    return api.correct(*corrections, symbol=symbol, path=url(dataset, "corrections"))


def read(api: Api, symbol: str, dataset: str, **query: Any) -> list[dict[str, Any]]:
    dates = {"start": "2026-11-25", "end": "2026-11-26"} if symbol == "RUN1" else {"start": "2024-12-01"}
    response = api.get(f"/api/v1/market-data/equities/{symbol}/{dataset}", dates | query)
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)[
        "bars" if dataset == "ohlcv" else dataset.replace("-", "_")
    ]
    return found


@OTHERS
def test_the_example_cancels_the_sample(api, dataset: Dataset):
    rows = SAMPLE_ROWS[dataset.name]
    ingest(api, dataset.name, *rows)
    response = api.call("POST", url(dataset, "corrections"), orjson.dumps(sample_corrections(dataset)))
    assert answer(response) == {
        "symbol": rows[0]["symbol"], "received": 1, "stored": 1, "duplicates": 0, "duplicate_rows": [], "commit": 2,
    }  # fmt: skip
    assert response["X-Commit"].startswith(f"{dataset.name}=2-")
    assert ingest(api, dataset.name, rows[0])["duplicates"] == 1


def test_a_bar_is_corrected_in_its_own_resolution_and_as_of_shows_what_it_was(api):
    ingest(api, "bars", BAR, BAR | {"resolution": "1m", "close": 1.5})
    before = format_timestamp(time.time_ns())
    change = {"action": "correct", "timestamp": BAR["timestamp"], "resolution": "1h"}
    correct(
        api, "bars", "RUN1", change | {"new_high": 3, "new_close": 3, "new_volume": 9, "new_trade_count": 4}
    )
    assert read(api, "RUN1", "stored-bars", resolution="1h") == [
        {"timestamp": BAR["timestamp"], "resolution": "1h", "open": 1.0, "high": 3.0, "low": 1.0, "close": 3.0,
         "volume": 9, "vwap": None, "trade_count": 4}
    ]  # fmt: skip
    assert [row["close"] for row in read(api, "RUN1", "stored-bars", resolution="1m")] == [1.5]
    assert [row["close"] for row in read(api, "RUN1", "stored-bars", resolution="1h", as_of=before)] == [2.0]
    (bar,) = read(api, "RUN1", "ohlcv", resolution="1h")
    assert (bar["high"], bar["close"], bar["volume"]) == (3.0, 3.0, 9)
    (bar,) = read(api, "RUN1", "ohlcv", resolution="1h", as_of=before)
    assert (bar["high"], bar["close"], bar["volume"]) == (2.0, 2.0, 5)


def test_a_feed_that_sends_the_open_candle_again_replaces_it(api):
    grown = BAR | {"high": 3, "close": 3, "volume": 9}
    following = BAR | {"timestamp": "2026-11-25T19:00:00Z"}
    ingest(api, "bars", BAR)
    before = format_timestamp(time.time_ns())
    body, path = orjson.dumps({"bars": [grown, following]}), "/api/v1/bars/ingest"
    response = api.ingest(body, path=path)
    assert problem(response) == (422, "row_conflict")
    assert "on_conflict=replace" in answer(response)["message"]
    assert answer(api.ingest(body, path=path, query="on_conflict=replace")) == {
        "symbol": "RUN1", "received": 2, "stored": 1, "duplicates": 0, "duplicate_rows": [], "commit": 2,
        "replaced": 1,
    }  # fmt: skip
    assert [bar["close"] for bar in read(api, "RUN1", "ohlcv", resolution="1h")] == [3.0, 2.0]
    assert [bar["close"] for bar in read(api, "RUN1", "ohlcv", resolution="1h", as_of=before)] == [2.0]
    again = answer(api.ingest(body, path=path, query="on_conflict=replace"))
    assert (again["stored"], again["duplicates"], again["replaced"]) == (0, 2, 0)


def test_as_many_rows_may_replace_others_as_a_batch_has_corrections(api):
    rows = [
        f"2026-11-25T{hour:02}:{minute:02}:{second:02}Z,1,1,1,1,5"
        for hour in range(3)
        for minute in range(60)
        for second in range(60)
    ]
    head = "timestamp,open,high,low,close,volume"
    path, query = "/api/v1/bars/ingest", "symbol=RUN1&resolution=1s&on_conflict=replace"
    sent = [
        api.ingest("\n".join([head, *rows[:count]]).encode(), path=path, query=query, content_type="text/csv")
        for count in (10_001, 10_000)
    ]
    assert problem(sent[0]) == (422, "too_many_rows")
    assert answer(sent[1])["stored"] == 10_000


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/v1/bars/ingest", "on_conflict=replace&dedupe=none", "conflicting_parameters"),
        ("/api/v1/bars/ingest", "on_conflict=overwrite", "invalid_parameter"),
        ("/api/v1/trades/ingest", "on_conflict=replace", "unknown_parameter"),
        ("/api/v1/universe-changes/ingest", "on_conflict=replace", "unknown_parameter"),
    ],
)
def test_what_cannot_replace_rows_is_refused(api, path, query, code):
    assert problem(api.ingest(b"{}", path=path, query=query)) == (400, code)


def test_a_correction_may_not_break_a_rule_of_its_dataset(api):
    ingest(api, "bars", BAR)
    change = {"action": "correct", "timestamp": BAR["timestamp"], "resolution": "1h", "new_close": 2.5}
    response = correct(api, "bars", "RUN1", change)
    assert problem(response) == (422, "inconsistent_bar")
    assert [error["path"] for error in answer(response)["errors"]] == ["corrections[0]"]
    assert correct(api, "bars", "RUN1", change | {"new_high": 2.5}).status_code == 200
    ingest(api, "corporate_actions", DIVIDEND)
    change = {"action": "correct", "timestamp": DIVIDEND["timestamp"], "kind": "dividend", "new_ratio": 2}
    assert problem(correct(api, "corporate_actions", "SPL2", change)) == (422, "inconsistent_action")


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"resolution": ...}, "corrections[0].resolution", "required"),
        ({"resolution": "7"}, "corrections[0].resolution", "invalid_choice"),
        ({"new_close": ...}, "corrections[0]", "new_value_required"),
        ({"new_close": 0}, "corrections[0].new_close", "nonpositive_price"),
        ({"new_resolution": "1m"}, "corrections[0].new_resolution", "unknown_field"),
        ({"price": 2}, "corrections[0].price", "unknown_field"),
        ({"timestamp": "2026-11-25T19:00:00Z"}, "corrections[0].timestamp", "correction_target_not_found"),
    ],
    ids=str,
)
def test_what_is_no_correction_of_a_bar_is_named(api, changes, path, code):
    ingest(api, "bars", BAR)
    given = {"action": "correct", "timestamp": BAR["timestamp"], "resolution": "1h", "new_close": 1} | changes
    response = correct(api, "bars", "RUN1", {name: each for name, each in given.items() if each is not ...})
    assert response.status_code == 422
    (error,) = answer(response)["errors"]
    assert (error["path"], error["code"]) == (path, code)


def test_a_split_is_read_corrected_and_cancelled_and_adjusted_bars_follow(api):
    for at, price in (("2024-12-18T20:00:00Z", 250), ("2024-12-20T20:00:00Z", 50)):
        api.ingest(trade(symbol="SPL2", timestamp=at, price=price))
    ingest(api, "corporate_actions", SPLIT)

    def closes() -> list[float]:
        bars = read(api, "SPL2", "ohlcv", resolution="1d", adjustment="split")
        return [bar["close"] for bar in bars]

    assert closes() == [50.0, 50.0]
    assert read(api, "SPL2", "corporate-actions") == [
        {"timestamp": "2024-12-20T00:00:00Z", "kind": "split", "ratio": 5.0, "amount": None, "currency": None,
         "action_id": None}
    ]  # fmt: skip
    named = {"timestamp": SPLIT["timestamp"], "kind": "split"}
    assert (
        correct(api, "corporate_actions", "SPL2", {"action": "correct", **named, "new_ratio": 2}).status_code
        == 200
    )
    assert closes() == [125.0, 50.0]
    assert correct(api, "corporate_actions", "SPL2", {"action": "cancel", **named}).status_code == 200
    assert closes() == [250.0, 50.0]
    assert read(api, "SPL2", "corporate-actions") == []


def test_of_two_dividends_of_one_date_the_amount_tells_which_is_corrected(api):
    ingest(api, "corporate_actions", DIVIDEND, DIVIDEND | {"amount": 2, "action_id": "second"})
    change = {"action": "correct", "timestamp": DIVIDEND["timestamp"], "kind": "dividend", "new_amount": 3}
    assert problem(correct(api, "corporate_actions", "SPL2", change)) == (422, "correction_ambiguous")
    assert correct(api, "corporate_actions", "SPL2", change | {"amount": 2}).status_code == 200
    assert [row["amount"] for row in read(api, "SPL2", "corporate-actions")] == [1.0, 3.0]


@pytest.mark.parametrize("first", [None, "second"])
def test_of_two_equal_dividends_a_null_names_the_one_without_an_id(api, first: str | None):
    ingest(api, "corporate_actions", DIVIDEND, DIVIDEND | {"action_id": "second"})
    named = {"timestamp": DIVIDEND["timestamp"], "kind": "dividend"}
    change = {"action": "correct", **named, "new_amount": 3}
    assert problem(correct(api, "corporate_actions", "SPL2", change)) == (422, "correction_ambiguous")
    response = correct(api, "corporate_actions", "SPL2", change | {"action_id": first})
    assert answer(response)["stored"] == 1
    amounts = {row["action_id"]: row["amount"] for row in read(api, "SPL2", "corporate-actions")}
    assert amounts == {None: 1.0, "second": 1.0} | {first: 3.0}
    cancel = {"action": "cancel", **named, "action_id": first}
    assert answer(correct(api, "corporate_actions", "SPL2", cancel))["stored"] == 1
    (left,) = read(api, "SPL2", "corporate-actions")
    assert left["action_id"] == ("second" if first is None else None)


def test_a_null_names_no_action_with_an_id(api):
    ingest(api, "corporate_actions", DIVIDEND | {"action_id": "only"})
    cancel = {"action": "cancel", "timestamp": DIVIDEND["timestamp"], "kind": "dividend"}
    response = correct(api, "corporate_actions", "SPL2", cancel | {"action_id": None})
    assert problem(response) == (422, "correction_target_not_found")
    assert [error["path"] for error in answer(response)["errors"]] == ["corrections[0].timestamp"]
    nulls = {"ratio": None, "amount": None, "currency": None}
    assert answer(correct(api, "corporate_actions", "SPL2", cancel | nulls))["stored"] == 1


def test_a_null_makes_another_request_of_one_idempotency_key(api):
    ingest(api, "corporate_actions", DIVIDEND, SPLIT)
    cancel = {"action": "cancel", "timestamp": DIVIDEND["timestamp"], "kind": "dividend"}
    path = url("corporate_actions", "corrections")
    responses = [
        api.correct(each, symbol="SPL2", path=path, Idempotency_Key="one")
        for each in (cancel, cancel | {"action_id": None}, cancel)
    ]
    assert [each.status_code for each in responses] == [200, 422, 200]
    assert problem(responses[1]) == (422, "idempotency_key_reused")


def test_an_action_of_a_future_date_is_read_and_a_range_leaves_it_out(api):
    ingest(api, "corporate_actions", SPLIT, SPLIT | {"timestamp": "2099-01-04", "ratio": 3})
    assert [row["ratio"] for row in read(api, "SPL2", "corporate-actions")] == [5.0, 3.0]
    assert [row["ratio"] for row in read(api, "SPL2", "corporate-actions", end="2025-01-01")] == [5.0]
    page = answer(
        api.get("/api/v1/market-data/equities/SPL2/corporate-actions", {"start": "2024-12-01", "limit": 1})
    )
    assert [row["ratio"] for row in page["corporate_actions"]] == [5.0]
    (last,) = read(api, "SPL2", "corporate-actions", cursor=page["next_cursor"], limit=1)
    assert last["ratio"] == 3.0


def test_a_day_and_an_action_are_replaced_by_any_instant_of_their_date(api):
    day = BAR | {"resolution": "1d", "timestamp": "2026-11-25"}
    ingest(api, "bars", day)
    ingest(api, "corporate_actions", SPLIT)
    sent = {
        "bars": day | {"timestamp": "2026-11-25T05:00:00Z", "close": 1.5},
        "corporate_actions": SPLIT | {"timestamp": "2024-12-20T05:00:00Z", "ratio": 4},
    }
    for name, row in sent.items():
        response = api.ingest(
            orjson.dumps({name: [row]}), path=url(name, "ingest"), query="on_conflict=replace"
        )
        assert (answer(response)["stored"], answer(response)["replaced"]) == (0, 1)
    assert [bar["close"] for bar in read(api, "RUN1", "stored-bars")] == [1.5]
    assert [action["ratio"] for action in read(api, "SPL2", "corporate-actions")] == [4.0]
    change = {"action": "cancel", "timestamp": "2024-12-20T05:00:00Z", "kind": "split"}
    assert answer(correct(api, "corporate_actions", "SPL2", change))["stored"] == 1
    assert read(api, "SPL2", "corporate-actions") == []
