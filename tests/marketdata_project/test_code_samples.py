"""Every operation of the OpenAPI document has a tag in the order of use, and samples that can be copied."""

import ast
import json
from typing import Any

from marketdata_project.code_samples import ORIGIN, curl, javascript, python, sample_call
from marketdata_project.openapi_tags import TAGS
from tests.marketdata_project.test_openapi import operations, schema


def samples(operation: dict[str, Any]) -> dict[str, str]:
    return {each["label"]: each["source"] for each in operation["x-codeSamples"]}


def test_the_tags_are_described_and_begin_with_market_data():
    told = schema()["tags"]
    assert [tag["name"] for tag in told[:2]] == ["equities", "crypto"]
    assert all(tag["description"].endswith(".") for tag in told)
    assert {tag.name for tag in TAGS} == {name for each in operations().values() for name in each["tags"]}


def test_the_operations_stand_in_the_order_of_their_tags():
    order = [tag.name for tag in TAGS]
    places = [order.index(operation["tags"][0]) for operation in operations().values()]
    assert places == sorted(places)
    assert next(iter(schema()["paths"])) == "/api/v1/market-data/equities/{symbol}/ohlcv"


def test_every_operation_has_a_sample_in_each_language():
    for name, operation in operations().items():
        method = name.split()[0]
        told = samples(operation)
        assert list(told) == ["curl", "Python", "JavaScript"]
        ast.parse(told["Python"])
        assert f"httpx.{method}(" in told["Python"] or "httpx.stream(" in told["Python"]
        assert all(
            ORIGIN in source and "{" not in source.split(ORIGIN)[1].split('"')[0] for source in told.values()
        )
        if any(operation.get("security", ())):
            assert told["curl"].startswith("KEY=md_…\n")
            assert told["JavaScript"].startswith('const key = "md_…";\n')


def test_a_login_is_sent_without_a_key():
    told = samples(operations()["post /api/v1/auth/token"])
    assert all("md_…" not in source and "X-API-Key" not in source for source in told.values())


def test_python_writes_its_own_constants_and_a_shell_quotes_its_own():
    value = {"told": True, "nothing": None, "text": 'it\'s "true"'}
    body = {"content": {"application/json": {"examples": {"One": {"value": value}}}}}
    operation = {"operationId": "one", "requestBody": body, "responses": {"204": {}}, "security": [{}]}
    call = sample_call("/api/v1/one", "post", operation)
    assert ast.literal_eval(python(call).split("json=")[1].split(",\n)")[0]) == value
    quoted = curl(call).split("-d '")[1].removesuffix("'").replace("'\\''", "'")
    assert json.loads(quoted) == value
    assert json.loads(javascript(call).split("JSON.stringify(")[1].split("),\n")[0]) == value
