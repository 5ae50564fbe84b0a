"""Alpaca's corporate actions, made of ours."""

from typing import Any

import orjson
import pytest
import time_machine

from tests.api_client import Api, answer, usual_key

pytestmark = pytest.mark.usefixtures("db", "project_redis")
PATH = "/api/v1/corporate-actions"


def row(symbol: str, day: str, kind: str, **terms: Any) -> dict[str, Any]:
    return {"symbol": symbol, "timestamp": f"{day}T14:30:00Z", "kind": kind, **terms}


@pytest.fixture
def api() -> Api:
    api = Api(usual_key())
    stored = {
        "AAA": [
            row("AAA", "2025-01-02", "dividend", amount=0.25, currency="USD"),
            row("AAA", "2025-02-03", "split", ratio=2),
            row("AAA", "2025-03-04", "rename"),
        ],
        "BBB": [
            row("BBB", "2025-01-03", "special_dividend", amount=3),
            row("BBB", "2025-02-03", "split", ratio=0.1),
        ],
    }
    for rows in stored.values():
        r = api.ingest(orjson.dumps({"corporate_actions": rows}), path=f"{PATH}/ingest")
        assert r.status_code == 200, r.content
    return api


def actions(api: Api, **params: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    token: dict[str, str] = {}
    while True:
        page = answer(api.get(PATH, {"symbols": "AAA,BBB", "start": "2025-01-01", **params, **token}))
        for name, each in page["corporate_actions"].items():
            found.setdefault(name, []).extend(each)
        if page["next_page_token"] is None:
            return found
        token = {"page_token": page["next_page_token"]}


def test_old_clients_call_another_path(api: Api):
    query = {"symbols": "AAA,BBB", "start": "2025-01-01"}
    old = answer(api.get("/api/v1beta1/corporate-actions", query))
    assert old == answer(api.get(PATH, query))


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_actions_stand_under_their_type(api: Api, limit: int):
    found = actions(api, limit=limit)
    assert [*found] == ["cash_dividends", "forward_splits", "reverse_splits"]
    usual, special = found["cash_dividends"]
    assert {name: usual[name] for name in ("symbol", "rate", "special", "ex_date", "process_date", "cusip")} == {
        "symbol": "AAA", "rate": 0.25, "special": False, "ex_date": "2025-01-02", "process_date": "2025-01-02",
        "cusip": "",
    }  # fmt: skip
    assert (special["symbol"], special["special"]) == ("BBB", True)
    (forward,), (reverse,) = found["forward_splits"], found["reverse_splits"]
    assert (forward["new_rate"], forward["old_rate"]) == (2, 1)
    assert (reverse["symbol"], reverse["new_rate"], reverse["old_cusip"]) == ("BBB", 0.1, "")
    assert len({each["id"] for kind in found.values() for each in kind}) == 4
    assert actions(api) == found


@pytest.mark.parametrize(
    ("params", "chosen"),
    [
        ({"end": "2025-01-02"}, ["AAA 2025-01-02"]), ({"start": "2025-01-03", "end": "2025-01-03"}, ["BBB 2025-01-03"]),
        ({"types": "cash_dividend", "sort": "desc"}, ["AAA 2025-01-02", "BBB 2025-01-03"]),
        ({"types": "cash_dividend", "symbols": "AAA"}, ["AAA 2025-01-02"]), ({"symbols": "NOPE"}, []),
        ({"types": "reverse_split"}, ["BBB 2025-02-03"]),
    ],
)  # fmt: skip
def test_a_query_chooses_dates_symbols_and_types(api: Api, params: dict[str, str], chosen: list[str]):
    found = actions(api, **params).values()
    assert [f"{each['symbol']} {each['ex_date']}" for kind in found for each in kind] == chosen


def test_without_a_range_the_answer_is_of_today(api: Api):
    for day, count in (("2025-01-01", 0), ("2025-01-02", 1), ("2025-01-03", 0)):
        with time_machine.travel(f"{day}T23:59:00Z"):
            found = answer(api.get(PATH, {"symbols": "AAA"}))
        assert len(found["corporate_actions"].get("cash_dividends", [])) == count


@pytest.mark.parametrize(
    "params",
    [
        {"types": "stock_merger"},
        {"types": "X"},
        {"cusips": "037833100"},
        {"start": "2025-02-01", "end": "2025-01-01"},
        {"start": "2999-01-01"},
    ],
)
def test_what_cannot_be_done_is_refused_with_an_alpaca_error(api: Api, params: dict[str, str]):
    response = api.get(PATH, {"symbols": "AAA", **params})
    assert (response.status_code, response.json()["code"]) == (400, 40_000_000), response.content


def test_ingest_below_it_keeps_its_errors(api: Api):
    response = api.ingest(b"{", path=f"{PATH}/ingest")
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
