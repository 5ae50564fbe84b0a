"""The OpenAPI document of Alpaca's API: what it says of answers is true."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.api_client import OF_SCHEMA, Api
from tests.dialects.test_market_data import api
from tests.marketdata_project.test_openapi import operations, schema

pytestmark = [OF_SCHEMA, pytest.mark.usefixtures("db", "project_redis")]
__all__ = ["api"]

STOCKS = "/api/v2/stocks"
OF_ONE = f"{STOCKS}/{{symbol}}"
CALLS = {
    f"{STOCKS}/bars": {"symbols": "AAPL", "timeframe": "1Day", "start": "2025-01-01"},
    f"{STOCKS}/trades": {"symbols": "AAPL", "start": "2025-01-01"},
    f"{STOCKS}/quotes": {"symbols": "AAPL", "start": "2025-01-01"},
    f"{STOCKS}/trades/latest": {"symbols": "AAPL"},
    f"{STOCKS}/snapshots": {"symbols": "AAPL,MSFT"},
    f"{OF_ONE}/bars": {"timeframe": "1Day"},
    f"{OF_ONE}/quotes/latest": {},
    f"{OF_ONE}/snapshot": {},
    "/api/v1beta3/crypto/us/snapshots": {"symbols": "BTC/USD"},
    "/api/v2/calendar": {"start": "2025-11-26", "end": "2025-11-28"},
    "/api/v2/clock": {},
}


def errors(name: str, value: Any, status: str = "200") -> list[str]:
    document = schema("v2")
    answer = operations("v2")[name]["responses"].get(status) or document["components"]["responses"]["Problem"]
    (media,) = answer["content"].values()
    document = {**media["schema"], "components": document["components"]}
    return [error.message for error in OAS31Validator(document).iter_errors(value)]


def test_each_operation_has_its_own_name_and_an_example_that_fits():
    found = operations("v2")
    assert len({each["operationId"] for each in found.values()}) == len(found)
    for name, operation in found.items():
        (status,) = (each for each in operation["responses"] if each.startswith("2"))
        # The cancel of an order has an answer without a body.
        for media in operation["responses"][status].get("content", {}).values():
            assert media["examples"], name
            for example in media["examples"].values():
                assert errors(name, example["value"], status) == [], name


@pytest.mark.parametrize("path", CALLS)
def test_answers_fit_the_schema(api: Api, path: str):
    answer = api.get(path.replace("{symbol}", "AAPL"), CALLS[path])
    assert answer.status_code == 200
    assert errors(f"get {path}", answer.json()) == []
    names = {each["name"] for each in operations("v2")[f"get {path}"].get("parameters", ())}
    assert set(CALLS[path]) <= names


def test_an_error_fits_the_schema(api: Api):
    refused = api.get(f"{STOCKS}/bars", {"symbols": "AAPL"})
    assert refused.status_code == 400
    assert errors(f"get {STOCKS}/bars", refused.json(), "400") == []
    example = schema("v2")["components"]["examples"]["missing_parameter"]["value"]
    assert example.keys() == refused.json().keys()
