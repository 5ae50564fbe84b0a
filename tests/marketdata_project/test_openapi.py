"""The schema is valid, complete, and what the service really answers."""

import gzip
from functools import cache
from typing import Any
from unittest import mock

import orjson
import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from marketdata_project.error_codes import DECLARED
from marketdata_project.openapi import add_access
from marketdata_project.openapi_tags import TAGS
from ratelimit.access.scopes import SCOPES
from tests.api_client import OF_SCHEMA, problem, trade
from tests.openapi_snapshot import NAMES
from tests.ratelimit.access.urlconf import ACCESS
from trades.batches.sample_rows import SEED_TRADES
from web.endpoints import Access

pytestmark = OF_SCHEMA
METHODS = ("get", "post", "put", "patch", "delete")


@cache
def schema(version: str = "v1") -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(Client().get(f"/api/{version}/schema", {"format": "json"}).content)
    return found


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("?format=nope", 406), ("?version=%00", 400), ("?lang=de", 400), ("?format=json&format=json", 400)],
)
@pytest.mark.parametrize("path", ["/schema", "/api/v1/schema"])
def test_a_wrong_request_for_the_schema_is_a_problem(path, request_line, status):
    response = Client().get(path + request_line)
    assert problem(response)[0] == response.status_code == status


@pytest.mark.parametrize(("path", "status"), [("/schema", 405), ("/docs", 405), ("/docs?format=nope", 406)])
def test_a_problem_is_json_where_a_success_is_yaml_or_a_page(path, status):
    method = Client().post if status == 405 else Client().get
    assert problem(method(path))[0] == status


@cache
def operations(version: str = "v1") -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": item[method]
        for path, item in schema(version)["paths"].items()
        for method in METHODS
        if method in item
    }


def examples_of(content: dict[str, Any]) -> dict[str, Any]:
    """The examples by their names; those that stand among the components are looked up there."""
    return {
        name: schema()["components"]["examples"][example["$ref"].rpartition("/")[2]]
        if "$ref" in example
        else example
        for media in content.values()
        for name, example in media.get("examples", {}).items()
    }


def errors_against(name: str, value: Any) -> list[str]:
    document = {"$ref": f"#/components/schemas/{name}", "components": schema()["components"]}
    return [error.message for error in OAS31Validator(document).iter_errors(value)]


def errors_of_answer(operation: str, value: Any, media_type: str = "application/json") -> list[str]:
    """What the declared schema of a 200 says against a value."""
    return errors_in(operations()[operation]["responses"]["200"]["content"][media_type]["schema"], value)


def errors_in(declared: dict[str, Any], value: Any) -> list[str]:
    document = {**declared, "components": schema()["components"]}
    return [error.message for error in OAS31Validator(document).iter_errors(value)]


def success_of(operation: dict[str, Any]) -> dict[str, Any]:
    """What an operation answers where nothing is wrong."""
    found: dict[str, Any] = next(r for status, r in operation["responses"].items() if status.startswith("2"))
    return found


@pytest.mark.system
@pytest.mark.soak
@pytest.mark.parametrize("version", NAMES)
def test_the_schema_is_valid_openapi_3_1(version):
    """`make check` validates it, too."""
    assert schema(version)["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(schema(version)).iter_errors()] == []


def test_it_has_each_endpoint_once_and_without_a_slash():
    assert [path for path in schema()["paths"] if path.endswith("/") or not path.startswith("/api/v1/")] == []


def test_names_of_operations_are_unique():
    names = [operation["operationId"] for operation in operations().values()]
    assert len(names) == len(set(names)) == len(operations())


def test_the_parameters_that_a_call_needs_come_first():
    for name, operation in operations().items():
        optional = [not each.get("required", False) for each in operation.get("parameters", ())]
        assert optional == sorted(optional), name


def test_every_operation_has_an_example_of_its_answer_and_of_its_body():
    without = []
    for name, operation in operations().items():
        content = success_of(operation).get("content", {})
        if content and not examples_of(content):
            without.append(f"{name} answer")
        if "requestBody" in operation and not examples_of(operation["requestBody"]["content"]):
            without.append(f"{name} body")
    assert without == []


@pytest.mark.parametrize("version", NAMES)
def test_every_operation_has_the_one_response_of_errors_and_no_other(version):
    """OAuth2's own operations also have its form of refusals (RFC 6749, 5.2)."""
    reference = {"$ref": "#/components/responses/Problem"}
    for name, operation in operations(version).items():
        found = dict(operation["responses"])
        assert found.pop("default") == reference, name
        refusals = {status for status in found if status >= "400"}
        assert refusals == ({"400", "401"} if "/oauth/" in name else set()), name


def test_the_response_of_errors_has_an_example_of_every_code_that_is_a_problem():
    (content,) = [schema()["components"]["responses"]["Problem"]["content"]]
    assert set(content) == {"application/problem+json"}
    examples = examples_of(content)
    assert set(examples) == set(DECLARED)
    for code, example in examples.items():
        assert errors_against("Problem", example["value"]) == []
        assert (example["value"]["code"], example["value"]["status"]) == (code, DECLARED[code].status)


def test_examples_of_answers_fit_their_schemas():
    for operation in operations().values():
        for media in success_of(operation).get("content", {}).values():
            for example in media.get("examples", {}).values():
                assert errors_in(media["schema"], example["value"]) == []
    for path, name in (("trades/ingest", "TradeBatch"), ("trades/corrections", "CorrectionBatch")):
        body = operations()[f"post /api/v1/{path}"]["requestBody"]["content"]
        for example in examples_of(body).values():
            assert errors_against(name, example["value"]) == []
    told = operations()["put /api/v1/instruments/{symbol}"]["requestBody"]["content"]
    for example in examples_of(told).values():
        assert errors_against("Instrument", example["value"]) == []


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
    api.ingest(trade(symbol="AAPL250117C00150000"))
    for path, name in (("", ""), ("/AAPL", "/{symbol}"), ("/AAPL250117C00150000", "/{symbol}")):
        document = orjson.loads(api.get(f"/api/v1/instruments{path}").content)
        assert errors_of_answer(f"get /api/v1/instruments{name}", document) == []
    for path in ("cache/stats", "conditions", "strategies"):
        document = orjson.loads(api.get(f"/api/v1/{path}").content)
        assert errors_of_answer(f"get /api/v1/{path}", document) == [], path
    refusals = (
        api.ingest(trade(price=0)),
        api.ohlc(),
        api.get("/nope"),
        api.get("/api/v1/gaps?symbols=NOPE"),
    )
    for refused in refusals:
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


def test_the_page_loads_nothing_from_elsewhere(db):
    page = Client().get("/api/v1/docs").content.decode()
    assert "https://" not in page.replace("https://github.com/swagger-api", "")
    assert "//cdn" not in page


@pytest.mark.parametrize("path", ["/schema", "/api/v1/schema"])
def test_the_schema_is_kept_by_who_has_it(path):
    first = Client().get(path, {"format": "json"})
    assert (first.status_code, first["Cache-Control"]) == (200, "no-cache")
    again = Client().get(path, {"format": "json"}, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    yaml = Client().get(path)
    assert (yaml["Content-Type"], yaml["ETag"] != first["ETag"]) == ("application/vnd.oai.openapi", True)


@pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("identity", bytes)])
def test_the_schema_comes_compressed_to_who_takes_that(encoding, unpack):
    response = Client().get("/schema", {"format": "json"}, headers={"Accept-Encoding": encoding})
    assert response.get("Content-Encoding", "identity") == encoding
    assert orjson.loads(unpack(response.content)) == schema()


