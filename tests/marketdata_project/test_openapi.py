"""The schema is valid, complete, and what the service really answers."""

from functools import cache
from typing import Any

import orjson
import pytest
from django.test import Client
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api_client import trade
from trades.sample_rows import SEED_TRADES

METHODS = ("get", "post", "put", "patch", "delete")


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(Client().get("/api/v1/schema", {"format": "json"}).content)
    return found


@cache
def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": item[method]
        for path, item in schema()["paths"].items()
        for method in METHODS
        if method in item
    }


def examples_of(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: example for media in content.values() for name, example in media.get("examples", {}).items()
    }


def errors_against(name: str, value: Any) -> list[str]:
    document = {"$ref": f"#/components/schemas/{name}", "components": schema()["components"]}
    return [error.message for error in OAS31Validator(document).iter_errors(value)]


def errors_of_answer(operation: str, value: Any) -> list[str]:
    """What the declared schema of a 200 says against a value."""
    declared = operations()[operation]["responses"]["200"]["content"]["application/json"]["schema"]
    return [
        e.message
        for e in OAS31Validator({**declared, "components": schema()["components"]}).iter_errors(value)
    ]


def test_the_schema_is_valid_openapi_3_1():
    assert schema()["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(schema()).iter_errors()] == []


def test_it_has_each_endpoint_once_and_without_a_slash():
    assert {path for path in schema()["paths"] if not path.endswith("schema")} >= {
        "/api/v1/trades/ingest", "/api/v1/stats/ohlc", "/api/v1/cache/stats", "/api/v1/cache/invalidate",
    }  # fmt: skip
    assert [path for path in schema()["paths"] if path.endswith("/") or not path.startswith("/api/v1/")] == []


def test_names_of_operations_are_unique():
    names = [operation["operationId"] for operation in operations().values()]
    assert len(names) == len(set(names)) == len(operations())


def test_every_operation_has_an_example_of_its_answer_and_of_its_body():
    without = []
    for name, operation in operations().items():
        if not examples_of(operation["responses"]["200"].get("content", {})):
            without.append(f"{name} 200")
        if "requestBody" in operation and not examples_of(operation["requestBody"]["content"]):
            without.append(f"{name} body")
    assert without == []


def test_every_refusal_has_an_example_that_is_a_problem():
    refusals = 0
    for name, operation in operations().items():
        for status, response in operation["responses"].items():
            if status >= "400":
                examples = examples_of(response["content"])
                assert set(response["content"]) == {"application/problem+json"}, (name, status)
                assert examples, (name, status)
                for code, example in examples.items():
                    assert errors_against("Problem", example["value"]) == []
                    assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)
                refusals += 1
    assert refusals >= 20


def test_examples_of_answers_fit_their_schemas():
    for name, operation in operations().items():
        for example in examples_of(operation["responses"]["200"]["content"]).values():
            assert errors_of_answer(name, example["value"]) == []
    for example in examples_of(operations()["post /api/v1/trades/ingest"]["requestBody"]["content"]).values():
        assert errors_against("TradeBatch", example["value"]) == []


def test_the_example_of_a_batch_and_its_answer_are_what_happens(api):
    (body,) = examples_of(operations()["post /api/v1/trades/ingest"]["requestBody"]["content"]).values()
    (ingested,) = examples_of(
        operations()["post /api/v1/trades/ingest"]["responses"]["200"]["content"]
    ).values()
    (bars,) = examples_of(operations()["get /api/v1/stats/ohlc"]["responses"]["200"]["content"]).values()
    assert orjson.loads(api.ingest(orjson.dumps(body["value"])).content) == ingested["value"]
    assert orjson.loads(api.ohlc(symbol="AAPL").content) == bars["value"]


def test_real_answers_fit_the_schema(api):
    ingested = api.ingest(*SEED_TRADES)
    assert errors_of_answer("post /api/v1/trades/ingest", orjson.loads(ingested.content)) == []
    for params in ({}, {"limit": 1}, {"interval": "1d"}):
        bars = orjson.loads(api.ohlc(symbol="AAPL", **params).content)
        assert errors_of_answer("get /api/v1/stats/ohlc", bars) == []
    statistics = orjson.loads(api.get("/api/v1/cache/stats").content)
    assert errors_of_answer("get /api/v1/cache/stats", statistics) == []
    for refused in (api.ingest(trade(price=0)), api.ohlc(), api.get("/nope")):
        assert errors_against("Problem", orjson.loads(refused.content)) == []


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (trade(), True), (trade(trade_id=5), True), (trade(trade_id=None), True), (trade(price=0), False), (trade(volume=-1), False),
        (trade(price="1"), False), (trade(symbol=...), False), (trade(exchange="a b"), False), (trade(conditions=["a;b"]), False),
    ],
    ids=str,
)  # fmt: skip
def test_the_schema_of_a_row_takes_what_the_service_takes(api, row, fits):
    assert (errors_against("TradeBatch", {"trades": [row]}) == []) is fits
    assert (api.ingest(row).status_code == 200) is fits


@pytest.mark.parametrize(
    "path",
    ["/schema", "/schema/", "/api/v1/schema", "/api/v1/schema/", "/docs", "/api/v1/docs", "/api/v1/docs/"],
)
def test_schema_and_pages_need_no_key(db, path):
    assert Client().get(path).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(db):
    page = Client().get("/api/v1/docs").content.decode()
    assert "https://" not in page.replace("https://github.com/swagger-api", "")
    assert "//cdn" not in page
