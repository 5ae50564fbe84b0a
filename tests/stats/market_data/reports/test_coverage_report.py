"""`/coverage`: what is stored of a symbol, by dataset."""

from typing import Any

import orjson
import pytest

from store.datasets import DATASETS
from store.instruments import FUTURE, Instrument
from tests.api_client import OF_SCHEMA, Api, answer, problem, trade
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.stores import market_store

PATH = "/api/v1/market-data/equities/AAPL/coverage"
TREE = "/api/v1/market-data"


def datasets(api: Api, path: str = PATH, **params: Any) -> list[dict[str, Any]]:
    response = api.get(path, params)
    assert response.status_code == 200, response.content
    document = answer(response)
    assert document["symbol"] == path.split("/")[-2]
    found: list[dict[str, Any]] = document["datasets"]
    return found


def brief(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in ("dataset", "first", "last", "rows", "commits")) for row in rows]


def test_it_tells_of_each_dataset_that_has_something(api: Api):
    for name, dataset in DATASETS.items():
        rows = [{**row, "symbol": "AAPL"} for row in SAMPLE_ROWS[name]]
        market_store().set_instrument(
            Instrument("AAPL", instrument_class=dataset.instrument_class or "equity")
        )
        path = f"/api/v1/{name.replace('_', '-')}/ingest"
        response = api.call("POST", path, orjson.dumps({name: rows}))
        assert response.status_code == 200, (dataset.name, response.content)
    assert brief(datasets(api)) == [
        ("trades", "2025-01-02T14:30:00Z", "2025-01-02T14:31:05.25Z", 3, 1),
        ("quotes", "2025-01-02T14:30:00Z", "2025-01-02T14:30:00.25Z", 2, 1),
        ("bars", "2025-01-02T14:30:00Z", "2025-01-02T14:30:00Z", 1, 1),
        ("open_interest", "2025-01-03T11:00:00Z", "2025-01-03T11:00:00Z", 1, 1),
        ("option_quotes", "2025-01-02T14:30:00Z", "2025-01-02T14:30:00Z", 1, 1),
        ("corporate_actions", "2020-08-31T00:00:00Z", "2024-11-08T00:00:00Z", 2, 1),
        ("universe_changes", "2024-12-23T00:00:00Z", "2024-12-23T00:00:00Z", 2, 1),
        ("trading_status", "2025-01-02T15:02:11Z", "2025-01-02T15:07:11Z", 2, 1),
    ]


def test_head_is_the_commit_that_the_header_names(api: Api):
    api.ingest(trade())
    response = api.get(PATH)
    (row,) = answer(response)["datasets"]
    assert response["X-Commit"] == f"trades={row['head']}"


def test_rows_that_came_late_and_commits_are_counted(api: Api):
    for minute in (30, 10, 50):
        api.ingest(trade(timestamp=f"2025-01-02T14:{minute}:00Z"))
    assert brief(datasets(api)) == [("trades", "2025-01-02T14:10:00Z", "2025-01-02T14:50:00Z", 3, 3)]


def test_a_cancelled_row_is_none_of_them(api: Api):
    api.ingest(trade(), trade(timestamp="2025-01-02T14:31:00Z"))
    cancel = {"action": "cancel", "timestamp": "2025-01-02T14:31:00Z", "price": 189.98, "volume": 100}
    api.correct(cancel)
    assert brief(datasets(api)) == [("trades", "2025-01-02T14:30:00Z", "2025-01-02T14:30:00Z", 1, 2)]
    api.correct({**cancel, "timestamp": "2025-01-02T14:30:00Z"})
    assert brief(datasets(api)) == [("trades", None, None, 0, 3)]


def test_as_of_an_instant_it_is_what_was_stored_then(api: Api, time_machine):
    for hour in (10, 12):
        time_machine.move_to(f"2025-01-08T{hour}:00:00Z", tick=False)
        api.ingest(trade(timestamp=f"2025-01-02T{hour}:00:00Z"))
    time_machine.move_to("2025-01-08T14:00:00Z", tick=False)
    assert brief(datasets(api, as_of="2025-01-08T11:00:00Z")) == [
        ("trades", "2025-01-02T10:00:00Z", "2025-01-02T10:00:00Z", 1, 1)
    ]
    assert datasets(api, as_of="2025-01-08T09:00:00Z") == []
    assert len(datasets(api)) == 1
    response = api.get(PATH, {"as_of": "2025-01-08T11:00:00Z"})
    assert response["X-As-Of"] == "2025-01-08T11:00:00Z"
    assert "immutable" in response["Cache-Control"]


def test_it_is_kept_until_something_is_written(api: Api):
    api.ingest(trade())
    first, second = api.get(PATH), api.get(PATH)
    assert [first["X-Cache"], second["X-Cache"]] == ["miss", "hit"]
    assert api.get(PATH, If_None_Match=first["ETag"]).status_code == 304
    api.ingest(trade(price=190))
    third = api.get(PATH)
    assert (third["X-Cache"], answer(third)["datasets"][0]["rows"]) == ("miss", 2)


def test_an_alias_is_its_symbol(api: Api):
    api.ingest(trade())
    market_store().set_instrument(Instrument("AAPL", aliases=("APPLE",)))
    assert answer(api.get(f"{TREE}/equities/APPLE/coverage")) == answer(api.get(PATH))


def test_a_symbol_that_was_only_told_of_has_nothing(api: Api):
    market_store().set_instrument(Instrument("AAPL"))
    assert datasets(api) == []


@pytest.mark.parametrize(
    ("path", "params", "refusal"),
    [
        ("equities/NOPE/coverage", {}, (404, "unknown_symbol")),
        ("equities/ESZ5/coverage", {}, (404, "wrong_class")),
        ("equities/A!/coverage", {}, (422, "invalid_symbol")),
        ("equities/ESZ5/coverage", {"start": "2025-01-01"}, (400, "unknown_parameter")),
        ("equities/coverage", {"symbols": "AAPL"}, (404, "not_found")),
    ],
    ids=lambda one: None if isinstance(one, dict) else str(one),
)
def test_what_cannot_be_answered_is_refused(api: Api, path, params, refusal):
    market_store().set_instrument(Instrument("ESZ5", instrument_class=FUTURE))
    assert problem(api.get(f"{TREE}/{path}", params)) == refusal


@pytest.mark.parametrize("market_class", ["equities", "futures", "options", "crypto", "fx"])
@OF_SCHEMA
def test_each_class_has_it_and_its_example(api: Api, market_class):
    schema = answer(api.get("/api/v1/schema?format=json"))
    operation = schema["paths"][f"/api/v1/market-data/{market_class}/{{symbol}}/coverage"]["get"]
    assert {parameter["name"] for parameter in operation["parameters"]} == {"symbol", "as_of", "symbol_as_of"}
    (example,) = operation["responses"]["200"]["content"]["application/json"]["examples"].values()
    assert list(example["value"]["datasets"][0]) == ["dataset", "first", "last", "rows", "commits", "head"]