def test_the_schema_is_made_once_and_is_no_larger_than_a_browser_can_bear():
    with mock.patch.object(SchemaGenerator, "get_schema", side_effect=AssertionError("made again")):
        body = Client().get("/schema", {"format": "json"}).content
    assert len(body) < 3_000_000


def test_an_operation_tells_what_it_asks_of_callers():
    asked = operations()["post /api/v1/cache/invalidate"]
    assert (asked["x-required-scope"], asked["x-required-sensitivity"]) == ("market:write", "internal")
    assert asked["description"].endswith("Needs the scope `market:write` and clearance for internal data.")
    assert {"OAuth2": ["market:write"]} in asked["security"]
    bars = operations()["get /api/v1/stats/ohlc"]
    assert bars["x-required-scope"] == "market:read"
    assert "x-required-sensitivity" not in bars
    assert bars["description"].endswith("Needs the scope `market:read`.")


def test_an_operation_with_two_scopes_tells_that_either_suffices():
    asked: dict[str, Any] = {"security": [{"ApiKey": []}, {"OAuth2": []}]}
    add_access(asked, Access("trading:write", or_scope="risk:write"))
    assert asked["x-required-scope"] == "trading:write or risk:write"
    assert asked["security"] == [{"ApiKey": []}, {"OAuth2": ["trading:write"]}, {"OAuth2": ["risk:write"]}]


def test_every_body_is_needed_but_those_of_which_all_has_defaults():
    bodies = {
        each["operationId"]: each["requestBody"]["required"]
        for each in operations().values()
        if "requestBody" in each
    }
    assert {name for name, is_needed in bodies.items() if not is_needed} == {
        "key_rotate",
        "position_close",
        "account_rebalance",
    }
    assert {"trades_ingest", "key_create"} <= bodies.keys()


def test_every_operation_says_what_the_table_of_access_says():
    told = [
        (operation.get("x-required-scope"), operation.get("x-required-sensitivity", "public"))
        for version in NAMES
        for operation in operations(version).values()
    ]
    rows = [
        (access.scope_text if access.scope in SCOPES else None, access.sensitivity)
        for (name, _), access in ACCESS.items()
        # No paths of the document.
        if name not in ("live-stream", "import") and not name.startswith(("udf-", "alpaca-corporate-actions"))
    ]
    assert sorted(told, key=str) == sorted(rows, key=str)


def test_the_tags_are_described_and_begin_with_market_data():
    tags = schema()["tags"]
    assert [tag["name"] for tag in tags[:2]] == ["equities", "crypto"]
    assert all(tag["description"].endswith(".") for tag in tags)
    assert set(TAGS) == {name for each in operations().values() for name in each["tags"]}


def test_the_operations_stand_in_the_order_of_their_tags():
    order = list(TAGS)
    places = [order.index(operation["tags"][0]) for operation in operations().values()]
    assert places == sorted(places)
    assert next(iter(schema()["paths"])) == "/api/v1/market-data/equities/{symbol}/ohlcv"
